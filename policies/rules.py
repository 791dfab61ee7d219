"""All rules of the pack, for the engine and for the check of rendered YAML."""

from typing import Final

from pulumi_policy import ResourceValidationPolicy

from policies.cleanup_labels import CLEANUP_LABELS
from policies.parallelism import PARALLELISM_SET

RULES: Final[tuple[ResourceValidationPolicy, ...]] = (PARALLELISM_SET, CLEANUP_LABELS)

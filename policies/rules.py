"""All rules of the pack, for the engine and for the check of rendered YAML."""

from typing import Any, Final

from policies.access import LEAST_RIGHTS, SERVICE_ACCOUNT
from policies.claims import CLAIM_SPEC, STORAGE_CLASS
from policies.cleanup_labels import CLEANUP_LABELS_PRESENT
from policies.deadlines import DEADLINES
from policies.definition import Rule
from policies.engine_facts import CLAIM_PROTECTED, CONFIG_MAP_IN_PLACE, PROVIDER_NAMED
from policies.events import SENSOR_FILTERS, TRIGGER_RATE, WEBHOOK_SECRET
from policies.exit_handler import EXIT_HANDLER
from policies.hidden_pods import HIDDEN_PODS
from policies.images import IMAGES
from policies.made_objects import OWNED_OBJECTS
from policies.parallelism import PARALLELISM_SET
from policies.pod_resources import POD_RESOURCES
from policies.pod_security import POD_SECURITY
from policies.retention import RETENTION
from policies.schedules import NO_OVERLAP
from policies.scripts import BOUNDED_RETRIES, GIT_SAFETY, SCRIPT_PARAMETERS
from policies.secret_literals import SECRET_LITERALS
from policies.semaphore_keys import SEMAPHORE_KEYS, SEMAPHORE_KEYS_DISTINCT
from policies.submissions import SUBMITTED_WORKFLOW
from policies.task_semaphore import TASK_SEMAPHORE

RULES: Final[tuple[Rule[Any], ...]] = (
    PARALLELISM_SET,
    CLEANUP_LABELS_PRESENT,
    TASK_SEMAPHORE,
    SEMAPHORE_KEYS,
    SEMAPHORE_KEYS_DISTINCT,
    EXIT_HANDLER,
    DEADLINES,
    RETENTION,
    OWNED_OBJECTS,
    SUBMITTED_WORKFLOW,
    SCRIPT_PARAMETERS,
    HIDDEN_PODS,
    BOUNDED_RETRIES,
    GIT_SAFETY,
    NO_OVERLAP,
    CLAIM_SPEC,
    STORAGE_CLASS,
    POD_SECURITY,
    POD_RESOURCES,
    IMAGES,
    SERVICE_ACCOUNT,
    LEAST_RIGHTS,
    SECRET_LITERALS,
    TRIGGER_RATE,
    SENSOR_FILTERS,
    WEBHOOK_SECRET,
    CLAIM_PROTECTED,
    PROVIDER_NAMED,
    CONFIG_MAP_IN_PLACE,
)
"""In the order of the docs: what was asked for first, then workflows, storage, pods, events, the engine."""

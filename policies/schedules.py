"""The policy on what starts by the clock."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, text

_KINDS: Final = ("batch/CronJob", "argoproj.io/CronWorkflow")


def _faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    policy = text(at(resource.props, "spec", "concurrencyPolicy")) or "Allow"
    if policy not in {"Forbid", "Replace"}:
        yield f"spec.concurrencyPolicy is {policy}: a slow one is joined by the next, until the node is full. Remedy: set it to Forbid"


NO_OVERLAP: Final = resource_rule(
    About(
        name="no-overlap",
        description="What starts by the clock doesn't start again while it still runs.",
        remediation="Set spec.concurrencyPolicy to Forbid.",
        severity=Severity.MEDIUM,
        framework=OPERATIONS,
        tags=("jobs", "capacity"),
    ),
    PolicySettings,
    _KINDS,
    _faults,
)

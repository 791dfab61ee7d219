"""The policy on ended workflows and their pods."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, mapping, text
from policies.workflows import WORKFLOW_KINDS, defined_workflow


def _faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    found = defined_workflow(resource)
    if found is None:
        return
    strategy = mapping(found.spec.get("ttlStrategy"))
    after_both = strategy.get("secondsAfterSuccess") is not None and strategy.get("secondsAfterFailure") is not None
    if strategy.get("secondsAfterCompletion") is None and not after_both:
        yield (
            f"{found.path}.ttlStrategy doesn't end the life of every workflow: they fill etcd and slow the controller. "
            "Remedy: set secondsAfterCompletion, or secondsAfterSuccess and secondsAfterFailure"
        )
    if not text(at(found.spec, "podGC", "strategy")):
        yield f"{found.path}.podGC.strategy is missing: pods of ended steps stay on their nodes. Remedy: set it, for example to OnPodCompletion"


RETENTION: Final = resource_rule(
    About(
        name="retention",
        description="Ended workflows and the pods of ended steps are deleted after a time.",
        remediation="Set spec.ttlStrategy for success and failure, and spec.podGC.strategy.",
        severity=Severity.MEDIUM,
        framework=OPERATIONS,
        tags=("argo", "cleanup", "capacity"),
    ),
    PolicySettings,
    WORKFLOW_KINDS,
    _faults,
)

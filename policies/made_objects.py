"""The policy on objects that a run makes."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, items
from policies.workflows import WORKFLOW_KINDS, defined_workflow, made_objects, templates


class _Settings(PolicySettings):
    except_kinds: tuple[str, ...] = Field(
        default=("Workflow",), description="Kinds that need no owner: a Workflow that is started cleans up after itself."
    )


def _faults(resource: Resource, settings: _Settings) -> Iterator[str]:
    found = defined_workflow(resource)
    if found is None:
        return
    for template in templates(found):
        for made in made_objects(template):
            owners = [at(owner, "kind") for owner in items(at(made.manifest, "metadata", "ownerReferences"))]
            if made.kind not in settings.except_kinds and not made.owned and "Workflow" not in owners:
                remedy = "set setOwnerReference: true, or write ownerReferences with {{workflow.uid}}"
                yield f"{made.path}: the {made.kind or 'object'} has no owner: it outlives a deleted Workflow. Remedy: {remedy}"


OWNED_OBJECTS: Final = resource_rule(
    About(
        name="owned-objects",
        description="What a run makes belongs to its Workflow, and goes with it at the latest.",
        remediation="Give what a step makes the Workflow as its owner.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo", "cleanup"),
    ),
    _Settings,
    WORKFLOW_KINDS,
    _faults,
)

"""The policy on what runs when a workflow ends."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, items, text
from policies.workflows import (
    WORKFLOW_KINDS,
    Template,
    Workflow,
    containers,
    defined_workflow,
    exit_handler,
    made_objects,
    reached,
    tasks,
    templates,
)

_TAG: Final = "{{"


def _faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    found = defined_workflow(resource)
    if found is None:
        return
    listed = templates(found)
    by_name = {template.name: template for template in listed}
    handler = exit_handler(found)
    if not handler:
        if not found.spec or any(_leaves_something(found, template) for template in listed):
            yield f"{found.path}.onExit is missing: what a run leaves is never removed. Remedy: name a template that cleans up"
        return
    if handler not in by_name:
        yield f"{found.path}.onExit names {handler!r}, and there is no such template. Remedy: name one of spec.templates"
        return
    at_exit = reached(by_name, handler)
    cleaned = {claim for template in at_exit for claim in _written_claims(found, template)}
    for template in (one for one in listed if one not in at_exit):
        for claim in sorted(_written_claims(found, template) - cleaned):
            # A claim with a tag in its name is the run's own: it is deleted whole, and must not be mounted for that.
            if _TAG not in claim:
                yield (
                    f"{template.path} writes to the claim {claim}, and the exit handler {handler} doesn't mount it: what is left there can't be "
                    f"removed. Remedy: mount {claim} in {handler}"
                )


def _leaves_something(found: Workflow, template: Template) -> bool:
    """Whether something may be left when a template has run: files on a claim, objects, or what a template of elsewhere does."""
    volumes = [*items(template.body.get("volumes")), *items(found.spec.get("volumes"))]
    if any(at(volume, "persistentVolumeClaim") is not None for volume in volumes) or items(found.spec.get("volumeClaimTemplates")):
        return True
    # A Workflow that is started cleans up after itself.
    if any(made.kind != "Workflow" for made in made_objects(template)):
        return True
    return any(task.get("templateRef") is not None for _, task in tasks(template))


def _written_claims(found: Workflow, template: Template) -> set[str]:
    volumes = [*items(template.body.get("volumes")), *items(found.spec.get("volumes"))]
    claims = {text(at(volume, "name")): at(volume, "persistentVolumeClaim") for volume in volumes if at(volume, "persistentVolumeClaim") is not None}
    return {
        text(at(claims[name], "claimName"))
        for _, container in containers(template)
        for mount in items(container.get("volumeMounts"))
        if (name := text(at(mount, "name"))) in claims and at(mount, "readOnly") is not True and at(claims[name], "readOnly") is not True
    }


EXIT_HANDLER: Final = resource_rule(
    About(
        name="exit-handler",
        description="A workflow that leaves something has an exit handler, which is there and mounts every shared claim that is written to.",
        remediation="Set spec.onExit to a template that cleans up and mounts the shared claim.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo", "cleanup"),
    ),
    PolicySettings,
    WORKFLOW_KINDS,
    _faults,
)

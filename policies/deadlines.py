"""The policy on ends that come by themselves."""

from collections.abc import Iterator
from typing import Annotated, Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, whole_number
from policies.vocabulary import MAXIMUM_DEADLINE_SECONDS
from policies.workflows import WORKFLOW_KINDS, Template, defined_workflow, templates

_JOB_PATHS: Final = {"batch/Job": ("spec",), "batch/CronJob": ("spec", "jobTemplate", "spec")}
_REMEDY: Final = "Remedy: set a number of seconds"


class _Settings(PolicySettings):
    maximum_seconds: Annotated[int, Field(ge=1)] = Field(
        default=MAXIMUM_DEADLINE_SECONDS, description="Longest deadline of a whole workflow or Job, in seconds."
    )


def _faults(resource: Resource, settings: _Settings) -> Iterator[str]:
    if resource.group_kind in _JOB_PATHS:
        path = _JOB_PATHS[resource.group_kind]
        yield from _faults_of_whole(".".join(path), at(resource.props, *path, "activeDeadlineSeconds"), settings)
        return
    found = defined_workflow(resource)
    if found is None:
        return
    listed = templates(found)
    endless = [template for template in listed if template.works and not _ends(template)]
    # Steps that all end make a workflow that ends, unless it waits for a lock: no deadline of a step counts that.
    ends_by_its_steps = listed and not endless and not any(at(holder, "synchronization") for holder in (found.spec, *(one.body for one in listed)))
    given = found.spec.get("activeDeadlineSeconds")
    if given is not None or not ends_by_its_steps:
        yield from _faults_of_whole(found.path, given, settings)
    for template in endless:
        yield (
            f"{template.path} has no deadline of its own: one step that hangs holds its locks until the whole workflow ends. "
            "Remedy: set timeout, which also counts the time before the pod starts, or activeDeadlineSeconds"
        )


def _ends(template: Template) -> bool:
    given = (template.body.get("activeDeadlineSeconds"), template.body.get("timeout"), at(template.body, "suspend", "duration"))
    return any(limit not in (None, "", 0) for limit in given)


def _faults_of_whole(path: str, given: object, settings: _Settings) -> Iterator[str]:
    seconds = whole_number(given)
    if given is None:
        yield f"{path}.activeDeadlineSeconds is missing: what hangs is never ended. {_REMEDY}"
    elif seconds is None or seconds < 1:
        yield f"{path}.activeDeadlineSeconds is no number of seconds from 1 up. {_REMEDY}"
    elif seconds > settings.maximum_seconds:
        yield f"{path}.activeDeadlineSeconds is {seconds}, more than the maximum {settings.maximum_seconds}. Remedy: give less"


DEADLINES: Final = resource_rule(
    About(
        name="deadlines",
        description="Each step that works or waits, a workflow that waits for a lock, and a Job end by themselves after a time.",
        remediation="Set activeDeadlineSeconds of the workflow or Job, and timeout of each template that runs a pod or waits.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo", "jobs", "cleanup"),
    ),
    _Settings,
    (*WORKFLOW_KINDS, *_JOB_PATHS),
    _faults,
)

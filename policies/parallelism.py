"""The policy on how much one workflow runs at once."""

from collections.abc import Iterator
from typing import Annotated, Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import whole_number
from policies.vocabulary import MAXIMUM_PARALLELISM
from policies.workflows import WORKFLOW_KINDS, defined_workflow

_REMEDY: Final = "Remedy: set coderun-workspaces:parallelism in the stack file, or spec.parallelism in the manifest"


class _Settings(PolicySettings):
    maximum: Annotated[int, Field(ge=1)] = Field(default=MAXIMUM_PARALLELISM, description="Most pods of one workflow at once.")


def _faults(resource: Resource, settings: _Settings) -> Iterator[str]:
    found = defined_workflow(resource)
    if found is None:
        return
    path, given = f"{found.path}.parallelism", found.spec.get("parallelism")
    parallelism = whole_number(given)
    if given is None:
        yield f"{path} is missing: one workflow could start any number of pods. {_REMEDY}"
    elif parallelism is None:
        yield f"{path} is not a whole number: Argo takes no text and no parameter there. {_REMEDY}"
    elif parallelism < 1:
        yield f"{path} is {parallelism}: nothing is limited by less than 1. {_REMEDY}"
    elif parallelism > settings.maximum:
        yield f"{path} is {parallelism}, more than the maximum {settings.maximum}. {_REMEDY}"


PARALLELISM_SET: Final = resource_rule(
    About(
        name="parallelism-set",
        description="A workflow limits its own pods, by a whole number within a maximum.",
        remediation="Set coderun-workspaces:parallelism in the stack file, or spec.parallelism in the manifest.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo", "capacity"),
    ),
    _Settings,
    WORKFLOW_KINDS,
    _faults,
)

"""The policy on Workflows that are started: by hand, by the clock, by a Sensor or by another workflow."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.events import SENSOR, starts_workflows
from policies.inputs import at, items, mapping, text
from policies.vocabulary import CLEANUP_LABELS, PARAMETER_KEYS, RUN_ENTRYPOINTS, RUN_TEMPLATES, SUBMITTED_SPEC_KEYS
from policies.workflows import SUBMITTED_KINDS, WORKFLOW_KINDS, defined_workflow, made_objects, templates, workflow

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TAG: Final = "{{"


class _Settings(PolicySettings):
    templates: tuple[str, ...] = Field(default=RUN_TEMPLATES, description="WorkflowTemplates that a Workflow may refer to.")
    entrypoints: tuple[str, ...] = Field(
        default=RUN_ENTRYPOINTS, description="Templates that a Workflow may name as its entrypoint: any other could begin behind the lock."
    )


@dataclass(frozen=True)
class _Submission:
    """A Workflow that is started.

    Attributes:
        path: Where its spec stands.
        spec: Its spec.
        labels: Its labels.
        is_final: Whether the values are those that Argo gets, and not ones that an event or a step fills in.
    """

    path: str
    spec: Mapping[str, Any]
    labels: Mapping[str, Any]
    is_final: bool


def _submissions(resource: Resource) -> Iterator[_Submission]:
    if resource.kind in SUBMITTED_KINDS:
        found = workflow(resource)
        owner = resource.props if resource.kind == "Workflow" else {"metadata": at(resource.props, "spec", "workflowMetadata")}
        yield _Submission(found.path, found.spec, mapping(at(owner, "metadata", "labels")), is_final=True)
    elif resource.group_kind == SENSOR:
        for trigger in items(at(resource.props, "spec", "triggers")):
            if starts_workflows(trigger):
                kind = "k8s" if at(trigger, "template", "k8s") is not None else "argoWorkflow"
                made = mapping(at(trigger, "template", kind, "source", "resource"))
                path = f"spec.triggers[{text(at(trigger, 'template', 'name'))}].template.{kind}.source.resource.spec"
                yield _Submission(path, mapping(made.get("spec")), mapping(at(made, "metadata", "labels")), is_final=False)
    else:
        found_or_none = defined_workflow(resource)
        for template in templates(found_or_none) if found_or_none else ():
            for one in made_objects(template):
                if one.kind == "Workflow" and one.manifest is not None:
                    labels = mapping(at(one.manifest, "metadata", "labels"))
                    yield _Submission(f"{one.path}: spec", mapping(one.manifest.get("spec")), labels, is_final=False)


def _faults(resource: Resource, settings: _Settings) -> Iterator[str]:
    for submission in _submissions(resource):
        path, spec = submission.path, submission.spec
        reference = mapping(spec.get("workflowTemplateRef"))
        name = text(reference.get("name"))
        if name not in settings.templates or reference.get("clusterScope") is True:
            shown = f"names {'the cluster-wide ' if reference.get('clusterScope') is True else ''}{name!r}" if name else "is missing"
            yield f"{path}.workflowTemplateRef {shown}. Remedy: refer to one of {', '.join(settings.templates)}"
        own = [key for key in spec if key not in SUBMITTED_SPEC_KEYS]
        if own:
            yield f"{path} brings {', '.join(sorted(own))} of its own, past the template's rules. Remedy: leave it to the template"
        entrypoint = spec.get("entrypoint")
        if entrypoint is not None and entrypoint not in settings.entrypoints:
            remedy = f"leave it out, or name one of {', '.join(settings.entrypoints)}"
            yield f"{path}.entrypoint is {entrypoint!r}, which may begin behind the lock. Remedy: {remedy}"
        others = [key for key in mapping(spec.get("arguments")) if key != "parameters"]
        if others:
            yield f"{path}.arguments brings {', '.join(sorted(others))}. Remedy: give parameters only"
        yield from _parameter_faults(submission)
        for label, value in CLEANUP_LABELS.items():
            if submission.labels.get(label, value) != value:
                yield f"the label {label} is {submission.labels[label]!r}: the sweeper would pass it by. Remedy: leave it to the template"


def _parameter_faults(submission: _Submission) -> Iterator[str]:
    for parameter in items(at(submission.spec, "arguments", "parameters")):
        name = text(at(parameter, "name"))
        path = f"{submission.path}.arguments.parameters[{name}]"
        own = [key for key in mapping(parameter) if key not in PARAMETER_KEYS]
        if own:
            yield f"{path} brings {', '.join(sorted(own))}, which nobody can check. Remedy: give name and value only"
        value = at(parameter, "value")
        if name == "parallelism":
            yield f"{path}: a run can't set it. Remedy: leave it out; coderun-workspaces:parallelism limits the pods of a workflow"
        if isinstance(value, Mapping) or items(value):
            yield f"{path} is a list or a mapping. Remedy: give a text"
        if submission.is_final and _TAG in f"{name}{text(value)}":
            yield f"{path} contains two opening braces in a row, which Argo would evaluate. Remedy: give the value without them"
        if _CONTROL.search(text(value)):
            yield f"{path} contains a control character. Remedy: give it on one line of printable characters"


SUBMITTED_WORKFLOW: Final = resource_rule(
    About(
        name="submitted-workflow",
        description="A Workflow that is started refers to an allowed template, brings nothing but parameters, and nothing that Argo would evaluate.",
        remediation="Set spec.workflowTemplateRef to an allowed template, give parameters, and leave the rest to the template.",
        severity=Severity.CRITICAL,
        framework=OPERATIONS,
        tags=("argo", "argo-events", "security"),
    ),
    _Settings,
    (*WORKFLOW_KINDS, SENSOR),
    _faults,
)

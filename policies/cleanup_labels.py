"""Rules on labels by which leftovers of runs are found."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml
from pulumi_policy import EnforcementLevel, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy, Severity

from policies.inputs import WORKFLOW_TEMPLATE_TYPE, at, items, mapping

REQUIRED: Final[Mapping[str, str]] = {"app.kubernetes.io/part-of": "coderun", "coderun/cleanup": "on-exit"}
"""Labels of all that a run makes: the sweeper and people look for them."""

_VARIABLES: Final = {"CODERUN_MANIFEST": "CodeRun", "CLAIM_MANIFEST": "claim"}
_REMEDY: Final = "Remedy: label it {labels}."


def _validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
    if args.resource_type != WORKFLOW_TEMPLATE_TYPE:
        return
    for place, labels in _labelled(mapping(args.props.get("spec"))):
        missing = [f"{key}={value}" for key, value in REQUIRED.items() if mapping(labels).get(key) != value]
        if missing:
            report(f"{place} lacks cleanup labels. {_REMEDY.format(labels=', '.join(missing))}", None)


def _labelled(spec: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    """Find everything that a run makes, with its labels; None where there are none or they can't be read."""
    yield "spec.workflowMetadata", at(spec, "workflowMetadata", "labels")
    yield "spec.podMetadata", at(spec, "podMetadata", "labels")
    for template in items(spec.get("templates")):
        name = at(template, "name")
        if at(template, "resource", "action") in {"create", "apply", "replace"}:
            yield f"the object that template {name} makes", _labels_in(at(template, "resource", "manifest"), yaml.safe_load)
        for variable in items(at(template, "script", "env")):
            kind = _VARIABLES.get(str(at(variable, "name")))
            if kind:
                yield f"the {kind} that template {name} makes", _labels_in(at(variable, "value"), json.loads)


def _labels_in(manifest: object, read: Any) -> object:  # noqa: ANN401 - a parser of either kind
    try:
        return at(read(manifest), "metadata", "labels") if isinstance(manifest, str) else None
    except (ValueError, yaml.YAMLError):
        return None


CLEANUP_LABELS: Final = ResourceValidationPolicy(
    name="cleanup-labels",
    description="All that a run makes (pods, workflow, claim, CodeRun) has the labels by which its leftovers are found.",
    validate=_validate,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    tags=["argo", "cleanup"],
    remediation_steps="Add the labels app.kubernetes.io/part-of=coderun and coderun/cleanup=on-exit to what the message names.",
)

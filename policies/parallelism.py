"""Rules on how much runs at once."""

from typing import Final

from pulumi_policy import EnforcementLevel, PolicyConfigSchema, ReportViolation, ResourceValidationArgs, ResourceValidationPolicy, Severity

from policies.inputs import WORKFLOW_TEMPLATE_TYPE, at, whole_number

DEFAULT_MAXIMUM: Final = 50
"""Pods of one workflow at once: ten times the stack's default of 5, well below the 110 pods that a node takes by default."""


def _validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
    if args.resource_type != WORKFLOW_TEMPLATE_TYPE:
        return
    given = at(args.props, "spec", "parallelism")
    parallelism = whole_number(given)
    maximum = whole_number(args.get_config().get("maximum", DEFAULT_MAXIMUM))
    remedy = "Remedy: set coderun-workspaces:parallelism in the stack file."
    if given is None:
        report(f"spec.parallelism is missing: one workflow could start any number of pods. {remedy}", None)
    elif parallelism is None:
        report(f"spec.parallelism is not a whole number: Argo takes no text and no parameter there. {remedy}", None)
    elif parallelism < 1:
        report(f"spec.parallelism is {parallelism}: nothing is limited by less than 1. {remedy}", None)
    elif maximum is not None and parallelism > maximum:
        report(f"spec.parallelism is {parallelism}, more than the maximum {maximum}. {remedy}", None)


PARALLELISM_SET: Final = ResourceValidationPolicy(
    name="parallelism-set",
    description="A WorkflowTemplate limits the pods of one workflow, by a whole number within a maximum.",
    validate=_validate,
    enforcement_level=EnforcementLevel.MANDATORY,
    severity=Severity.HIGH,
    tags=["argo", "capacity"],
    remediation_steps="Set coderun-workspaces:parallelism in the stack file.",
    config_schema=PolicyConfigSchema(properties={"maximum": {"type": "integer", "minimum": 1, "default": DEFAULT_MAXIMUM}}),
)

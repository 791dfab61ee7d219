"""The admission rule for parameters of workflows, as CEL.

Argo evaluates ``{{…}}`` and ``{{=…}}`` inside a parameter's value, and an expression that doesn't parse leaves the
workflow without a status for ever. No step can refuse that, because none gets to run: the API server has to.
"""

from typing import Any, Final

from components.names import BATCH_TEMPLATE, WORKFLOW_TEMPLATE
from components.workflow_admission_spec import submission_is_new_or_changed, submitted_spec
from policies.vocabulary import PARAMETER_KEYS

_PARAMETERS: Final = (
    "has(variables.spec.arguments) && variables.spec.arguments != null"
    " && has(variables.spec.arguments.parameters) && variables.spec.arguments.parameters != null"
    " ? variables.spec.arguments.parameters : []"
)
# Argo takes numbers and truth values too and turns them into text; lists and mappings it would paste as JSON.
_IS_SCALAR: Final = " || ".join(f"type(p.value) == {kind}" for kind in ("string", "int", "double", "bool", "null_type"))
_GIVEN: Final = "variables.parameters.filter(p, has(p.value) && type(p.value) == string)"


def admission_policy_spec() -> dict[str, Any]:
    """Build the spec of the ValidatingAdmissionPolicy. It refuses new workflows only; running ones are left alone.

    CronWorkflows make Workflows of the same values, so they are looked at when these change.
    """
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": ["argoproj.io"], "apiVersions": ["*"], "resources": ["workflows"], "operations": ["CREATE"]},
                {"apiGroups": ["argoproj.io"], "apiVersions": ["*"], "resources": ["cronworkflows"], "operations": ["CREATE", "UPDATE"]},
            ],
        },
        "matchConditions": [submission_is_new_or_changed()],
        # Installations use Argo's minimal CRDs, which leave spec untyped: every step into it has to ask first.
        "variables": [
            {"name": "spec", "expression": submitted_spec()},
            {"name": "parameters", "expression": _PARAMETERS},
            # A value that comes from elsewhere can't be checked here, and Argo would evaluate it as well.
            {"name": "foreign", "expression": f"variables.parameters.filter(p, p.exists(k, !(k in {list(PARAMETER_KEYS)})))"},
            {"name": "misnamed", "expression": "variables.parameters.filter(p, has(p.name) && string(p.name).contains('{{'))"},
            {"name": "given", "expression": _GIVEN},
            {"name": "nested", "expression": f"variables.parameters.filter(p, has(p.value) && !({_IS_SCALAR}))"},
            {"name": "tagged", "expression": "variables.given.filter(p, p.value.contains('{{'))"},
            {"name": "isCoderun", "expression": _is_of(WORKFLOW_TEMPLATE)},
            {"name": "isBatch", "expression": _is_of(BATCH_TEMPLATE)},
            {"name": "isOurs", "expression": "variables.isCoderun || variables.isBatch"},
            # The tasks of a batch are JSON, which people write on many lines.
            {
                "name": "control",
                "expression": (
                    r"variables.given.filter(p, p.value.matches(variables.isBatch && has(p.name) && p.name == 'tasks'"
                    r" ? '[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]' : '[\\x00-\\x1f\\x7f]'))"
                ),
            },
        ],
        "validations": [
            _refuse("foreign", "it brings more than name and value, which nobody can check", "give name and value only"),
            _refuse("misnamed", "its name contains two opening braces in a row, which Argo would evaluate", "give a name of the template"),
            _refuse("nested", "it is a list or a mapping", "give a text"),
            _refuse("tagged", "it contains two opening braces in a row, which Argo would evaluate", "give the value without them"),
            _refuse("control", "it contains a control character, such as a line break", "give it on one line of printable characters"),
            {
                "expression": "!variables.isOurs || !variables.parameters.exists(p, has(p.name) && p.name == 'parallelism')",
                "message": (
                    "parameter parallelism: a run can't set it, the field takes no parameter. "
                    "Remedy: leave it out; coderun-workspaces:parallelism in the stack file limits the pods of a workflow."
                ),
                "reason": "Invalid",
            },
        ],
    }


def admission_binding_spec(policy_name: str, namespace: str) -> dict[str, Any]:
    """Build the spec of the binding: the policy is in force in one namespace.

    Args:
        policy_name: Name of the ValidatingAdmissionPolicy.
        namespace: The stack's namespace.
    """
    return {
        "policyName": policy_name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
    }


def _is_of(template: str) -> str:
    return (
        "has(variables.spec.workflowTemplateRef) && variables.spec.workflowTemplateRef != null"
        " && has(variables.spec.workflowTemplateRef.name)"
        f" && variables.spec.workflowTemplateRef.name == '{template}'"
    )


def _refuse(variable: str, fault: str, remedy: str) -> dict[str, str]:
    return {
        "expression": f"size(variables.{variable}) == 0",
        "messageExpression": f"'parameter ' + string(variables.{variable}[0].name) + ': {fault}. Remedy: {remedy}.'",
        # Used where the name itself can't be shown.
        "message": f"a parameter's value is refused: {fault}. Remedy: {remedy}.",
        "reason": "Invalid",
    }

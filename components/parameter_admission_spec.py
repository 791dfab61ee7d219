"""The admission rule for parameters of workflows, as CEL.

Argo evaluates ``{{…}}`` and ``{{=…}}`` inside a parameter's value, and an expression that doesn't parse leaves the
workflow without a status for ever. No step can refuse that, because none gets to run: the API server has to.
"""

from typing import Any, Final

from components.names import BATCH_TEMPLATE, WORKFLOW_TEMPLATE

_PARAMETERS: Final = (
    "has(object.spec) && has(object.spec.arguments) && has(object.spec.arguments.parameters) && object.spec.arguments.parameters != null"
    " ? object.spec.arguments.parameters : []"
)
# Argo takes numbers and truth values too and turns them into text; lists and mappings it would paste as JSON.
_IS_SCALAR: Final = " || ".join(f"type(p.value) == {kind}" for kind in ("string", "int", "double", "bool", "null_type"))
_GIVEN: Final = f"variables.parameters.filter(p, has(p.value) && ({_IS_SCALAR}) && p.value != null)"


def admission_policy_spec() -> dict[str, Any]:
    """Build the spec of the ValidatingAdmissionPolicy. It refuses new workflows only; running ones are left alone."""
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [{"apiGroups": ["argoproj.io"], "apiVersions": ["*"], "resources": ["workflows"], "operations": ["CREATE"]}],
        },
        # Installations use Argo's minimal CRDs, which leave spec untyped: every step into it has to ask first.
        "variables": [
            {"name": "parameters", "expression": _PARAMETERS},
            {"name": "given", "expression": _GIVEN},
            {"name": "nested", "expression": f"variables.parameters.filter(p, has(p.value) && !({_IS_SCALAR}))"},
            {"name": "tagged", "expression": "variables.given.filter(p, string(p.value).contains('{{'))"},
            {"name": "isCoderun", "expression": _is_of(WORKFLOW_TEMPLATE)},
            {"name": "isBatch", "expression": _is_of(BATCH_TEMPLATE)},
            {"name": "isOurs", "expression": "variables.isCoderun || variables.isBatch"},
            # The tasks of a batch are JSON, which people write on many lines.
            {
                "name": "control",
                "expression": (
                    r"variables.given.filter(p, string(p.value).matches(variables.isBatch && has(p.name) && p.name == 'tasks'"
                    r" ? '[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]' : '[\\x00-\\x1f\\x7f]'))"
                ),
            },
        ],
        "validations": [
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
        "has(object.spec) && has(object.spec.workflowTemplateRef) && has(object.spec.workflowTemplateRef.name)"
        f" && object.spec.workflowTemplateRef.name == '{template}'"
    )


def _refuse(variable: str, fault: str, remedy: str) -> dict[str, str]:
    return {
        "expression": f"size(variables.{variable}) == 0",
        "messageExpression": f"'parameter ' + string(variables.{variable}[0].name) + ': {fault}. Remedy: {remedy}.'",
        # Used where the name itself can't be shown.
        "message": f"a parameter's value is refused: {fault}. Remedy: {remedy}.",
        "reason": "Invalid",
    }

"""The rules of the gate, evaluated without a cluster, as the API server evaluates them."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import cel

from components.parameter_admission_spec import admission_policy_spec
from components.workflow_admission_spec import claim_policy_spec, template_policy_spec, workflow_policy_spec
from config.settings import StackConfig
from policies.quantities import quantity

PARAMETERS: Final = "submitted-workflow"
"""Twin of the rules on parameters, whose messages begin with the parameter's name."""

_POLICY: Final = re.compile(r"([a-z-]+): ")


def specs(config: StackConfig) -> dict[str, tuple[dict[str, Any], ...]]:
    """Resource to the specs of the ValidatingAdmissionPolicies that look at it."""
    submitted = (admission_policy_spec(), workflow_policy_spec(config))
    return {
        "workflowtemplates": (template_policy_spec(config),),
        "workflows": submitted,
        "cronworkflows": submitted,
        "persistentvolumeclaims": (claim_policy_spec(config),),
    }


def refusals(
    config: StackConfig,
    resource: str,
    new: Mapping[str, Any],
    old: Mapping[str, Any] | None = None,
) -> list[str]:
    """Messages of the rules that an object breaks.

    Args:
        config: Settings of the stack.
        resource: The resource's name at the API server.
        new: The object.
        old: What it is an update of.

    Raises:
        ValueError: An expression can't be evaluated: the API server would refuse the object without a reason.
    """
    found = []
    for spec in specs(config)[resource]:
        variables: dict[str, Any] = {}
        request = {"operation": "UPDATE" if old else "CREATE", "resource": {"resource": resource}}
        given = {"object": new, "oldObject": old, "request": request, "variables": variables}
        if not all(_evaluate(condition["expression"], _context(given)) for condition in spec["matchConditions"]):
            continue
        for variable in spec["variables"]:
            variables[variable["name"]] = _evaluate(variable["expression"], _context(given))
        context = _context(given)
        found += [
            str(_evaluate(validation["messageExpression"], context)) if "messageExpression" in validation else validation["message"]
            for validation in spec["validations"]
            if _evaluate(validation["expression"], context) is not True
        ]
    return found


def twins(messages: list[str]) -> frozenset[str]:
    """Policies of the pack that say the same as these messages."""
    named = (_POLICY.match(message) for message in messages)
    return frozenset(match[1] if match else PARAMETERS for match in named)


def _context(given: Mapping[str, Any]) -> cel.Context:
    context = cel.Context(variables=dict(given))
    # Kubernetes' own part of the language, as far as the rules use it.
    context.add_function("quantity", lambda text: float(quantity(text) or 0))
    context.add_function("compareTo", lambda one, other: (one > other) - (one < other))
    return context


def _evaluate(expression: str, context: cel.Context) -> object:
    return _program(expression).execute(context)


@cache
def _program(expression: str) -> cel.Program:
    return cel.compile(expression)

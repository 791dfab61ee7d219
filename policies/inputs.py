"""Reading of a resource's inputs as a policy gets them.

The engine wraps mappings and lists in proxies that are neither ``dict`` nor ``list``, raise for values that aren't known
at preview (the engine then says that the rule could not run), and hold every number as floating point.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

WORKFLOW_TEMPLATE_TYPE: Final = "kubernetes:argoproj.io/v1alpha1:WorkflowTemplate"


def mapping(value: object) -> Mapping[str, Any]:
    """Take a mapping, or an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> Sequence[Any]:
    """Take a list, or an empty one in place of anything else."""
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()


def whole_number(value: object) -> int | None:
    """Take a whole number; None in place of anything else, texts and truth values included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == int(value) else None


def at(value: object, *path: str) -> Any:  # noqa: ANN401 - any JSON
    """Follow keys into nested mappings; None where one is missing."""
    for key in path:
        value = mapping(value).get(key)
    return value

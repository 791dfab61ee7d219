"""Reading of a resource's inputs as a policy gets them.

The engine wraps mappings and lists in proxies that are neither ``dict`` nor ``list``, raise for values that aren't known
at preview (the engine then says that the rule could not run), and hold every number as floating point. A remediation gets
other proxies, which hand out the text that stands for an unknown value: :func:`is_unknown` tells it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pulumi_policy import proxy

_UNKNOWN: Final = frozenset(
    {
        proxy.UNKNOWN_BOOLEAN_VALUE,
        proxy.UNKNOWN_NUMBER_VALUE,
        proxy.UNKNOWN_STRING_VALUE,
        proxy.UNKNOWN_ARRAY_VALUE,
        proxy.UNKNOWN_ASSET_VALUE,
        proxy.UNKNOWN_ARCHIVE_VALUE,
        proxy.UNKNOWN_OBJECT_VALUE,
    },
)


def mapping(value: object) -> Mapping[str, Any]:
    """Take a mapping, or an empty one in place of anything else."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> Sequence[Any]:
    """Take a list, or an empty one in place of anything else."""
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()


def text(value: object) -> str:
    """Take a text, or an empty one in place of anything else."""
    return value if isinstance(value, str) else ""


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


def texts_in(value: object) -> Iterator[str]:
    """Find every text in nested mappings and lists, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in value:
            yield from texts_in(value[key])
    else:
        for inner in items(value):
            yield from texts_in(inner)


def is_unknown(value: object) -> bool:
    """Whether a value stands for one that isn't known at preview."""
    return isinstance(value, str) and value in _UNKNOWN

"""How a wrong setting is told: which key, what is wrong with it, and what to do."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

PREFIX: Final = "coderun-workspaces:"
"""What every key of this program begins with in a stack file: the project's name."""

_SHOWN_CHARACTERS: Final = 80
_REMEDIES: Final[Mapping[str, str]] = {
    "missing": "add it",
    "int_parsing": "give a whole number",
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "bool_parsing": "give true or false",
    "bool_type": "give true or false",
    "string_type": "give a text; put quotes around it when it looks like a number",
    "dict_type": "give a mapping of keys to values",
    "model_type": "give a mapping of keys to values",
    "list_type": "give a list",
    "too_short": "give at least one entry",
}

_NEVER_LESS: Final = "remove it: a clone with parts missing can't be shared by tasks (docs/decisions.md)"
_NOT_SUPPORTED: Final[Mapping[str, tuple[str, str]]] = {
    "filter": ("blobless and treeless clones aren't supported", _NEVER_LESS),
    "depth": ("shallow clones aren't supported", _NEVER_LESS),
    "sparse": (
        "sparse checkouts aren't supported as a setting",
        "remove it: an agent may run git sparse-checkout in its own tree (docs/decisions.md)",
    ),
}
"""Settings that git's users look for at a repo, and what to do without them."""

_NOT_SUPPORTED_SPELLINGS: Final[Mapping[str, str]] = {"sparseCheckout": "sparse", "sparse_checkout": "sparse", "partialClone": "filter"}


class ConfigError(Exception):
    """The stack's settings can't be used.

    Attributes:
        problems: One line a problem, each names the key and the remedy.
    """

    def __init__(self, origin: str, problems: Iterable[str]) -> None:
        """Collect problems found in one place.

        Args:
            origin: Where the settings came from, for example ``Pulumi.dev.yaml``.
            problems: One line each.
        """
        self.problems = tuple(problems)
        super().__init__("\n".join([f"{origin}: {len(self.problems)} wrong setting(s)", *(f"  {problem}" for problem in self.problems)]))


class EntryError(ValueError):
    """Entries of a list or a mapping that don't go together, each told at its own place.

    Attributes:
        entries: Position or key of an entry, and what is wrong with it, remedy included.
    """

    def __init__(self, entries: Iterable[tuple[int | str, str]]) -> None:
        """Collect the entries, in the order in which they are told."""
        self.entries = tuple(entries)
        super().__init__("; ".join(text for _, text in self.entries))


Place = Callable[[tuple[int | str, ...]], str | None]
"""Says where a setting stands, as ``file:line``, or None if that isn't known."""


def describe(error: ValidationError, known_keys: Iterable[str] = (), place: Place | None = None) -> list[str]:
    """Turn pydantic's findings into lines for people. The only place that does.

    Args:
        error: What a model raised.
        known_keys: Keys that exist anywhere in the settings, to suggest one in place of an unknown key.
        place: Where settings stand.

    Returns:
        Lines of the form ``file:line: key: what is wrong. Remedy: what to do``, without file and line where they aren't
        known. Values of secrets are never shown.
    """
    known = tuple(known_keys)
    lines: list[str] = []
    for detail in error.errors(include_url=False):
        for location, text in _findings(detail, known):
            where = place(location) if place else None
            lines.append(f"{where + ': ' if where else ''}{key_path(location)}: {text}")
    return lines


def key_path(location: Iterable[int | str]) -> str:
    """Write the place of a setting as the stack file and ``pulumi config --path`` have it, for example ``coderun-workspaces:repos[0].name``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return PREFIX + path.removeprefix(".")


def _findings(detail: ErrorDetails, known_keys: tuple[str, ...]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    location = tuple(part for part in detail["loc"] if part != "[key]")
    own = detail.get("ctx", {}).get("error")
    if isinstance(own, EntryError):
        yield from (((*location, entry), text) for entry, text in own.entries)
    else:
        yield location, _describe_one(detail, location, known_keys)


def _describe_one(detail: ErrorDetails, location: tuple[int | str, ...], known_keys: tuple[str, ...]) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    kind = detail["type"]
    match kind:
        case "extra_forbidden":
            unsupported = _not_supported(location)
            if unsupported:
                return f"{unsupported[0]}. Remedy: {unsupported[1]}"
            near = difflib.get_close_matches(str(location[-1]), known_keys, n=1)
            fault, remedy = "there is no such setting", f"did you mean {near[0]!r}?" if near else "remove it, or look it up in docs/parameters.md"
        case "value_error":
            # Our own validators: they bring the remedy with them.
            return str(context["error"])
        case "greater_than_equal":
            fault, remedy = f"must be at least {context['ge']}, is {_shown(detail['input'])}", f"give {context['ge']} or more"
        case "less_than_equal":
            fault, remedy = f"must be at most {context['le']}, is {_shown(detail['input'])}", f"give {context['le']} or less"
        case "string_pattern_mismatch":
            fault, remedy = f"{_shown(detail['input'])} has a form that isn't allowed", f"give a text that matches {context['pattern']}"
        case "enum" | "literal_error":
            fault, remedy = f"{_shown(detail['input'])} isn't one of the values allowed", f"give {context['expected']}"
        case _:
            fault, remedy = detail["msg"][0].lower() + detail["msg"][1:], _REMEDIES.get(kind, "see docs/parameters.md")
    return f"{fault}. Remedy: {remedy}"


def _not_supported(location: tuple[int | str, ...]) -> tuple[str, str] | None:
    match location:
        case ["repos", int(), str(key)]:
            return _NOT_SUPPORTED.get(_NOT_SUPPORTED_SPELLINGS.get(key, key))
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"

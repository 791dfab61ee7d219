"""The table of cases.yaml as objects, and a case more for everything that can be missing."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

_FILE: Final = Path(__file__).parent / "cases.yaml"
_TABLE: Final = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
_CLAIMS: Final = "claim"

RESOURCES: Final = {"template": "workflowtemplates", "workflow": "workflows", "cron": "cronworkflows", "claim": "persistentvolumeclaims"}
"""Name of an object of the table to the resource's name at the API server."""


@dataclass(frozen=True)
class Case:
    """An object, and the policies that it breaks.

    Attributes:
        name: What is wrong, in words.
        of: Name of the object of the table that it was made of.
        manifest: The object.
        policies: The policies; None where only the agreement of pack and gate is asked for.
    """

    name: str
    of: str
    manifest: dict[str, Any]
    policies: frozenset[str] | None

    @property
    def resource(self) -> str:
        """The resource's name at the API server."""
        return RESOURCES[self.of]


def right(of: str) -> dict[str, Any]:
    """A right object of the table."""
    found: dict[str, Any] = copy.deepcopy(_TABLE["objects"][of])
    return found


def written_cases() -> list[Case]:
    """The cases as a person wrote them."""
    found = []
    for row in _TABLE["cases"]:
        manifest = right(row["of"])
        # From the back, so that positions in lists stay what they are.
        for pointer in sorted(row.get("without", ()), reverse=True):
            holder, key = _holder(manifest, pointer)
            del holder[key]
        for pointer, value in row.get("with", {}).items():
            holder, key = _holder(manifest, pointer)
            if isinstance(holder, list) and key == len(holder):
                holder.append(value)
            else:
                holder[key] = value
        found.append(Case(row["case"], row["of"], manifest, frozenset(row["policies"])))
    return found


def missing_cases() -> list[Case]:
    """A case for every field and list item that is taken out of a right object, alone; claims are checked by Kubernetes itself."""
    found = []
    for of, manifest in _TABLE["objects"].items():
        if of == _CLAIMS:
            continue
        for pointer in _pointers(manifest, ""):
            if pointer.startswith(("/spec", "/metadata/labels")):
                changed = right(of)
                holder, key = _holder(changed, pointer)
                del holder[key]
                found.append(Case(f"{of} without {pointer}", of, changed, None))
    return found


def null_cases() -> list[Case]:
    """A case for every mapping and list of a right object that is null, as YAML makes it of a key without a value."""
    found = []
    for of, manifest in _TABLE["objects"].items():
        if of == _CLAIMS:
            continue
        for pointer in _pointers(manifest, ""):
            changed = right(of)
            holder, key = _holder(changed, pointer)
            if pointer.startswith("/spec") and isinstance(holder, dict) and isinstance(holder[key], dict | list):
                holder[key] = None
                found.append(Case(f"{of} with null at {pointer}", of, changed, None))
    return found


def _pointers(value: object, path: str) -> Iterator[str]:
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from _pointers(inner, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}")


def _holder(value: Any, pointer: str) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
    """What holds the value at a JSON pointer, and its key there."""
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("/").split("/")]
    for part in path:
        value = value[int(part) if isinstance(value, list) else part]
    return value, int(last) if isinstance(value, list) else last

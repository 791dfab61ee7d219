"""What changed: between old and new inputs, and between the cluster and what was left there.

Drift finds its way into the inputs when they are refreshed (`refreshed_inputs`), so a diff only
has to compare inputs with inputs, and what the API server adds or rewrites never shows.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from node.plugin.kinds import Kind
from node.plugin.values import UNKNOWN, Object, Value, contains_unknown

Path = tuple[str | int, ...]


class Change(Enum):
    """What happened to a property."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class Difference:
    """One changed property; `replaces` if it cannot be changed in place."""

    path: Path
    change: Change
    replaces: bool


class _Missing:
    """The type of _MISSING."""


_MISSING = _Missing()


def path_text(path: Path) -> str:
    """A property path as Pulumi writes it, e.g. `spec.containers[0].image`, `data["a.b"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.search(r'[."\[\]]', part):
            text += '["' + part.replace('"', '\\"') + '"]'
        else:
            text += f".{part}" if text else part
    return text


def immutable_paths(kind: Kind, new: Object, *, config_map_mutable: bool, secret_mutable: bool) -> tuple[str, ...]:
    """The paths whose change needs a replacement, for these new inputs and these options."""
    paths = ("metadata.name", "metadata.namespace", *kind.forces_replacement)
    frozen = new.get("immutable") is True
    if kind.kind == "ConfigMap" and (frozen or not config_map_mutable):
        paths += ("data", "binaryData")
    if kind.kind == "Secret" and (frozen or not secret_mutable):
        paths += ("data", "stringData")
    return paths


def compare(old: Object, new: Object, immutable: Sequence[str]) -> list[Difference]:
    """The differences of two sets of inputs, ordered by path as the new inputs have them."""
    frozen = [tuple(path.split(".")) for path in immutable]
    return [
        Difference(path, change, any(_touches(path, before, after, item) for item in frozen)) for path, change, before, after in _walk((), old, new)
    ]


def _walk(path: Path, old: Value, new: Value) -> Iterator[tuple[Path, Change, Value, Value]]:
    if old is _MISSING:
        yield path, Change.ADD, old, new
    elif new is _MISSING:
        yield path, Change.DELETE, old, new
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in (*new, *(key for key in old if key not in new)):
            yield from _walk((*path, key), old.get(key, _MISSING), new.get(key, _MISSING))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _walk(
                (*path, index),
                old[index] if index < len(old) else _MISSING,
                new[index] if index < len(new) else _MISSING,
            )
    elif old is UNKNOWN or new is UNKNOWN or type(old) is not type(new) or old != new:
        # 1 and 1.0 are one number, True and 1 are not.
        numbers = type(old) in (int, float) and type(new) in (int, float)
        if not (numbers and old == new):
            yield path, Change.UPDATE, old, new


def _touches(path: Path, before: Value, after: Value, frozen: tuple[str, ...]) -> bool:
    """Whether the change at `path` is one of `frozen`: below it, or of a parent that holds it."""
    names = tuple(part for part in path if isinstance(part, str))
    if names[: len(frozen)] == frozen:
        return True
    if frozen[: len(names)] != names or len(names) != len(path):
        return False
    return any(_holds(value, frozen[len(names) :]) for value in (before, after))


def _holds(value: Value, names: tuple[str, ...]) -> bool:
    for name in names:
        if value is UNKNOWN:
            return True
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def ignored(path: Path, patterns: Sequence[str]) -> bool:
    """Whether `ignore_changes` covers the path: it names it, or a parent of it."""
    text = path_text(path)
    return any(text == pattern or text.startswith((f"{pattern}.", f"{pattern}[")) for pattern in patterns)


def refreshed_inputs(inputs: Object, before: Object, live: Object) -> Object:
    """The inputs as the cluster has them now.

    `before` is the object as it was after the last deployment or refresh, `live` as it is now.
    Where both agree nothing drifted and the input stays as written, even if the API server spells
    it differently (1000m and 1, an empty list left out). Where they differ the live value is
    taken. Only what the inputs name is looked at, as by the official plugin: a key that somebody
    adds to a ConfigMap beside Pulumi's is not Pulumi's.
    """
    merged = _merge(inputs, before, live)
    return merged if isinstance(merged, dict) else inputs


def _merge(given: Value, before: Value, live: Value) -> Value:
    if isinstance(given, dict) and isinstance(live, dict):
        earlier = before if isinstance(before, dict) else {}
        merged: Object = {}
        for key, value in given.items():
            was = earlier.get(key, _MISSING)
            if key in live:
                merged[key] = _merge(value, was, live[key])
            elif was is _MISSING:
                merged[key] = value
        return merged
    if before is not _MISSING and before == live:
        return given
    if isinstance(given, list) and isinstance(live, list):
        earlier_items = before if isinstance(before, list) else []
        return [
            _merge(
                given[index] if index < len(given) else item,
                earlier_items[index] if index < len(earlier_items) else _MISSING,
                item,
            )
            for index, item in enumerate(live)
        ]
    return given if given == live else live


def with_encoded_strings(secret: Object) -> Object:
    """A Secret's inputs with `stringData` where the API server puts it: base64 under `data`."""
    texts = secret.get("stringData")
    if not isinstance(texts, dict) or contains_unknown(texts):
        return secret
    encoded = {key: b64encode(str(value).encode()).decode() for key, value in texts.items()}
    rest = {key: value for key, value in secret.items() if key != "stringData"}
    return {**rest, "data": {**(secret.get("data") or {}), **encoded}}


_SERVER_FIELDS = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)


def imported_inputs(live: Object) -> Object:
    """Inputs for an object that Pulumi has not deployed: all but what only the server writes."""
    inputs = {key: value for key, value in live.items() if key not in ("metadata", "status")}
    inputs["metadata"] = {key: value for key, value in live.get("metadata", {}).items() if key not in _SERVER_FIELDS}
    annotations = inputs["metadata"].get("annotations")
    if annotations is not None:
        kept = {
            key: value
            for key, value in annotations.items()
            if key
            not in (
                "deployment.kubernetes.io/revision",
                "kubectl.kubernetes.io/last-applied-configuration",
            )
        }
        inputs["metadata"]["annotations"] = kept
        if not kept:
            del inputs["metadata"]["annotations"]
    return inputs

"""Pulumi's property values as plain Python.

On the wire a property is JSON with two additions: a value that is not known yet (preview), and a
value that must stay secret. Here they are `UNKNOWN` and `Secret`; everything else is str, bool,
int, float, list and dict. Nulls in objects are dropped: to Kubernetes an unset field and a null
one are the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from google.protobuf import struct_pb2
from typing_extensions import override

# The signatures of sdk/go/common/resource/properties.go and .../plugin/rpc.go of Pulumi 3.259.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_MARK_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a type mark
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        _UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)

# Python cannot name these fields of a CustomResourceDefinition's schema, so the SDK spells them
# with underscores.
_DASHED = {
    name.replace("-", "_"): name
    for name in (
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    )
}
_UNDERSCORED = {dashed: name for name, dashed in _DASHED.items()}

Value: TypeAlias = Any
"""A property's value: text, number, bool, list, dict, Secret or UNKNOWN."""

Object = dict[str, Value]
"""A Kubernetes object or a part of one."""


class _Unknown:
    """The type of UNKNOWN."""

    @override
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""A value that will only be known once something else has been deployed."""


@dataclass(frozen=True)
class Secret:
    """A value that the engine keeps encrypted; its repr does not show it."""

    value: Any = field(repr=False)


def decode(struct: struct_pb2.Struct) -> Object:
    """The properties of a message from the engine."""
    return {_DASHED.get(key, key): _decode(value) for key, value in struct.fields.items() if value.WhichOneof("kind") not in (None, "null_value")}


def _decode(value: struct_pb2.Value) -> Value:
    match value.WhichOneof("kind"):
        case "string_value":
            decoded: Value = UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
        case "number_value":
            number = value.number_value
            decoded = int(number) if number.is_integer() else number
        case "bool_value":
            decoded = value.bool_value
        case "list_value":
            decoded = [_decode(item) for item in value.list_value.values]
        case "struct_value":
            decoded = _decode_struct(value.struct_value)
        case _:
            decoded = None
    return decoded


def _decode_struct(struct: struct_pb2.Struct) -> Value:
    fields = struct.fields
    signature = fields[_SIGNATURE].string_value if _SIGNATURE in fields else ""
    if signature == _MARK_SECRET:
        return Secret(_decode(fields["value"]))
    if signature == _OUTPUT:
        known = _decode(fields["value"]) if "value" in fields else UNKNOWN
        return Secret(known) if "secret" in fields and fields["secret"].bool_value else known
    if signature:
        raise ValueError("an asset, archive or resource reference is no value of a Kubernetes object. Remedy: pass text or numbers.")
    return decode(struct)


def encode(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """The properties as the engine wants them: the inverse of `decode`."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        struct.fields[_UNDERSCORED.get(key, key)].CopyFrom(_encode(value))
    return struct


def _encode(value: Value) -> struct_pb2.Value:
    match value:
        case Secret():
            marked = struct_pb2.Struct()
            marked.fields[_SIGNATURE].string_value = _MARK_SECRET
            marked.fields["value"].CopyFrom(_encode(value.value))
            encoded = struct_pb2.Value(struct_value=marked)
        case bool():
            encoded = struct_pb2.Value(bool_value=value)
        case int() | float():
            encoded = struct_pb2.Value(number_value=float(value))
        case str():
            encoded = struct_pb2.Value(string_value=value)
        case list():
            items = struct_pb2.ListValue(values=[_encode(item) for item in value])
            encoded = struct_pb2.Value(list_value=items)
        case dict():
            encoded = struct_pb2.Value(struct_value=encode(value))
        case None:
            encoded = struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case _ if value is UNKNOWN:
            encoded = struct_pb2.Value(string_value=_UNKNOWN_STRING)
        case _:
            raise TypeError(f"{type(value).__name__} is no property value")
    return encoded


def plain(value: Value) -> Value:
    """The value without its secret marks; for the API server and for comparisons only."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def contains_unknown(value: Value) -> bool:
    """Whether any part of the value is not known yet."""
    if isinstance(value, Secret):
        return contains_unknown(value.value)
    if isinstance(value, dict):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknown(item) for item in value)
    return value is UNKNOWN


def contains_secret(value: Value) -> bool:
    """Whether any part of the value is secret."""
    if isinstance(value, dict):
        return any(contains_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_secret(item) for item in value)
    return isinstance(value, Secret)


def mark_secrets(outputs: Object, inputs: Mapping[str, Any]) -> Object:
    """The outputs with everything secret that came from a secret input.

    A list with one secret in it becomes secret as a whole, as its order may differ in the cluster.
    The contents of a Kubernetes Secret are always secret, whatever the program said of them.
    """
    marked = dict(outputs)
    if marked.get("kind") == "Secret":
        for key in ("data", "stringData"):
            if key in marked:
                marked[key] = Secret(plain(marked[key]))
    for key, given in inputs.items():
        if key not in marked or isinstance(marked[key], Secret):
            continue
        if isinstance(marked[key], dict) and isinstance(given, dict):
            marked[key] = mark_secrets(marked[key], given)
        elif contains_secret(given):
            marked[key] = Secret(marked[key])
    return marked

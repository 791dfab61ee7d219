"""Property values: nothing is lost on the wire, and secrets stay marked."""

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from node.plugin.values import UNKNOWN, Object, Secret, Value, contains_secret, contains_unknown, decode, encode, mark_secrets, plain

leaves = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.text(), st.just(UNKNOWN))
values: st.SearchStrategy[Value] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3) | inner.map(Secret),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_encoding_loses_nothing(properties: Object) -> None:
    assert decode(encode(properties)) == properties


def test_nulls_are_dropped_from_objects() -> None:
    assert decode(encode({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}


def test_whole_numbers_are_integers() -> None:
    decoded = decode(encode({"n": 3.0, "f": 0.5, "t": True}))
    assert [type(decoded[key]) for key in ("n", "f", "t")] == [int, float, bool]


def test_dashed_fields_of_a_definition_travel_with_underscores() -> None:
    encoded = encode({"x-kubernetes-preserve-unknown-fields": True})
    assert list(encoded.fields) == ["x_kubernetes_preserve_unknown_fields"]
    assert decode(encoded) == {"x-kubernetes-preserve-unknown-fields": True}


def test_an_output_value_is_taken_apart() -> None:
    struct = struct_pb2.Struct()
    struct.update(
        {
            "known": {"4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4", "value": 1, "secret": True},
            "later": {"4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4"},
        },
    )
    assert decode(struct) == {"known": Secret(1), "later": UNKNOWN}


def test_an_asset_is_refused() -> None:
    struct = struct_pb2.Struct()
    struct.update({"a": {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17"}})
    with pytest.raises(ValueError, match="Remedy"):
        decode(struct)


def test_a_secret_does_not_show_itself() -> None:
    assert "hunter2" not in repr({"password": Secret("hunter2")})


def test_outputs_of_secret_inputs_are_secret() -> None:
    marked = mark_secrets({"spec": {"a": "x", "b": "y", "list": [1, 2]}}, {"spec": {"a": Secret("x"), "b": "y", "list": [Secret(1), 2]}})
    assert marked == {"spec": {"a": Secret("x"), "b": "y", "list": Secret([1, 2])}}


def test_contents_of_a_kubernetes_secret_are_always_secret() -> None:
    marked = mark_secrets({"kind": "Secret", "data": {"k": "dg=="}}, {"kind": "Secret", "data": {"k": "dg=="}})
    assert marked["data"] == Secret({"k": "dg=="})
    assert contains_secret(marked)
    assert plain(marked) == {"kind": "Secret", "data": {"k": "dg=="}}


def test_an_unknown_inside_a_secret_is_found() -> None:
    assert contains_unknown({"a": [Secret({"b": UNKNOWN})]})
    assert not contains_unknown({"a": [Secret({"b": 1})]})

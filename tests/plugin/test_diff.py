"""What the stand-in calls a change, an update, a replacement, drift."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.plugin.diff import (
    Change,
    compare,
    ignored,
    immutable_paths,
    imported_inputs,
    path_text,
    refreshed_inputs,
    with_encoded_strings,
)
from node.plugin.kinds import Kind, kind_of
from node.plugin.values import UNKNOWN, Object, Value

CONFIG_MAP = kind_of("kubernetes:core/v1:ConfigMap")
json_values: st.SearchStrategy[Value] = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(st.text(max_size=3), json_values, max_size=4)


def changes(old: Object, new: Object, kind: Kind = CONFIG_MAP, *, mutable: bool = True) -> dict[str, tuple[Change, bool]]:
    """Path to kind of change and whether it replaces."""
    paths = immutable_paths(kind, new, config_map_mutable=mutable, secret_mutable=mutable)
    return {path_text(found.path): (found.change, found.replaces) for found in compare(old, new, paths)}


@given(objects)
def test_an_object_does_not_differ_from_itself(obj: Object) -> None:
    assert compare(obj, obj, ()) == []


@given(objects, objects)
def test_different_objects_differ(one: Object, other: Object) -> None:
    same = repr(sorted(one.items())) == repr(sorted(other.items()))
    if not same and one != other:
        assert compare(one, other, ())


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("spec", "parallelism"), "spec.parallelism"),
        (("data", "exampleorg-sample-main"), "data.exampleorg-sample-main"),
        (("data", "a.b"), 'data["a.b"]'),
        (("spec", "containers", 0, "image"), "spec.containers[0].image"),
        (("data", 'q".x'), 'data["q\\".x"]'),
    ],
)
def test_paths_are_written_as_pulumi_does(path: tuple[str | int, ...], text: str) -> None:
    assert path_text(path) == text


def test_a_limit_is_updated_in_place_if_the_provider_allows_it() -> None:
    old, new = {"data": {"k": "1", "gone": "1"}}, {"data": {"k": "2", "new": "1"}}
    assert changes(old, new) == {
        "data.k": (Change.UPDATE, False),
        "data.new": (Change.ADD, False),
        "data.gone": (Change.DELETE, False),
    }


def test_a_limit_replaces_the_config_map_otherwise() -> None:
    assert changes({"data": {"k": "1"}}, {"data": {"k": "2"}}, mutable=False) == {"data.k": (Change.UPDATE, True)}


def test_an_immutable_config_map_is_replaced_even_so() -> None:
    old: Object = {"data": {"k": "1"}, "immutable": True}
    assert changes(old, {**old, "data": {"k": "2"}}) == {"data.k": (Change.UPDATE, True)}


def test_labels_never_replace() -> None:
    old: Object = {"metadata": {"name": "n", "namespace": "a", "labels": {"x": "1"}}}
    new: Object = {"metadata": {"name": "n", "namespace": "a", "labels": {"x": "2"}}}
    assert changes(old, new, mutable=False) == {"metadata.labels.x": (Change.UPDATE, False)}


def test_name_and_namespace_replace() -> None:
    old: Object = {"metadata": {"name": "n", "namespace": "a"}}
    assert changes(old, {"metadata": {"name": "m", "namespace": "b"}}) == {
        "metadata.name": (Change.UPDATE, True),
        "metadata.namespace": (Change.UPDATE, True),
    }


@pytest.mark.parametrize(
    ("token", "old", "new", "path", "replaces"),
    [
        ("core/v1:PersistentVolumeClaim", {"spec": {"storageClassName": "a"}}, {"spec": {"storageClassName": "b"}}, "spec.storageClassName", True),
        (
            "core/v1:PersistentVolumeClaim",
            {"spec": {"resources": {"requests": {"storage": "1Gi"}}}},
            {"spec": {"resources": {"requests": {"storage": "2Gi"}}}},
            "spec.resources.requests.storage",
            False,
        ),
        ("storage.k8s.io/v1:StorageClass", {"parameters": {"a": "1"}}, {"parameters": {"a": "2"}}, "parameters.a", True),
        ("batch/v1:Job", {"spec": {"template": {"spec": {"n": 1}}}}, {"spec": {"template": {"spec": {"n": 2}}}}, "spec.template.spec.n", True),
        ("batch/v1:Job", {"spec": {"suspend": True}}, {"spec": {"suspend": False}}, "spec.suspend", False),
        ("apps/v1:Deployment", {"spec": {"template": {"n": 1}}}, {"spec": {"template": {"n": 2}}}, "spec.template.n", False),
        ("rbac.authorization.k8s.io/v1:RoleBinding", {"roleRef": {"name": "a"}}, {"roleRef": {"name": "b"}}, "roleRef.name", True),
        ("rbac.authorization.k8s.io/v1:Role", {"rules": [{"verbs": ["get"]}]}, {"rules": [{"verbs": ["list"]}]}, "rules[0].verbs[0]", False),
        ("argoproj.io/v1alpha1:WorkflowTemplate", {"spec": {"parallelism": 5}}, {"spec": {"parallelism": 2}}, "spec.parallelism", False),
    ],
)
def test_what_replaces(token: str, old: Object, new: Object, path: str, *, replaces: bool) -> None:
    assert changes(old, new, kind_of(f"kubernetes:{token}")) == {path: (Change.UPDATE, replaces)}


def test_a_parent_that_brings_a_frozen_field_replaces() -> None:
    job = kind_of("kubernetes:batch/v1:Job")
    assert changes({}, {"spec": {"template": {}}}, job) == {"spec": (Change.ADD, True)}
    assert changes({}, {"spec": {"suspend": True}}, job) == {"spec": (Change.ADD, False)}


def test_an_unknown_value_counts_as_a_change() -> None:
    assert changes({"data": {"k": "1"}}, {"data": {"k": UNKNOWN}}) == {"data.k": (Change.UPDATE, False)}


def test_ignored_paths_cover_what_is_below_them() -> None:
    assert ignored(("spec", "replicas"), ["spec.replicas"])
    assert ignored(("spec", "containers", 0, "image"), ["spec.containers"])
    assert not ignored(("spec", "replicasets"), ["spec.replicas"])


@given(objects, objects)
def test_what_did_not_drift_stays_as_written(inputs: Object, live: Object) -> None:
    assert refreshed_inputs(inputs, live, live) == inputs


def test_a_hand_patched_value_is_drift() -> None:
    inputs: Object = {"data": {"a": "1", "b": "1"}}
    before: Object = {"data": {"a": "1", "b": "1"}, "metadata": {"uid": "u"}}
    live: Object = {"data": {"a": "2", "added": "9"}, "metadata": {"uid": "u"}}
    assert refreshed_inputs(inputs, before, live) == {"data": {"a": "2"}}


def test_what_the_server_rewrites_is_no_drift() -> None:
    inputs: Object = {"spec": {"cpu": "1000m", "ingress": [], "containers": [{"name": "c"}]}}
    live: Object = {"spec": {"cpu": "1", "containers": [{"name": "c", "imagePullPolicy": "Always"}], "extra": True}}
    assert refreshed_inputs(inputs, live, live) == inputs


def test_drift_inside_a_list_shows_only_what_the_inputs_name() -> None:
    inputs: Object = {"spec": {"containers": [{"image": "a"}]}}
    before: Object = {"spec": {"containers": [{"image": "a", "pull": "Always"}]}}
    live: Object = {"spec": {"containers": [{"image": "b", "pull": "Always"}]}}
    assert refreshed_inputs(inputs, before, live) == {"spec": {"containers": [{"image": "b"}]}}


def test_an_item_added_to_a_list_is_drift() -> None:
    inputs: Object = {"rules": ["a"]}
    assert refreshed_inputs(inputs, {"rules": ["a"]}, {"rules": ["a", "b"]}) == {"rules": ["a", "b"]}


def test_string_data_is_compared_as_the_server_stores_it() -> None:
    encoded = with_encoded_strings({"kind": "Secret", "data": {"a": "x"}, "stringData": {"b": "tö"}})
    assert encoded == {"kind": "Secret", "data": {"a": "x", "b": b64encode("tö".encode()).decode()}}


def test_an_import_leaves_out_what_only_the_server_writes() -> None:
    live: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "n",
            "uid": "u",
            "managedFields": [],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "data": {"k": "1"},
        "status": {},
    }
    assert imported_inputs(live) == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"k": "1"}}

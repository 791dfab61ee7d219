"""Checks, options, field ownership, readiness, and where the plugin is put."""

import subprocess
from pathlib import Path

import pytest

from node.plugin import launcher, readiness
from node.plugin.kinds import KINDS, UnsupportedError, kind_of
from node.plugin.ownership import taken_over
from node.plugin.readiness import NeverReadyError, Readiness
from node.plugin.service import check_inputs, checkpoint, live_part
from node.plugin.settings import active_cluster, load_kubeconfig, parse, refusals
from node.plugin.values import Object, Secret

CONFIG_MAP = kind_of("kubernetes:core/v1:ConfigMap")


def test_an_unknown_kind_is_refused_with_the_remedy() -> None:
    with pytest.raises(UnsupportedError, match=r"core/v1:Pod.*Remedy"):
        kind_of("kubernetes:core/v1:Pod")


def test_paths_of_kinds() -> None:
    assert CONFIG_MAP.path("argo", "x") == "/api/v1/namespaces/argo/configmaps/x"
    assert KINDS["kubernetes:storage.k8s.io/v1:StorageClass"].path("", "x") == "/apis/storage.k8s.io/v1/storageclasses/x"


def test_a_patch_is_of_the_kind_that_it_patches() -> None:
    patch = kind_of("kubernetes:core/v1:NamespacePatch")
    assert (patch.is_patch, patch.kind, patch.path("", "argo")) == (True, "Namespace", "/api/v1/namespaces/argo")
    assert not kind_of("kubernetes:core/v1:Namespace").is_patch
    inputs, failures = check_inputs(patch, {"kind": "Namespace", "metadata": {"name": "argo"}}, "x")
    assert (inputs["metadata"], failures) == ({"name": "argo"}, {})


def test_check_fills_in_namespace_version_and_kind() -> None:
    inputs, failures = check_inputs(CONFIG_MAP, {"metadata": {"name": "n"}}, "argo")
    assert inputs == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n", "namespace": "argo"}}
    assert failures == {}


def test_check_takes_the_namespace_from_a_cluster_wide_object() -> None:
    inputs, _ = check_inputs(kind_of("kubernetes:core/v1:Namespace"), {"metadata": {"name": "n", "namespace": "x"}}, "argo")
    assert inputs["metadata"] == {"name": "n"}


@pytest.mark.parametrize(
    ("given", "failing"),
    [
        ({"metadata": {}}, "metadata.name"),
        ({"metadata": {"generateName": "x-"}}, "metadata.name"),
        ({"kind": "Secret", "metadata": {"name": "n"}}, "kind"),
        ({"metadata": {"name": "n", "annotations": {"pulumi.com/replaceUnready": "true"}}}, "metadata.annotations"),
    ],
)
def test_check_names_what_is_wrong(given: Object, failing: str) -> None:
    _, failures = check_inputs(CONFIG_MAP, given, "argo")
    assert list(failures) == [failing]


@pytest.mark.parametrize("option", ["renderYamlToDirectory", "clusterIdentifier", "helmReleaseSettings", "deleteUnreachable", "cluster", "new"])
def test_options_that_cannot_be_followed_are_refused_by_name(option: str) -> None:
    assert option in refusals({option: "true"})[option]
    with pytest.raises(UnsupportedError, match=option):
        parse({f"kubernetes:config:{option}": "true"})


def test_followed_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE", raising=False)
    assert not parse({}).config_map_mutable
    settings = parse({"kubernetes:config:enableConfigMapMutable": "true", "kubernetes:config:context": "c", "kubernetes:config:namespace": "n"})
    assert (settings.config_map_mutable, settings.secret_mutable, settings.context, settings.namespace) == (True, False, "c", "n")
    monkeypatch.setenv("PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE", "true")
    assert parse({}).config_map_mutable
    assert not parse({"kubernetes:config:enableConfigMapMutable": "false"}).config_map_mutable


def test_client_side_apply_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="server-side"):
        parse({"kubernetes:config:enableServerSideApply": "false"})


KUBECONFIG = """
clusters: [{name: a, cluster: {server: "https://a"}}, {name: b, cluster: {server: "https://b"}}]
contexts: [{name: one, context: {cluster: a}}, {name: two, context: {cluster: b}}]
current-context: one
"""


def test_a_kubeconfig_is_a_path_or_its_contents(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    assert load_kubeconfig(str(file)) == load_kubeconfig(KUBECONFIG)
    assert load_kubeconfig("") is None


@pytest.mark.parametrize("value", ["/does/not/exist", "a: [1", "just\ntext"])
def test_what_is_no_kubeconfig_is_refused(value: str) -> None:
    with pytest.raises(UnsupportedError, match=r"kubeconfig.*Remedy"):
        load_kubeconfig(value)


def test_another_cluster_is_noticed() -> None:
    one, two = {"kubeconfig": KUBECONFIG}, {"kubeconfig": KUBECONFIG, "context": "two"}
    assert active_cluster(one) != active_cluster(two)
    assert active_cluster(one) == active_cluster({"kubeconfig": KUBECONFIG, "context": "one"})


def test_fields_of_kubectl_and_of_the_creation_are_taken_over() -> None:
    controller = {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:status": {}}}
    entries = [
        {"manager": "pulumi-kubernetes", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}, "f:b": {}}}},
        {"manager": "kubectl-patch", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}, "f:c": {}}}},
        controller,
    ]
    taken = taken_over(entries, "mine")
    assert taken is not None
    assert taken[0] == controller
    assert taken[1] == {"manager": "mine", "operation": "Apply", "fieldsV1": {"f:data": {"f:a": {}, "f:b": {}, "f:c": {}}}}
    assert taken_over(taken, "mine") is None


def test_subresources_and_other_managers_are_left_alone() -> None:
    entries = [
        {"manager": "kubectl", "operation": "Update", "subresource": "status", "fieldsV1": {}},
        {"manager": "somebody", "operation": "Apply", "fieldsV1": {}},
    ]
    assert taken_over(entries, "mine") is None


def holds(rule: str, obj: Object) -> bool:
    return all(item(obj).ready for item in readiness.wait_for_rules(rule))


def test_wait_for_a_condition() -> None:
    deployed: Object = {"status": {"conditions": [{"type": "Deployed", "status": "True"}]}}
    assert holds("condition=Deployed", deployed)
    assert not holds("condition=Deployed=False", deployed)
    assert not holds("condition=Ready", deployed)


def test_wait_for_a_path_and_a_list() -> None:
    obj: Object = {"status": {"phase": "Bound", "items": [{"a": 1}]}}
    assert holds("jsonpath={.status.phase}=Bound", obj)
    assert holds("jsonpath={.status.items[0].a}=1", obj)
    assert holds('["jsonpath={.status.phase}", "jsonpath={.status.phase}=Bound"]', obj)
    assert not holds("jsonpath={.status.phase}=Lost", obj)
    assert not holds("jsonpath={.status.other}", obj)


def test_a_stale_status_does_not_count() -> None:
    stale: Object = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}}
    assert not holds("condition=Ready", stale)


@pytest.mark.parametrize("rule", ["Ready", "jsonpath={.a[?(@.b)]}", "[]"])
def test_other_expressions_are_refused(rule: str) -> None:
    with pytest.raises(UnsupportedError, match="waitFor"):
        readiness.wait_for_rules(rule)


def test_a_job() -> None:
    assert not readiness.job({"status": {"active": 1}}).ready
    assert readiness.job({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}).ready
    with pytest.raises(NeverReadyError, match="BackoffLimitExceeded"):
        readiness.job({"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}})


def test_a_deployment() -> None:
    spec: Object = {"metadata": {"generation": 2}, "spec": {"replicas": 2}}
    done: Object = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    assert readiness.deployment({**spec, "status": done}).ready
    assert not readiness.deployment(spec).ready
    for short in ({"observedGeneration": 1}, {"replicas": 3}, {"updatedReplicas": 1}, {"availableReplicas": 1}):
        assert not readiness.deployment({**spec, "status": {**done, **short}}).ready


@pytest.mark.parametrize(("phase", "mode", "ready"), [("Bound", "", True), ("Pending", "", False), ("Pending", "WaitForFirstConsumer", True)])
def test_a_claim(phase: str, mode: str, *, ready: bool) -> None:
    assert readiness.claim({"status": {"phase": phase}}, mode).ready is ready


def test_a_timeout_comes_from_the_resource_then_the_annotation() -> None:
    annotated: Object = {"metadata": {"annotations": {"pulumi.com/timeoutSeconds": "5"}}}
    assert [readiness.timeout_seconds(7, annotated), readiness.timeout_seconds(0, annotated), readiness.timeout_seconds(0, {})] == [7, 5, 600]


def test_readiness_is_the_lack_of_a_message() -> None:
    assert Readiness().ready
    assert not Readiness("waiting").ready


def test_a_checkpoint_keeps_every_copy_of_a_secret_secret() -> None:
    inputs: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "n"}, "stringData": {"k": "hunter2"}}
    live: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "n"}, "data": {"k": "aHVudGVyMg=="}}
    outputs = checkpoint(inputs, live, inputs, "m")
    assert outputs["data"] == Secret({"k": "aHVudGVyMg=="})
    assert outputs["__inputs"]["stringData"] == Secret({"k": "hunter2"})
    assert live_part(outputs) == live


def test_the_launcher_starts_this_checkout(tmp_path: Path) -> None:
    written = launcher.write_launcher(tmp_path / "bin")
    assert written.name == "pulumi-resource-kubernetes"
    started = subprocess.Popen([written, "127.0.0.1:1"], stdout=subprocess.PIPE, cwd=tmp_path, text=True)
    try:
        assert started.stdout is not None
        assert int(started.stdout.readline()) > 0
    finally:
        started.terminate()
        started.communicate(timeout=30)


def test_the_official_plugin_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    assert not launcher.official_plugin_installed()
    folder = tmp_path / "plugins" / "resource-kubernetes-v4.34.2"
    folder.mkdir(parents=True)
    (folder / "pulumi-resource-kubernetes").touch()
    assert launcher.official_plugin_installed()

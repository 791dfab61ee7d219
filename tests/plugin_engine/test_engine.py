"""`pulumi up`, `preview`, `refresh`, `import` and `destroy` as users run them, with the stand-in."""

import base64
import json
import time

import pytest

from tests.plugin_engine.program import COMMAND_SECONDS, Program, kubectl

CONFIG_MAP = "core/v1:ConfigMap"
PASSWORD = "correct-horse-battery"
KEY = "exampleorg-sample-main"
DOTTED = "exampleorg-sample-release.1"


@pytest.fixture
def limits(program: Program) -> Program:
    """A program that has deployed a ConfigMap of limits."""
    program.add("limits", CONFIG_MAP, data={KEY: "1", DOTTED: "1"})
    program.up()
    return program


def test_a_second_up_changes_nothing(limits: Program) -> None:
    text = limits.up("--expect-no-changes")
    assert "unchanged" in text


def test_it_says_that_it_is_the_stand_in(limits: Program) -> None:
    assert "stand-in for the plugin pulumi-resource-kubernetes" in limits.run("preview")


def test_a_changed_limit_is_one_update_in_place(limits: Program) -> None:
    before = limits.get("configmap", "limits")["metadata"]["uid"]
    limits.add("limits", CONFIG_MAP, data={KEY: "2", DOTTED: "3"})
    assert limits.planned() == {"limits": ("update", {f"data.{KEY}": "update", f'data["{DOTTED}"]': "update"})}
    limits.up()
    live = limits.get("configmap", "limits")
    assert (live["data"], live["metadata"]["uid"]) == ({KEY: "2", DOTTED: "3"}, before)


def test_a_key_that_is_no_longer_wanted_goes(limits: Program) -> None:
    limits.add("limits", CONFIG_MAP, data={KEY: "1"})
    assert limits.planned() == {"limits": ("update", {f'data["{DOTTED}"]': "delete"})}
    limits.up()
    assert limits.get("configmap", "limits")["data"] == {KEY: "1"}


def test_without_the_option_a_changed_limit_replaces(program: Program) -> None:
    program.options = {}
    program.add("limits", CONFIG_MAP, data={KEY: "1"})
    program.up()
    before = program.get("configmap", "limits")["metadata"]["uid"]
    program.add("limits", CONFIG_MAP, data={KEY: "2"})
    assert program.planned()["limits"][1] == {f"data.{KEY}": "update-replace"}
    program.up()
    live = program.get("configmap", "limits")
    assert live["data"] == {KEY: "2"}
    assert live["metadata"]["uid"] != before


def test_drift_shows_after_a_refresh_and_up_wins(limits: Program) -> None:
    limits.refresh()
    assert limits.planned() == {}
    limits.patch("configmap", "limits", {"data": {KEY: "9"}})
    assert limits.planned() == {}
    limits.refresh()
    assert limits.planned() == {"limits": ("update", {f"data.{KEY}": "update"})}
    limits.up()
    assert limits.get("configmap", "limits")["data"][KEY] == "1"
    limits.refresh()
    assert limits.planned() == {}


def test_drift_of_a_removed_object_is_a_create(limits: Program) -> None:
    kubectl("delete", "configmap", "limits", "--namespace", limits.namespace)
    limits.refresh()
    assert {name: op for name, (op, _) in limits.planned().items()} == {"limits": "create"}


def test_server_defaults_are_no_drift(program: Program) -> None:
    pod = {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}], "restartPolicy": "Never"}
    awaited_by_nobody = {"pulumi.com/skipAwait": "true"}
    program.add("cron", "batch/v1:CronJob", spec={"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": {"spec": pod}}}})
    program.add("open", "networking/v1:NetworkPolicy", spec={"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []})
    program.add("reader", "rbac/v1:Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])
    program.add(
        "claim",
        "core/v1:PersistentVolumeClaim",
        annotations=awaited_by_nobody,
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}, "storageClassName": "none-such"},
    )
    program.up()
    program.up("--expect-no-changes")
    program.refresh()
    assert program.planned() == {}


def test_a_patch_sets_its_fields_and_gives_them_up(program: Program) -> None:
    name = f"{program.namespace}-other"
    kubectl("create", "namespace", name)
    try:
        kubectl("label", "namespace", name, "of=others")

        def labels() -> dict[str, str]:
            found: dict[str, str] = json.loads(kubectl("get", "namespace", name, "--output", "json"))["metadata"]["labels"]
            return {key: value for key, value in found.items() if key in ("limit", "of")}

        def limited(value: str) -> None:
            program.objects["patch"] = ("core/v1:NamespacePatch", {"metadata": {"name": name, "labels": {"limit": value}}})

        limited("20")
        program.up()
        assert labels() == {"limit": "20", "of": "others"}
        limited("30")
        assert program.planned() == {"patch": ("update", {"metadata.labels.limit": "update"})}
        program.up()
        program.refresh()
        assert program.planned() == {}
        assert labels() == {"limit": "30", "of": "others"}
        del program.objects["patch"]
        program.up()
        assert labels() == {"of": "others"}, "the object stays, with what is not the patch's"
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def test_a_patch_of_what_is_not_there_is_refused(program: Program) -> None:
    program.objects["patch"] = ("core/v1:NamespacePatch", {"metadata": {"name": "no-such-namespace", "labels": {"limit": "1"}}})
    done = program.attempt("up", "--yes", "--skip-preview")
    assert done.code != 0
    assert 'namespaces "no-such-namespace" not found' in done.text
    assert kubectl("get", "namespace", "no-such-namespace", "--ignore-not-found") == ""


def test_destroy_leaves_nothing(limits: Program) -> None:
    limits.add("who", "core/v1:ServiceAccount")
    limits.up()
    limits.destroy()
    assert kubectl("get", "namespace", limits.namespace, "--ignore-not-found") == ""
    assert "resources" not in json.loads(limits.run("stack", "export"))["deployment"]


def test_destroy_does_not_mind_what_is_gone_already(limits: Program) -> None:
    kubectl("delete", "configmap", "limits", "--namespace", limits.namespace)
    limits.destroy()


def test_a_secret_is_nowhere_in_clear(program: Program) -> None:
    program.add("token", "core/v1:Secret")
    texts = [program.run("config", "set", "--secret", "password", PASSWORD), program.run("preview", "--diff"), program.up("--diff")]
    assert base64.b64decode(program.get("secret", "token")["data"]["password"]).decode() == PASSWORD
    assert program.planned() == {}
    texts += [program.refresh(), program.run("preview", "--diff")]
    assert program.planned() == {}
    texts.append(program.run("config", "set", "--secret", "password", PASSWORD + "2"))
    texts += [program.run("preview", "--diff"), program.up("--diff")]
    assert base64.b64decode(program.get("secret", "token")["data"]["password"]).decode() == PASSWORD + "2"
    texts += [file.read_text() for file in program.folder.rglob("*") if file.is_file()]
    encoded = base64.b64encode(PASSWORD.encode()).decode().rstrip("=")[:-1]
    for text in texts:
        assert PASSWORD not in text
        assert encoded not in text


def test_a_kind_beyond_this_stack_is_refused(program: Program) -> None:
    program.add("range", "core/v1:LimitRange", spec={"limits": []})
    done = program.attempt("preview")
    assert done.code != 0
    assert "does not know kubernetes:core/v1:LimitRange" in done.text
    assert "Remedy" in done.text


def test_an_option_that_cannot_be_followed_is_refused(program: Program) -> None:
    program.options = {"render_yaml_to_directory": "out"}
    done = program.attempt("preview")
    assert done.code != 0
    assert "cannot follow the option renderYamlToDirectory" in done.text


def test_a_misspelt_field_is_refused_before_anything_is_made(program: Program) -> None:
    program.up()
    program.add("limits", CONFIG_MAP, data={"a": "1"})
    program.objects["limits"][1]["metadata"]["labels"] = {"not a label": "x"}
    done = program.attempt("preview")
    assert done.code != 0
    assert "not a label" in done.text


def test_an_existing_object_is_not_taken_over_but_can_be_imported(program: Program) -> None:
    program.up()
    kubectl("create", "configmap", "limits", "--namespace", program.namespace, f"--from-literal={KEY}=1")
    program.add("limits", CONFIG_MAP, data={KEY: "2"})
    done = program.attempt("up", "--yes", "--skip-preview")
    assert done.code != 0
    assert f"pulumi import kubernetes:core/v1:ConfigMap <resource name> {program.namespace}/limits" in done.text
    assert program.get("configmap", "limits")["data"] == {KEY: "1"}

    urn = next(r["urn"] for r in json.loads(program.run("stack", "export"))["deployment"]["resources"] if r["type"] == "pulumi:providers:kubernetes")
    program.run(
        "import",
        "kubernetes:core/v1:ConfigMap",
        "limits",
        f"{program.namespace}/limits",
        "--provider",
        f"cluster={urn}",
        "--yes",
        "--protect=false",
        "--generate-code=false",
        "--skip-preview",
    )
    assert program.planned() == {"limits": ("update", {f"data.{KEY}": "update"})}
    program.up()
    assert program.get("configmap", "limits")["data"] == {KEY: "2"}


def test_up_waits_for_what_the_annotation_names(program: Program) -> None:
    program.up()
    program.add("gate", CONFIG_MAP, annotations={"pulumi.com/waitFor": "jsonpath={.data.open}=yes"}, data={"open": "no"})
    process = program.start("up", "--yes", "--skip-preview")
    with process:
        deadline = time.monotonic() + COMMAND_SECONDS
        while not kubectl("get", "configmap", "gate", "--namespace", program.namespace, "--ignore-not-found"):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
        assert process.poll() is None
        program.patch("configmap", "gate", {"data": {"open": "yes"}})
        text, _ = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 0, text


def test_what_does_not_get_ready_fails_up_and_is_kept_in_the_state(program: Program) -> None:
    program.up()
    program.add(
        "gate",
        CONFIG_MAP,
        annotations={"pulumi.com/waitFor": "jsonpath={.data.open}=yes", "pulumi.com/timeoutSeconds": "1"},
        data={"open": "no"},
    )
    done = program.attempt("up", "--yes", "--skip-preview")
    assert done.code != 0
    assert ".data.open is no, not yes" in done.text
    program.add("gate", CONFIG_MAP, data={"open": "yes"})
    program.up()
    program.destroy()
    assert kubectl("get", "namespace", program.namespace, "--ignore-not-found") == ""

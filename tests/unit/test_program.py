"""The program itself under Pulumi's mocks, and what is rendered of it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
import pytest
import yaml

from components import git_maintenance_spec, render, sweeper_spec
from components.batch_spec import batch_spec
from components.parameter_admission_spec import admission_binding_spec, admission_policy_spec
from components.render import Registered, run_program
from components.workflow_admission_spec import binding_spec, claim_policy_spec, template_policy_spec, workflow_policy_spec
from components.workflow_template_spec import container_security_context, workflow_template_spec
from config import keys
from config.errors import ConfigError
from config.program_settings import load_program_settings
from config.stack_file import load_stack_file
from tests.unit.stack_files import CREATED_CLASS, DEV, write_stack_file

PROJECT = DEV.parent
TOKENS: dict[str, Any] = {
    "credentials": [
        {"owner": "exampleorg", "githubApp": "rex", "token": {"secure": "v1:abc"}},
        {"owner": "other", "githubApp": "rex", "secretName": "existing"},
    ],
}


@pytest.fixture(scope="module")
def dev() -> list[Registered]:
    return run_program(DEV)


def objects(registered: list[Registered]) -> dict[str, dict[str, Any]]:
    return {f"{manifest['kind']}/{manifest['metadata']['name']}": manifest for one in registered if (manifest := one.manifest)}


def test_every_object_of_the_dev_stack(dev: list[Registered]) -> None:
    assert sorted(objects(dev)) == [
        "ConfigMap/coderun-repos",
        "ConfigMap/workflow-semaphores",
        "CronJob/coderun-git-maintenance",
        "CronJob/coderun-sweeper",
        "EventBus/default",
        "EventSource/github",
        "Job/coderun-shared-prepare",
        "NetworkPolicy/coderun-event-bus",
        "NetworkPolicy/coderun-event-source",
        "NetworkPolicy/coderun-sensor",
        "PersistentVolumeClaim/coderun-shared",
        "Role/coderun-batch",
        "Role/coderun-sweeper",
        "Role/coderun-workflow",
        "Role/repo-workflow-sensor",
        "RoleBinding/coderun-batch",
        "RoleBinding/coderun-sweeper",
        "RoleBinding/coderun-workflow",
        "RoleBinding/repo-workflow-sensor",
        "Secret/github-webhook",
        "Sensor/repo-workflow-sensor",
        "Service/github-webhook",
        "ServiceAccount/coderun-batch",
        "ServiceAccount/coderun-eventbus-default",
        "ServiceAccount/coderun-eventsource-github",
        "ServiceAccount/coderun-sweeper",
        "ServiceAccount/coderun-workflow",
        "ServiceAccount/repo-workflow-sensor",
        "ValidatingAdmissionPolicy/coderun-claims-dev",
        "ValidatingAdmissionPolicy/coderun-parameters-dev",
        "ValidatingAdmissionPolicy/coderun-templates-dev",
        "ValidatingAdmissionPolicy/coderun-workflows-dev",
        "ValidatingAdmissionPolicyBinding/coderun-claims-dev",
        "ValidatingAdmissionPolicyBinding/coderun-parameters-dev",
        "ValidatingAdmissionPolicyBinding/coderun-templates-dev",
        "ValidatingAdmissionPolicyBinding/coderun-workflows-dev",
        "WorkflowTemplate/coderun-batch",
        "WorkflowTemplate/coderun-template",
    ]


def test_every_object_has_an_explicit_name_and_namespace(dev: list[Registered]) -> None:
    for name, manifest in objects(dev).items():
        assert ("namespace" in manifest["metadata"]) == (not name.startswith("Validating")), name


def test_the_one_provider_updates_config_maps_in_place(dev: list[Registered]) -> None:
    (provider,) = [one for one in dev if one.type == "pulumi:providers:kubernetes"]
    assert provider.inputs["enableConfigMapMutable"] in (True, "true")
    assert provider.inputs["enableServerSideApply"] in (True, "true")


def test_the_dev_stack_disables_default_providers() -> None:
    assert yaml.safe_load(DEV.read_text(encoding="utf-8"))["config"]["pulumi:disable-default-providers"] == ["kubernetes"]


def test_what_is_registered_is_what_the_pure_functions_make(dev: list[Registered]) -> None:
    config, found = load_stack_file(DEV), objects(dev)
    assert found["WorkflowTemplate/coderun-template"]["spec"] == workflow_template_spec(config, "dev")
    assert found["CronJob/coderun-git-maintenance"]["spec"] == git_maintenance_spec.cron_job_spec(config)
    assert found["WorkflowTemplate/coderun-batch"]["spec"] == batch_spec(config)
    assert found["ValidatingAdmissionPolicy/coderun-parameters-dev"]["spec"] == admission_policy_spec()
    assert found["ValidatingAdmissionPolicyBinding/coderun-parameters-dev"]["spec"] == admission_binding_spec("coderun-parameters-dev", "argo")
    assert found["ValidatingAdmissionPolicy/coderun-workflows-dev"]["spec"] == workflow_policy_spec(config)
    assert found["ValidatingAdmissionPolicy/coderun-templates-dev"]["spec"] == template_policy_spec(config)
    assert found["ValidatingAdmissionPolicy/coderun-claims-dev"]["spec"] == claim_policy_spec(config)
    assert found["ValidatingAdmissionPolicyBinding/coderun-claims-dev"]["spec"] == binding_spec("coderun-claims-dev", config)


def test_an_exemption_of_the_gate_is_written_where_it_holds(tmp_path: Path) -> None:
    exempt = [{"name": "legacy-import", "reason": "It moves to another namespace in March."}]
    found = objects(run_program(write_stack_file(tmp_path, "blue", admission={"exemptTemplates": exempt})))
    metadata = found["ValidatingAdmissionPolicy/coderun-templates-blue"]["metadata"]
    assert metadata["annotations"] == {"coderun/exempt-templates": "legacy-import: It moves to another namespace in March."}
    assert "annotations" not in found["ValidatingAdmissionPolicy/coderun-workflows-blue"]["metadata"]


def test_settings_under_which_the_gate_refuses_the_stack_itself_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main(["--config", str(write_stack_file(tmp_path, parallelism=60)), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "coderun-workspaces:parallelism: is above admission.maxParallelism (50)" in told
    assert "Traceback" not in told


def test_the_shared_claim(dev: list[Registered]) -> None:
    claim = objects(dev)["PersistentVolumeClaim/coderun-shared"]
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "storageClassName": "local-path", "resources": {"requests": {"storage": "20Gi"}}}
    assert claim["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


def test_the_prepare_job_is_confined_and_unchanged_by_the_kubelet(dev: list[Registered]) -> None:
    spec = objects(dev)["Job/coderun-shared-prepare"]["spec"]
    assert "ttlSecondsAfterFinished" not in spec, "refresh would find it gone"
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"]
    script = container["command"][2]
    assert "$" not in script.replace("$$", "")


def test_rights_are_those_that_the_steps_use(dev: list[Registered]) -> None:
    rules = {(rule["apiGroups"][0], rule["resources"][0]): set(rule["verbs"]) for rule in objects(dev)["Role/coderun-workflow"]["rules"]}
    assert rules == {
        ("argoproj.io", "workflowtaskresults"): {"create", "patch"},
        ("platform.example.io", "coderuns"): {"get", "list", "watch", "create", "patch", "delete"},
        ("", "pods"): {"get", "list", "watch", "delete"},
        ("", "persistentvolumeclaims"): {"get", "list", "create", "patch", "delete"},
        ("", "events"): {"get", "list"},
        ("argoproj.io", "workflows"): {"get", "list"},
    }


def test_the_sweepers_rights_are_those_that_it_uses(dev: list[Registered]) -> None:
    rules = {
        (rule["apiGroups"][0], rule["resources"][0]): (set(rule["verbs"]), rule.get("resourceNames"))
        for rule in objects(dev)["Role/coderun-sweeper"]["rules"]
    }
    assert rules == {
        ("argoproj.io", "workflows"): ({"list"}, None),
        ("platform.example.io", "coderuns"): ({"get", "list", "delete"}, None),
        ("", "pods"): ({"list", "delete"}, None),
        ("", "persistentvolumeclaims"): ({"list", "delete"}, None),
        ("", "events"): ({"list"}, None),
        ("", "configmaps"): ({"create", "patch"}, ["coderun-sweeper-report"]),
        ("batch", "cronjobs"): ({"get"}, ["coderun-sweeper"]),
    }
    (subject,) = objects(dev)["RoleBinding/coderun-sweeper"]["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "coderun-sweeper", "namespace": "argo"}


def test_the_sweeper_is_confined_as_the_steps_are(dev: list[Registered]) -> None:
    config, found = load_stack_file(DEV), objects(dev)
    spec = found["CronJob/coderun-sweeper"]["spec"]
    assert spec == sweeper_spec.cron_job_spec(config)
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("*/5 * * * *", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert (pod["restartPolicy"], pod["serviceAccountName"]) == ("Never", "coderun-sweeper")
    assert pod["securityContext"] == found["WorkflowTemplate/coderun-template"]["spec"]["securityContext"]
    assert container["securityContext"] == container_security_context()
    assert container["resources"]["limits"]["memory"]
    script = container["command"][2]
    assert "$" not in script.replace("$$", "")
    # The kernel takes no argument above 128 KiB.
    assert len(script) < 100_000
    given = {variable["name"]: variable["value"] for variable in container["env"]}
    for checked in re.findall(r"for name in ([A-Z_ \\\n]+); do", script):
        assert set(checked.replace("\\", " ").split()) <= set(given)
    assert int(given["SWEEP_TIMEOUT_SECONDS"]) < job["activeDeadlineSeconds"]
    assert given["CLAIM_SIZE_BYTES"] == str(20 * 2**30)


def test_rights_of_a_batch(dev: list[Registered]) -> None:
    rules = {(rule["apiGroups"][0], rule["resources"][0]): set(rule["verbs"]) for rule in objects(dev)["Role/coderun-batch"]["rules"]}
    assert rules == {
        ("argoproj.io", "workflowtaskresults"): {"create", "patch"},
        ("argoproj.io", "workflows"): {"get", "list", "watch", "create", "patch"},
    }


def test_the_number_of_workflows_is_a_label_of_the_namespace_if_it_is_set(dev: list[Registered], tmp_path: Path) -> None:
    assert "Namespace/argo" not in objects(dev)
    files, _ = render.render(write_stack_file(tmp_path, workflowsAtOnce=20))
    assert yaml.safe_load(files["namespace-argo.yaml"]) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "argo", "labels": {"workflows.argoproj.io/parallelism-limit": "20"}},
    }


def test_the_limits(dev: list[Registered]) -> None:
    data = objects(dev)["ConfigMap/workflow-semaphores"]["data"]
    assert data["exampleorg-sample-main"] == "5"
    assert data["exampleorg-sample-limited"] == "1"


def test_two_stacks_share_no_cluster_scoped_name(tmp_path: Path) -> None:
    def names(stack: str) -> set[str]:
        registered = run_program(write_stack_file(tmp_path, stack, storage={"shared": {"storageClass": CREATED_CLASS}}))
        return {name for name, manifest in objects(registered).items() if "namespace" not in manifest["metadata"]}

    blue, green = names("blue"), names("green")
    assert "StorageClass/fast-blue" in blue
    assert len(blue) == len(green) == 9
    assert not blue & green


def test_the_claim_uses_the_class_that_the_stack_makes(tmp_path: Path) -> None:
    found = objects(run_program(write_stack_file(tmp_path, "blue", storage={"shared": {"storageClass": CREATED_CLASS}})))
    assert found["PersistentVolumeClaim/coderun-shared"]["spec"]["storageClassName"] == "fast-blue"
    assert found["StorageClass/fast-blue"]["volumeBindingMode"] == "WaitForFirstConsumer"


def test_a_stack_name_that_kubernetes_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"the stack's name 'A_b'.*Remedy"):
        run_program(write_stack_file(tmp_path, "A_b"))


def test_a_token_becomes_a_secret_and_an_existing_secret_is_left_alone(tmp_path: Path) -> None:
    found = objects(run_program(write_stack_file(tmp_path, **TOKENS)))
    secrets = {name: manifest for name, manifest in found.items() if name.startswith("Secret/")}
    assert list(secrets) == ["Secret/git-exampleorg.rex"]
    given = secrets["Secret/git-exampleorg.rex"]["stringData"]
    assert given[pulumi.runtime.rpc._special_sig_key] == pulumi.runtime.rpc._special_secret_sig, "marked, so that the state holds it encrypted"  # noqa: SLF001
    assert given["value"] == {"username": "x-access-token", "password": "withheld: a secret of the stack"}
    others = yaml.safe_dump({name: manifest for name, manifest in found.items() if name not in secrets})
    assert "withheld" not in others, "the token goes nowhere else"
    assert (
        found["ConfigMap/coderun-repos"]["data"]["repos.tsv"] == "credential\texampleorg\trex\tgit-exampleorg.rex\ncredential\tother\trex\texisting\n"
    )


def test_the_program_refuses_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="coderun-workspaces:paralelism"):
        run_program(write_stack_file(tmp_path, paralelism=3))


def test_rendered_files_are_the_registered_objects(dev: list[Registered], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render.main(["--config", str(DEV), "--out", str(tmp_path)]) == 0
    read = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()}
    rendered = {render.file_name(manifest): manifest for one in dev if (manifest := one.manifest) and manifest["kind"] != "Secret"}
    assert read == rendered
    assert "workflowtemplate-argo-coderun-template.yaml" in read
    assert "validatingadmissionpolicy-coderun-parameters-dev.yaml" in read
    said = capsys.readouterr().out
    assert "Secret argo/git-exampleorg-rex is left out" in said
    assert "Secret argo-events/github-webhook is left out: provide it, with secret" in said


def test_secrets_are_not_rendered_but_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert render.main(["--config", str(write_stack_file(tmp_path, **TOKENS)), "--out", str(out)]) == 0
    assert [path for path in out.iterdir() if path.name.startswith("secret")] == []
    said = capsys.readouterr().out
    assert "argo/git-exampleorg.rex" in said
    assert "argo/existing" in said


def test_keys_prints_a_line_a_semaphore(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["--config", str(DEV)]) == 0
    assert "exampleorg/sample\tlimited\texampleorg-sample-limited\t1" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("command", [keys.main, render.main])
def test_commands_tell_what_is_wrong(command: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["--config", str(write_stack_file(tmp_path, parallelism=0))]) == 1
    assert "coderun-workspaces:parallelism: must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["config.keys", "config.json_schema", "components.render", "policies.check"])
def test_commands_have_help(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert f"python -m {module}" in done.stdout


def test_the_engine_is_told_of_wrong_settings_without_a_traceback() -> None:
    pulumi.runtime.set_mocks(render.RecordingMocks(), project="coderun-workspaces", stack="test")
    pulumi.runtime.set_all_config({"coderun-workspaces:parallelism": "0", "coderun-workspaces:images": '{"workspace": "x"}'})
    with pytest.raises(pulumi.RunError, match=r"Pulumi\.test\.yaml(.|\n)*coderun-workspaces:parallelism: must be at least 1"):
        load_program_settings()


def test_a_token_that_the_engine_does_not_hold_as_a_secret_is_refused() -> None:
    credentials = '[{"owner": "a", "githubApp": "rex", "token": "ghp_in_clear"}]'
    pulumi.runtime.set_mocks(render.RecordingMocks(), project="coderun-workspaces", stack="test")
    pulumi.runtime.set_all_config({"coderun-workspaces:images": '{"workspace": "x"}', "coderun-workspaces:credentials": credentials}, [])
    with pytest.raises(pulumi.RunError) as raised:
        load_program_settings()
    assert "a secret stands here in clear" in str(raised.value)
    assert "ghp_in_clear" not in str(raised.value)

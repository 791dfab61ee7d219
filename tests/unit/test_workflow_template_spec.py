"""The template of a run, as the issue and the contract want it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import payload
from components.argo_types import Template, WorkflowSpec
from components.workflow_template_spec import SLACK_SECONDS, workflow_deadline_seconds, workflow_template_spec
from config.settings import StackConfig
from tests.unit.stack_files import CREATED_CLASS, config_with

TAG = re.compile(r"\{\{(.*?)\}\}")
SCRIPTS = (
    "resolve",
    "claim",
    "init-worktree",
    "init-worktree-own-claim",
    "create-coderun",
    "create-coderun-own-claim",
    "cleanup",
    "keep-own-claim",
)
BASE = "base/{{inputs.parameters.owner}}/{{inputs.parameters.repo}}.git"
TREE = "trees/{{inputs.parameters.task-id}}"
AGENT = {"image": "registry.example/agent:1", "command": ["sh", "-c", 'echo "$(date) $$ $HOME"']}


@pytest.fixture(scope="module")
def config() -> StackConfig:
    return config_with(
        storage={"own": {"storageClass": {"name": "fast"}}},
        coderun={"spec": AGENT},
        deadlines={
            "resolveSeconds": 100,
            "queueSeconds": 200,
            "initSeconds": 30,
            "fenceSeconds": 40,
            "runSeconds": 500,
            "cleanupSeconds": 60,
            "claimSeconds": 70,
        },
    )


@pytest.fixture(scope="module")
def spec(config: StackConfig) -> WorkflowSpec:
    return workflow_template_spec(config, "test")


@pytest.fixture(scope="module")
def templates(spec: WorkflowSpec) -> dict[str, Template]:
    return {template["name"]: template for template in spec["templates"]}


def env(template: Template) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in template["script"]["env"]}


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def coderun(template: Template) -> dict[str, Any]:
    """The CodeRun as the script gets it: the kubelet makes one dollar sign of two."""
    manifest: dict[str, Any] = json.loads(env(template)["CODERUN_MANIFEST"].replace("$$", "$"))
    return manifest


def test_entry_and_exit(spec: WorkflowSpec) -> None:
    assert (spec["entrypoint"], spec["onExit"], spec["serviceAccountName"]) == ("coderun-main", "on-exit", "coderun-workflow")


def test_parallelism_is_a_whole_number_of_the_settings() -> None:
    assert workflow_template_spec(config_with(parallelism="7"), "test")["parallelism"] == 7


def test_parameters_are_those_of_the_contract(spec: WorkflowSpec) -> None:
    given = {parameter["name"]: parameter.get("value") for parameter in spec["arguments"]["parameters"]}
    assert given == {
        "owner": None,
        "repo": None,
        "ref": "refs/heads/main",
        "taskId": "",
        "prNumber": "",
        "baseRef": "",
        "github-app": "default",
        "usePVC": "false",
    }


def test_the_spec_does_not_depend_on_the_repo_list(spec: WorkflowSpec) -> None:
    assert workflow_template_spec(config_with(), "test") == workflow_template_spec(
        config_with(repos=[{"owner": "a", "name": "b", "branches": {"x": 2}}]), "test"
    )
    assert spec


def encoded(parameter: str) -> str:
    """What stands for a parameter in the template."""
    return f"{{{{=sprig.b64enc(workflow.parameters['{parameter}'])}}}}"


def test_raw_parameters_reach_resolves_environment_and_nothing_else(spec: WorkflowSpec) -> None:
    for template in spec["templates"]:
        raw = [text for text in texts(template) if "workflow.parameters" in text]
        if template["name"] == "resolve":
            assert set(raw) == {encoded(parameter["name"]) for parameter in spec["arguments"]["parameters"]}
            assert set(raw) <= {variable["value"] for variable in template["script"]["env"]}
        else:
            assert raw == []
    elsewhere = {text for key, value in spec.items() if key != "templates" for text in texts(value) if "workflow.parameters" in text}
    # These make labels, of which nothing is left but the characters of a label.
    assert elsewhere == {value["expression"] for value in spec["workflowMetadata"]["labelsFrom"].values()}


def test_the_only_expressions_put_parameters_into_base64(spec: WorkflowSpec) -> None:
    # A value that is pasted as it is would be evaluated by Argo, on the submitter's machine already.
    expressions = {text for text in texts(spec) if "{{=" in text}
    assert expressions == {encoded(parameter["name"]) for parameter in spec["arguments"]["parameters"]}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_has_anything_for_argo_or_the_kubelet_to_replace(templates: dict[str, Template], name: str) -> None:
    source = templates[name]["script"]["source"]
    assert source
    assert "{{" not in source
    assert "$$" not in source


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_step_is_confined(templates: dict[str, Template], name: str) -> None:
    script = templates[name]["script"]
    assert script["command"] == ["sh"]
    assert script["image"] == "registry.example/workspace:1"
    assert script["resources"]["requests"].keys() == {"cpu", "memory"}
    assert script["resources"]["limits"]["memory"]
    assert script["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
    }


def test_all_pods_have_one_user_that_is_not_root(spec: WorkflowSpec) -> None:
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize("name", SCRIPTS)
def test_work_is_the_pods_own_and_has_no_claim_twice(templates: dict[str, Template], name: str) -> None:
    template = templates[name]
    volumes = {volume["name"]: volume for volume in template["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in template["script"]["volumeMounts"]}
    assert "emptyDir" in volumes[mounts["/work"]["name"]]
    assert all(volume["emptyDir"]["sizeLimit"] for volume in volumes.values() if "emptyDir" in volume)
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if "persistentVolumeClaim" in volume]
    assert len(claims) == len(set(claims))
    assert {mount["name"] for mount in mounts.values()} <= set(volumes)


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("resolve", {}),
        ("claim", {}),
        ("init-worktree", {"work": "coderun-shared"}),
        ("init-worktree-own-claim", {"work": "{{workflow.name}}-work", "seed": "coderun-shared"}),
        ("create-coderun", {}),
        ("create-coderun-own-claim", {}),
        ("cleanup", {"work": "coderun-shared"}),
        ("keep-own-claim", {"work": "coderun-shared", "own": "{{workflow.name}}-work"}),
    ],
)
def test_claims_of_each_step(templates: dict[str, Template], name: str, claims: dict[str, str]) -> None:
    template = templates[name]
    found = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in template["volumes"] if "persistentVolumeClaim" in volume}
    assert found == claims
    paths = {mount["mountPath"]: (mount["name"], mount.get("subPath")) for mount in template["script"]["volumeMounts"]}
    if "work" in claims and name != "keep-own-claim":
        assert paths["/work/base"] == ("work", "base")
        assert paths["/work/trees"] == ("work", "trees")


def test_the_seed_is_read_only(templates: dict[str, Template]) -> None:
    template = templates["init-worktree-own-claim"]
    (seed,) = [mount for mount in template["script"]["volumeMounts"] if mount["name"] == "seed"]
    assert seed == {"name": "seed", "mountPath": "/work/seed", "subPath": "base", "readOnly": True}
    assert env(template)["SEED_ROOT"] == "/work/seed"
    assert "SEED_ROOT" not in env(templates["init-worktree"])


def test_resolve_sees_no_service_account_token(templates: dict[str, Template]) -> None:
    mounts = {mount["mountPath"]: mount for mount in templates["resolve"]["script"]["volumeMounts"]}
    token = mounts["/var/run/secrets/kubernetes.io/serviceaccount"]
    assert (token["name"], token["readOnly"]) == ("tmp", True)


@pytest.mark.parametrize("name", ["resolve", "init-worktree", "init-worktree-own-claim"])
def test_the_steps_that_look_into_the_repo_list_see_its_changes(templates: dict[str, Template], name: str) -> None:
    (mount,) = [mount for mount in templates[name]["script"]["volumeMounts"] if mount["name"] == "repos"]
    assert "subPath" not in mount, "a file mounted by subPath never changes"
    assert env(templates[name])["REPOS_FILE"] == mount["mountPath"] + "/repos.tsv"


def test_credentials_are_a_file_that_need_not_be_there(templates: dict[str, Template]) -> None:
    for name in ("init-worktree", "init-worktree-own-claim"):
        (volume,) = [volume for volume in templates[name]["volumes"] if "secret" in volume]
        assert volume["secret"] == {"secretName": "{{inputs.parameters.credentials-secret}}", "optional": True, "defaultMode": 0o440}
    for name in set(SCRIPTS) - {"init-worktree", "init-worktree-own-claim"}:
        assert not [volume for volume in templates[name]["volumes"] if "secret" in volume]


def test_one_lock_on_the_inner_graph_only(spec: WorkflowSpec, templates: dict[str, Template]) -> None:
    assert [template["name"] for template in spec["templates"] if "synchronization" in template] == ["locked"]
    assert templates["locked"]["synchronization"] == {
        "semaphores": [{"configMapKeyRef": {"name": "workflow-semaphores", "key": "{{inputs.parameters.key}}"}}],
    }
    assert "synchronization" not in spec


def test_the_two_modes_exclude_each_other(templates: dict[str, Template]) -> None:
    tasks = {task["name"]: task for task in templates["locked"]["dag"]["tasks"]}
    assert tasks["init-worktree"]["when"] == "{{inputs.parameters.mode}} == shared"
    assert tasks["claim"]["when"] == "{{inputs.parameters.mode}} == claim"
    assert tasks["init-worktree-own-claim"]["depends"] == "claim.Succeeded"
    assert tasks["create-coderun"]["depends"] == "init-worktree.Succeeded"
    assert tasks["create-coderun-own-claim"]["depends"] == "init-worktree-own-claim.Succeeded"


def given(task: Mapping[str, Any]) -> dict[str, str]:
    return {parameter["name"]: parameter["value"] for parameter in task["arguments"]["parameters"]}


def test_the_agent_gets_the_tree_that_init_made(templates: dict[str, Template]) -> None:
    tasks = {task["name"]: task for task in templates["locked"]["dag"]["tasks"]}
    for name, init, claim in (
        ("create-coderun", "init-worktree", "coderun-shared"),
        ("create-coderun-own-claim", "init-worktree-own-claim", "{{workflow.name}}-work"),
    ):
        arguments = given(tasks[name])
        assert tasks[name]["template"] == name
        assert arguments["workspace-path"] == f"{{{{tasks.{init}.outputs.parameters.workspace-path}}}}"
        assert arguments["claim"] == claim


def test_every_task_gives_exactly_the_inputs_of_its_template(templates: dict[str, Template]) -> None:
    for graph in ("coderun-main", "locked"):
        for task in templates[graph]["dag"]["tasks"]:
            template = templates[task["template"]]
            declared = {parameter["name"] for parameter in template["inputs"]["parameters"]} if "inputs" in template else set()
            assert (set(given(task)) if "arguments" in task else set()) == declared, task["name"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_step_uses_declared_inputs_only(templates: dict[str, Template], name: str) -> None:
    template = templates[name]
    declared = {f"inputs.parameters.{parameter['name']}" for parameter in template["inputs"]["parameters"]} if "inputs" in template else set()
    used = {tag for text in texts(template) for tag in TAG.findall(text) if tag.startswith("inputs.")}
    assert used == declared


def test_cleanup_needs_nothing_of_other_steps(templates: dict[str, Template]) -> None:
    for name in ("cleanup", "keep-own-claim"):
        tags = {tag for text in texts(templates[name]) for tag in TAG.findall(text)}
        assert tags == {"workflow.name", "workflow.uid", "workflow.status"}


def test_on_exit_mounts_the_own_claim_only_when_cleanup_has_seen_it(templates: dict[str, Template]) -> None:
    # A pod that mounts a claim which isn't there stays Pending, and the workflow with it.
    (first,), (second,) = templates["on-exit"]["steps"]
    assert first == {"name": "cleanup", "template": "cleanup"}
    assert second == {"name": "keep-own-claim", "template": "keep-own-claim", "when": "{{steps.cleanup.outputs.parameters.own-claim}} == keep"}
    (output,) = templates["cleanup"]["outputs"]["parameters"]
    assert output == {"name": "own-claim", "valueFrom": {"path": env(templates["cleanup"])["OWN_CLAIM_FILE"], "default": "gone"}}


def test_the_pod_that_keeps_an_own_claims_work_can_write_to_the_folder_of_kept_work_only(templates: dict[str, Template]) -> None:
    template = templates["keep-own-claim"]
    written = {mount["mountPath"]: mount.get("subPath") for mount in template["script"]["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/work": None, "/tmp": None, "/work/kept": "base/.kept"}  # noqa: S108 - in the pod
    assert [volume["persistentVolumeClaim"] for volume in template["volumes"] if volume["name"] == "own"] == [
        {"claimName": "{{workflow.name}}-work", "readOnly": True}
    ]
    given = env(template)
    assert (given["KEPT_ROOT"], given["OWN_ROOT"], given["BASE_ROOT"], given["TREES_ROOT"]) == (
        "/work/kept",
        "/work/own",
        "/work/base",
        "/work/own/trees",
    )


def test_what_is_kept_is_what_the_settings_say() -> None:
    def kept(**settings: object) -> dict[str, str]:
        spec = workflow_template_spec(config_with(keepOnFailure=settings, resources={"gitMemoryLimit": "2Gi"}), "test")
        (cleanup,) = [template for template in spec["templates"] if template["name"] == "cleanup"]
        return {name: value for name, value in env(cleanup).items() if name.startswith("KEPT_")}

    assert kept(days=3, maxSize="1M") == {
        "KEPT_ROOT": "/work/base/.kept",
        "KEPT_MAX_BYTES": "1000000",
        "KEPT_DAYS": "3",
        "KEPT_MEMORY_KIB": str(2**20),
        "KEPT_TIMEOUT_SECONDS": "120",
    }
    assert kept()["KEPT_MAX_BYTES"] == str(100 * 2**20)
    assert kept(enabled=False)["KEPT_MAX_BYTES"] == "0"


def test_workspace_path_and_commit_are_outputs(templates: dict[str, Template]) -> None:
    for name in ("init-worktree", "init-worktree-own-claim"):
        outputs = {parameter["name"]: parameter["valueFrom"]["path"] for parameter in templates[name]["outputs"]["parameters"]}
        assert outputs == {"workspace-path": env(templates[name])["WORKSPACE_PATH_FILE"], "commit": env(templates[name])["COMMIT_FILE"]}


def test_the_steps_get_what_their_scripts_ask_for(templates: dict[str, Template]) -> None:
    """Every variable that a script's head names as input is set, the optional ones apart."""
    for name in SCRIPTS:
        for checked in re.findall(r"for name in ([A-Z_ \\\n]+); do", templates[name]["script"]["source"]):
            assert set(checked.replace("\\", " ").split()) <= set(env(templates[name]))
    assert env(templates["create-coderun"])["CODERUN_RESOURCE"] == "coderuns.platform.example.io"


def test_the_coderun(templates: dict[str, Template]) -> None:
    manifest = coderun(templates["create-coderun"])
    assert (manifest["apiVersion"], manifest["kind"]) == ("platform.example.io/v1alpha1", "CodeRun")
    metadata = manifest["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("{{workflow.name}}", "argo")
    assert metadata["labels"] == {
        "workflow": "{{workflow.name}}",
        "app.kubernetes.io/part-of": "coderun",
        "coderun/task-id": "{{inputs.parameters.task-id}}",
        "coderun/cleanup": "on-exit",
        "coderun/workflow-uid": "{{workflow.uid}}",
    }
    assert metadata["annotations"] == {"coderun/semaphore-key": "{{inputs.parameters.key}}"}
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == ("Workflow", "{{workflow.uid}}", False, False)
    workspace = manifest["spec"]["workspace"]
    assert workspace["path"] == "{{inputs.parameters.workspace-path}}"
    assert workspace["securityContext"] == {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}
    git = {variable["name"]: variable["value"] for variable in workspace["env"]}
    assert git["GIT_CONFIG_COUNT"] == "2"
    assert {git["GIT_CONFIG_VALUE_0"], git["GIT_CONFIG_VALUE_1"]} == {f"/work/{BASE}", f"/work/{TREE}"}
    assert manifest["spec"]["githubApp"] == "{{inputs.parameters.github-app}}"
    assert {key: manifest["spec"][key] for key in AGENT} == AGENT, "dollar signs of the settings arrive unchanged"


def mounts(template: Template) -> list[tuple[str, str, bool]]:
    """What the agent mounts: subPath, path, readOnly."""
    found = coderun(template)["spec"]["workspace"]["mounts"]
    assert {mount["claimName"] for mount in found} == {"{{inputs.parameters.claim}}"}
    return [(mount["subPath"], mount["mountPath"], mount["readOnly"]) for mount in found]


WHOLE_BASE = [(BASE, f"/work/{BASE}", False), (TREE, f"/work/{TREE}", False)]


def test_an_agent_gets_a_git_folder_of_its_own_and_the_bases_objects_read_only(templates: dict[str, Template]) -> None:
    assert mounts(templates["create-coderun"]) == [
        ("base/.private/{{inputs.parameters.task-id}}", f"/work/{BASE}", False),
        (f"{BASE}/objects", "/work/objects/{{inputs.parameters.owner}}/{{inputs.parameters.repo}}", True),
        (TREE, f"/work/{TREE}", False),
    ]
    assert env(templates["init-worktree"])["GIT_FOLDER"] == env(templates["cleanup"])["GIT_FOLDER"] == "private"
    assert env(templates["init-worktree"])["OBJECTS_ROOT"] == "/work/objects"


def test_on_its_own_claim_an_agent_gets_the_base(templates: dict[str, Template]) -> None:
    assert mounts(templates["create-coderun-own-claim"]) == WHOLE_BASE
    assert env(templates["init-worktree-own-claim"])["GIT_FOLDER"] == "shared"


def test_a_shared_git_folder_is_the_base_itself() -> None:
    shared = {template["name"]: template for template in workflow_template_spec(config_with(coderun={"gitFolder": "shared"}), "test")["templates"]}
    for name in ("create-coderun", "create-coderun-own-claim"):
        assert mounts(shared[name]) == WHOLE_BASE
    for name in ("init-worktree", "init-worktree-own-claim", "cleanup"):
        assert env(shared[name])["GIT_FOLDER"] == "shared"


def test_messages_name_the_claim_of_the_step(templates: dict[str, Template]) -> None:
    names = {name: env(templates[name])["CLAIM_NAME"] for name in ("init-worktree", "init-worktree-own-claim", "cleanup")}
    assert names == {"init-worktree": "coderun-shared", "init-worktree-own-claim": "{{workflow.name}}-work", "cleanup": "coderun-shared"}


def test_the_own_claim(templates: dict[str, Template]) -> None:
    manifest = claim(templates["claim"])
    assert (manifest["apiVersion"], manifest["kind"]) == ("v1", "PersistentVolumeClaim")
    assert (manifest["metadata"]["name"], manifest["metadata"]["namespace"]) == ("{{workflow.name}}-work", "argo")
    assert manifest["metadata"]["labels"]["coderun/workflow-uid"] == "{{workflow.uid}}"
    assert manifest["metadata"]["labels"]["workflow"] == "{{workflow.name}}"
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == "{{workflow.uid}}"
    assert manifest["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}, "storageClassName": "fast"}


def claim(template: Template) -> dict[str, Any]:
    """The claim as the script gets it."""
    manifest: dict[str, Any] = json.loads(env(template)["CLAIM_MANIFEST"].replace("$$", "$"))
    return manifest


def own_class(**storage: object) -> object:
    spec = workflow_template_spec(config_with(storage=storage), "blue")
    (template,) = [template for template in spec["templates"] if template["name"] == "claim"]
    name = claim(template)["spec"].get("storageClassName")
    assert env(template)["CLAIM_CLASS"] == (name or "")
    return name


def test_the_own_claims_class() -> None:
    assert own_class() is None, "the cluster's default"
    assert own_class(own={"storageClass": {"name": "fast"}}) == "fast"
    assert own_class(own={"storageClass": CREATED_CLASS}) == "fast-blue"
    assert own_class(shared={"storageClass": CREATED_CLASS}, own={"storageClass": {"name": "fast"}}) == "fast-blue"


def test_waiting_is_never_ended_as_if_it_were_work(spec: WorkflowSpec, config: StackConfig) -> None:
    assert spec["activeDeadlineSeconds"] == workflow_deadline_seconds(config) == 100 + 200 + 70 + 30 + 40 + 500 + 40 + SLACK_SECONDS


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("resolve", "PAUSE_TIMEOUT_SECONDS"),
        ("claim", "CLAIM_TIMEOUT_SECONDS"),
        ("create-coderun", "RUN_TIMEOUT_SECONDS"),
        ("cleanup", "CLEANUP_TIMEOUT_SECONDS"),
    ],
)
def test_a_scripts_own_deadline_comes_before_its_pods(templates: dict[str, Template], name: str, variable: str) -> None:
    assert int(env(templates[name])[variable]) < templates[name]["activeDeadlineSeconds"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_step_ends_some_time_even_if_its_pod_never_starts(templates: dict[str, Template], name: str) -> None:
    template = templates[name]
    assert int(template["timeout"].removesuffix("s")) > template["activeDeadlineSeconds"]


def test_a_pod_that_has_waited_too_long_for_its_claim_is_not_begun_again(templates: dict[str, Template]) -> None:
    assert templates["init-worktree-own-claim"]["timeout"] == f"{30 + 40 + 70}s"
    assert templates["init-worktree-own-claim"]["retryStrategy"]["expression"] == f"asFloat(lastRetry.duration) < {30 + 40 + 70 - 2}"
    assert "expression" not in templates["init-worktree"]["retryStrategy"]


def test_an_agent_is_not_started_twice_in_one_tree(templates: dict[str, Template]) -> None:
    starters = {"create-coderun", "create-coderun-own-claim"}
    assert not [name for name in starters if "retryStrategy" in templates[name]]
    for name in set(SCRIPTS) - starters:
        assert templates[name]["retryStrategy"]["retryPolicy"] == "OnError"


def test_labels_of_what_a_run_makes(spec: WorkflowSpec, templates: dict[str, Template]) -> None:
    labels = {
        "workflow": "{{workflow.name}}",
        "coderun/workflow-uid": "{{workflow.uid}}",
        "app.kubernetes.io/part-of": "coderun",
        "coderun/cleanup": "on-exit",
    }
    assert spec["podMetadata"]["labels"] == labels
    assert spec["workflowMetadata"]["labels"] == labels
    # The fence finds the pods of both by this label.
    assert {templates[name]["metadata"]["labels"]["coderun/step"] for name in ("create-coderun", "create-coderun-own-claim")} == {"create-coderun"}
    step = templates["create-coderun"]["metadata"]
    assert step["labels"]["coderun/task-id"] == "{{inputs.parameters.task-id}}"
    assert step["annotations"] == {"coderun/semaphore-key": "{{inputs.parameters.key}}"}


def test_pods_and_workflows_are_tidied_away(spec: WorkflowSpec) -> None:
    assert spec["podGC"] == {"strategy": "OnPodCompletion", "deleteDelayDuration": "60s"}
    assert spec["ttlStrategy"] == {"secondsAfterSuccess": 86400, "secondsAfterFailure": 604800}


def test_a_script_that_the_kubelet_would_change_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "source", lambda *_names: "echo $$\n")
    with pytest.raises(ValueError, match="the kubelet would change"):
        workflow_template_spec(config_with(), "test")


def test_the_steps_that_end_agents_wait_as_long_as_the_settings_say(templates: dict[str, Template]) -> None:
    for name in ("init-worktree", "init-worktree-own-claim", "create-coderun", "create-coderun-own-claim"):
        assert env(templates[name])["FENCE_TIMEOUT_SECONDS"] == "40", name

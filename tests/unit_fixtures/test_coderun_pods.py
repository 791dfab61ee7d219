"""The pod that a CodeRun gets."""

import pytest

from tests.fixtures.coderun_controller import pods
from tests.unit_fixtures.coderuns import DEFAULTS, coderun


def test_one_volume_for_a_claim_that_is_mounted_twice() -> None:
    spec = pods.agent_pod(coderun(), DEFAULTS)["spec"]
    claims = [v for v in spec["volumes"] if "persistentVolumeClaim" in v]
    assert [v["persistentVolumeClaim"]["claimName"] for v in claims] == ["shared"]
    mounts = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == claims[0]["name"]]
    assert [(m["subPath"], m["mountPath"]) for m in mounts] == [
        ("base/exampleorg/sample.git", "/work/base/exampleorg/sample.git"),
        ("trees/t1", "/work/trees/t1"),
    ]


def test_two_claims_get_two_volumes() -> None:
    volumes, mounts = pods.workspace_volumes(
        [
            {"claimName": "a", "mountPath": "/a", "readOnly": True},
            {"claimName": "b", "mountPath": "/b"},
        ]
    )
    assert len({v["name"] for v in volumes}) == 2
    assert [m["readOnly"] for m in mounts] == [True, False]


def test_identity_labels_and_key_are_copied_and_nothing_else() -> None:
    metadata = pods.agent_pod(coderun(), DEFAULTS)["metadata"]
    assert metadata["labels"] == {
        "workflow": "run-1",
        "app.kubernetes.io/part-of": "coderun",
        "coderun/task-id": "t1",
        "coderun/workflow-uid": "wf-uid",
        "platform.example.io/coderun": "run-1",
    }
    assert metadata["annotations"] == {"coderun/semaphore-key": "exampleorg-sample-main"}


def test_pod_is_owned_by_its_coderun_so_that_it_ends_without_the_controller() -> None:
    (owner,) = pods.agent_pod(coderun(), DEFAULTS)["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("CodeRun", "run-1", "uid-1")
    assert owner["controller"] is True
    assert owner["blockOwnerDeletion"] is True


def test_pod_runs_in_the_workspace_as_its_user_and_restricted() -> None:
    spec = pods.agent_pod(coderun(), DEFAULTS)["spec"]
    (container,) = spec["containers"]
    assert container["workingDir"] == "/work/trees/t1"
    assert spec["securityContext"]["runAsUser"] == 1000
    assert spec["securityContext"]["fsGroup"] == 1000
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]
    assert {"name": "tmp", "mountPath": pods.SCRATCH} in container["volumeMounts"]


def test_image_and_command_of_the_coderun_win_over_the_defaults() -> None:
    plain = pods.agent_pod(coderun(), DEFAULTS)["spec"]["containers"][0]
    assert (plain["image"], plain["command"]) == ("example/agent:1", ["sh", "task.sh"])
    own = pods.agent_pod(coderun(image="mine:2", command=["run", "me"]), DEFAULTS)["spec"]["containers"][0]
    assert (own["image"], own["command"]) == ("mine:2", ["run", "me"])


def test_workspace_environment_wins_and_is_not_expanded() -> None:
    env = pods.environment([{"name": "HOME", "value": "/elsewhere"}, {"name": "X", "value": "$(HOME) $x"}])
    values = {e["name"]: e["value"] for e in env}
    assert values["HOME"] == "/elsewhere"
    assert values["X"] == "$$(HOME) $$x"
    assert values["GIT_COMMITTER_NAME"]


@pytest.mark.parametrize(
    ("workspace", "field"),
    [
        ({}, "spec.workspace.path"),
        ({"path": "relative"}, "spec.workspace.path"),
        ({"path": "/w", "mounts": [{"claimName": "c"}]}, "spec.workspace.mounts[0]"),
        ({"path": "/w", "securityContext": {"runAsUser": 0}}, "runAsUser"),
    ],
)
def test_an_impossible_workspace_is_refused_by_the_field_name(workspace: dict[str, object], field: str) -> None:
    run = coderun()
    run["spec"]["workspace"] = workspace
    with pytest.raises(pods.InvalidCodeRunError) as refused:
        pods.agent_pod(run, DEFAULTS)
    assert field in str(refused.value)
    assert "Remedy:" in str(refused.value)

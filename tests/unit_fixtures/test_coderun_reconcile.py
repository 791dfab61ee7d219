"""The controller's steps, against a cluster in memory."""

from tests.fixtures.coderun_controller.api import ApiError
from tests.fixtures.coderun_controller.reconcile import pods_path, reconcile
from tests.unit_fixtures.coderuns import DEFAULTS, NAMESPACE, FakeCluster, coderun

POD = f"{pods_path(NAMESPACE)}/run-1-agent"


def step(cluster: FakeCluster) -> None:
    reconcile(cluster, NAMESPACE, "run-1", DEFAULTS)


def started() -> FakeCluster:
    """A cluster where the pod of run-1 has just been created."""
    cluster = FakeCluster()
    cluster.put_coderun(coderun())
    step(cluster)
    return cluster


def test_a_new_coderun_gets_its_pod_and_is_pending() -> None:
    cluster = started()
    assert cluster.pod()["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert cluster.status()["phase"] == "Pending"
    assert cluster.status()["podName"] == "run-1-agent"


def test_a_step_after_a_restart_neither_creates_nor_deletes() -> None:
    cluster = started()
    cluster.pod()["status"] = {"phase": "Running"}
    step(cluster)
    step(cluster)
    assert cluster.status()["phase"] == "Running"
    assert len(cluster.objects) == 2
    assert cluster.deleted == []


def test_a_pod_made_before_a_crash_is_adopted() -> None:
    cluster = started()
    cluster.put_coderun(coderun())  # its status was never written
    assert not cluster.status()
    cluster.pod()["status"] = {"phase": "Succeeded"}
    step(cluster)
    assert cluster.status()["phase"] == "Succeeded"


def test_failure_carries_the_last_lines_of_the_log() -> None:
    cluster = started()
    cluster.log = "compiling\nboom\n"
    cluster.pod()["status"] = {
        "phase": "Failed",
        "containerStatuses": [{"state": {"terminated": {"exitCode": 3, "reason": "Error"}}}],
    }
    step(cluster)
    assert cluster.status()["message"] == "exit code 3: compiling | boom"
    (condition,) = cluster.status()["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Finished", "True", "Failed")


def test_a_finished_phase_never_changes() -> None:
    cluster = started()
    cluster.pod()["status"] = {"phase": "Succeeded"}
    step(cluster)
    del cluster.objects[POD]
    step(cluster)
    assert cluster.status()["phase"] == "Succeeded"


def test_a_pod_that_vanished_fails_its_coderun_and_is_not_made_again() -> None:
    cluster = started()
    del cluster.objects[POD]
    step(cluster)
    step(cluster)
    assert cluster.status()["phase"] == "Failed"
    assert cluster.status()["message"] == "pod was deleted"
    assert POD not in cluster.objects


def test_a_hopeless_pod_is_removed_so_that_none_lives_after_a_finished_phase() -> None:
    cluster = started()
    cluster.pod()["status"] = {
        "phase": "Pending",
        "containerStatuses": [{"state": {"waiting": {"reason": "ErrImageNeverPull", "message": "x"}}}],
    }
    step(cluster)
    assert cluster.status()["phase"] == "Failed"
    assert cluster.deleted == [POD]


def test_a_deleted_coderun_stops_its_pod() -> None:
    cluster = started()
    cluster.pod()["status"] = {"phase": "Running"}
    run = cluster.objects[next(p for p in cluster.objects if "coderuns" in p)]
    run["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    step(cluster)
    step(cluster)
    assert cluster.deleted == [POD]


def test_a_coderun_that_is_gone_stops_its_pod() -> None:
    cluster = started()
    cluster.pod()["status"] = {"phase": "Running"}
    cluster.objects = {POD: cluster.pod()}
    step(cluster)
    assert cluster.deleted == [POD]


def test_a_namesake_waits_until_the_old_pod_has_ended() -> None:
    cluster = started()
    cluster.pod()["status"] = {"phase": "Running"}
    cluster.put_coderun(coderun(uid="uid-2"))
    step(cluster)
    assert cluster.deleted == [POD]
    assert cluster.pod()["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    del cluster.objects[POD]
    step(cluster)
    assert cluster.pod()["metadata"]["ownerReferences"][0]["uid"] == "uid-2"


def test_a_pod_that_only_carries_the_label_is_left_alone() -> None:
    cluster = FakeCluster()
    stranger = {"metadata": {"name": "x", "namespace": NAMESPACE, "uid": "u", "labels": {"platform.example.io/coderun": "run-1"}}}
    cluster.objects[f"{pods_path(NAMESPACE)}/x"] = stranger
    step(cluster)
    assert cluster.deleted == []


def test_a_refused_pod_fails_the_coderun_with_the_reason() -> None:
    cluster = FakeCluster(refuse_create=ApiError(403, "Forbidden", "exceeded quota"))
    cluster.put_coderun(coderun())
    step(cluster)
    assert cluster.status()["phase"] == "Failed"
    assert "exceeded quota" in cluster.status()["message"]


def test_an_unmountable_workspace_fails_the_coderun() -> None:
    cluster = FakeCluster()
    run = coderun()
    run["spec"]["workspace"]["path"] = "relative"
    cluster.put_coderun(run)
    step(cluster)
    assert cluster.status()["phase"] == "Failed"
    assert "spec.workspace.path" in cluster.status()["message"]

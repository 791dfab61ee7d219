"""claim: the run's own claim is bound, or the step says in time why not."""

import json
from typing import Any, Final

import pytest

from tests.fixtures.git_server import GitServer
from tests.payload.steps import Bench, Outcome, RunningStep, uid, wait_until

CLAIM: Final = "run-1-work"
APPLIED: Final = f"applied-{CLAIM}"
CLAIMS: Final = "persistentvolumeclaims"
MANIFEST: Final = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": CLAIM, "labels": {"workflow": "run-1", "coderun/workflow-uid": uid(1)}},
    "spec": {"storageClassName": "fast"},
}
NO_CLASS: Final = 'storageclass.storage.k8s.io "fast" not found'
WAITING: Final = "Waiting for a volume to be created either by the external provisioner 'csi.example.io' or manually by the system administrator."


@pytest.fixture
def bench(server: GitServer, tmp_path: Any) -> Bench:  # noqa: ANN401 - pytest's own
    """A bench whose git server is not asked."""
    return Bench(tmp_path / "bench", server.url)


def start(bench: Bench, **variables: str) -> RunningStep:
    """Starts the step."""
    settings = {"CLAIM_MANIFEST": json.dumps(MANIFEST), "CLAIM_CLASS": "fast", "CLAIM_TIMEOUT_SECONDS": "20"}
    return bench.start("claim", 1, **{**settings, **variables})


def run(bench: Bench, **variables: str) -> Outcome:
    """Runs it to its end."""
    return start(bench, **variables).outcome()


def event(bench: Bench, reason: str, message: str, second: int = 1, of: str = APPLIED) -> None:
    """Adds an event of a claim."""
    bench.cluster.put(
        "events",
        f"{of}.{reason.lower()}.{second}",
        involvedObject={"kind": "PersistentVolumeClaim", "name": CLAIM, "uid": of},
        lastTimestamp=f"2026-01-01T00:00:{second:02}Z",
        reason=reason,
        message=message,
    )


def applied(bench: Bench) -> dict[str, Any]:
    """The claim as it was applied."""
    found: dict[str, Any] = json.loads((bench.cluster.folder / "objects" / CLAIMS / f"{CLAIM}.json").read_text())
    return found


def test_a_claim_that_is_bound_lets_the_run_go_on(bench: Bench) -> None:
    bench.cluster.applied_behave(fake={"phases": ["", "Pending", "Pending", "Bound"]})
    outcome = run(bench)
    outcome.assert_succeeded()
    assert f"claim {CLAIM}: bound" in outcome.output
    made = applied(bench)
    assert made["spec"] == MANIFEST["spec"]
    assert made["metadata"]["labels"] == MANIFEST["metadata"]["labels"]  # type: ignore[index]
    assert '"--server-side"' in bench.cluster.log()


def test_a_class_that_binds_late_is_not_waited_for(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Pending"})
    event(bench, "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    outcome = run(bench, CLAIM_TIMEOUT_SECONDS="600")
    outcome.assert_succeeded()
    assert "class fast binds late" in outcome.output


def test_a_class_that_does_not_exist_is_told_at_once(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Pending"})
    event(bench, "ProvisioningFailed", NO_CLASS)
    run(bench, CLAIM_TIMEOUT_SECONDS="600").assert_refused(
        f"claim {CLAIM} can't be bound (class fast): ProvisioningFailed: {NO_CLASS}", "storage.own.storageClass", "usePVC=false"
    )


def test_a_provisioner_that_does_not_deliver_is_told_at_the_deadline(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Pending"})
    event(bench, "ExternalProvisioning", WAITING, 1)
    event(bench, "ProvisioningFailed", "rpc error: code = ResourceExhausted\ndesc = no room", 3)
    event(bench, "Provisioning", "External provisioner is provisioning", 2)
    run(bench, CLAIM_TIMEOUT_SECONDS="1").assert_refused(
        f"claim {CLAIM} is not bound after 1 s (class fast): ProvisioningFailed: rpc error: code = ResourceExhausted.", "storage.own.storageClass"
    )


def test_no_event_and_no_class_are_told_as_well(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Pending"})
    run(bench, CLAIM_TIMEOUT_SECONDS="1", CLAIM_CLASS="").assert_refused("(the cluster's default class): the cluster says nothing about it")


def test_a_failure_that_passes_is_waited_out(bench: Bench) -> None:
    bench.cluster.applied_behave(fake={"phases": ["Pending", "Pending", "Bound"]})
    event(bench, "ProvisioningFailed", "rpc error: code = Unavailable")
    run(bench).assert_succeeded()


def test_events_of_another_claim_of_that_name_do_not_count(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Pending"})
    event(bench, "WaitForFirstConsumer", "waiting", of="an earlier one")
    run(bench, CLAIM_TIMEOUT_SECONDS="1").assert_refused("the cluster says nothing about it")


def test_an_earlier_runs_claim_of_that_name_is_waited_for_and_not_used(bench: Bench) -> None:
    bench.cluster.put(CLAIMS, CLAIM, uid="old", labels={"workflow": "run-1", "coderun/workflow-uid": uid(9)}, status={"phase": "Bound"})
    bench.cluster.applied_behave(status={"phase": "Bound"})
    step = start(bench)
    wait_until(lambda: bench.cluster.log().count('"get"') > 2, "it looks again")
    assert "apply" not in bench.cluster.log()
    bench.cluster.remove(CLAIMS, CLAIM)
    step.outcome().assert_succeeded()
    assert applied(bench)["metadata"]["uid"] == APPLIED


def test_an_earlier_runs_claim_that_stays_is_left_alone(bench: Bench) -> None:
    bench.cluster.put(CLAIMS, CLAIM, uid="old", labels={"workflow": "run-1", "coderun/workflow-uid": uid(9)}, status={"phase": "Bound"})
    run(bench, CLAIM_TIMEOUT_SECONDS="1").assert_refused(f"claim {CLAIM}: one of that name is still there")
    assert applied(bench)["metadata"]["uid"] == "old"
    assert bench.cluster.deletions() == []


def test_a_retry_after_the_loss_of_the_pod_goes_on_with_the_claim(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Bound"})
    run(bench).assert_succeeded()
    run(bench).assert_succeeded()


def test_a_claim_that_cannot_be_made_is_told(bench: Bench) -> None:
    run(bench, CLAIM_MANIFEST="no JSON").assert_refused(f"claim {CLAIM} can't be made", "storage.own", "quota")


def test_a_lost_volume_is_told(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Lost"})
    run(bench).assert_refused("has lost its volume")


def test_an_api_server_that_is_away_for_a_moment_changes_nothing(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Bound"})
    bench.cluster.fail_calls(3)
    run(bench).assert_succeeded()


def test_a_missing_setting_is_named(bench: Bench) -> None:
    run(bench, CLAIM_TIMEOUT_SECONDS="").assert_refused("claim: the variable CLAIM_TIMEOUT_SECONDS is empty")


def left_behind(bench: Bench, phase: str) -> None:
    """The run's claim, when its exit handler begins."""
    bench.cluster.put(CLAIMS, CLAIM, uid=APPLIED, labels=MANIFEST["metadata"]["labels"], owner=uid(1), status={"phase": phase})  # type: ignore[index]


def test_the_exit_handler_tells_why_a_claim_was_never_bound_and_removes_it(bench: Bench) -> None:
    left_behind(bench, "Pending")
    event(bench, "WaitForFirstConsumer", "waiting for first consumer", 1)
    event(bench, "ExternalProvisioning", WAITING, 2)
    bench.cleanup().assert_refused(f"claim {CLAIM} was not bound when the run ended: ExternalProvisioning: {WAITING}", "storage.own.storageClass")
    assert bench.cluster.names(CLAIMS) == set()


@pytest.mark.parametrize(("phase", "reason"), [("Pending", "WaitForFirstConsumer"), ("Bound", "ProvisioningSucceeded")])
def test_the_exit_handler_has_nothing_to_tell_of_other_claims(bench: Bench, phase: str, reason: str) -> None:
    left_behind(bench, phase)
    event(bench, reason, "x")
    bench.cleanup().assert_succeeded()
    assert bench.cluster.names(CLAIMS) == set()

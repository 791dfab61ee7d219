"""A step that waits for a claim which nobody binds is ended by the sweep, and no other."""

import time
from typing import Final

import pytest

from tests.payload.steps import Bench, uid

WAITS: Final = ("WaitForFirstConsumer", "waiting for first consumer to be created before binding")
ASKED: Final = ("ExternalProvisioning", "Waiting for a volume to be created")


def waiting_run(bench: Bench, *, age: int, event: tuple[str, str] | None, phase: str = "Pending") -> None:
    """A run whose init waits for its claim; its pod was made some seconds ago."""
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))
    bench.cluster.workflow("run-1", 1)
    bench.cluster.step_pod("run-1", 1, step="init-worktree", status={"phase": "Pending"}, made=made)
    bench.cluster.put("persistentvolumeclaims", "run-1-work", labels={"coderun/workflow-uid": uid(1)}, status={"phase": phase}, uid="claim-1")
    if event:
        of = {"kind": "PersistentVolumeClaim", "uid": "claim-1"}
        bench.cluster.put("events", "e", involvedObject=of, lastTimestamp=made, reason=event[0], message=event[1])


def test_a_pod_whose_claim_never_comes_is_ended_and_told_why(bench: Bench) -> None:
    waiting_run(bench, age=400, event=ASKED)
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert bench.cluster.deletions() == ["pods/run-1-init-worktree"]
    assert (
        "removed pod run-1-init-worktree: the claim run-1-work that it waits for was not bound within 300 s: ExternalProvisioning: " in outcome.output
    )


@pytest.mark.parametrize(
    ("age", "event", "phase"), [(100, ASKED, "Pending"), (400, WAITS, "Pending"), (400, ASKED, "Bound")], ids=["young", "no node yet", "bound"]
)
def test_others_are_left_alone(bench: Bench, age: int, event: tuple[str, str], phase: str) -> None:
    waiting_run(bench, age=age, event=event, phase=phase)
    bench.sweep().assert_succeeded()
    assert bench.cluster.deletions() == []


def test_a_pod_that_has_started_is_left_alone(bench: Bench) -> None:
    waiting_run(bench, age=400, event=ASKED)
    bench.cluster.step_pod("run-1", 1, step="init-worktree", status={"phase": "Running"})
    bench.sweep().assert_succeeded()
    assert bench.cluster.deletions() == []

"""What a pod says about its CodeRun."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.coderun_controller import phases
from tests.fixtures.coderun_controller.api import JsonObject

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
SOON = CREATED + timedelta(seconds=5)
LATE = CREATED + timedelta(seconds=phases.STUCK_SECONDS + 1)


def pod(phase: str, state: JsonObject | None = None, **more: object) -> JsonObject:
    statuses = [{"name": "agent", "state": state}] if state else []
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"phase": phase, "containerStatuses": statuses, **more},
    }


@pytest.mark.parametrize("phase", ["Pending", "Running", "Succeeded"])
def test_plain_phases_are_passed_on(phase: str) -> None:
    assert phases.observe(pod(phase), SOON).phase == phase


def test_failure_names_the_exit_code_and_wants_the_log() -> None:
    seen = phases.observe(pod("Failed", {"terminated": {"exitCode": 3, "reason": "Error"}}), SOON)
    assert (seen.phase, seen.message, seen.wants_log) == ("Failed", "exit code 3", True)


def test_out_of_memory_is_named() -> None:
    seen = phases.observe(pod("Failed", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), SOON)
    assert "OOMKilled" in seen.message


def test_eviction_is_named() -> None:
    seen = phases.observe(pod("Failed", reason="Evicted", message="low on memory"), SOON)
    assert seen.message == "Evicted: low on memory"


def test_missing_image_fails_at_once() -> None:
    seen = phases.observe(pod("Pending", {"waiting": {"reason": "ErrImageNeverPull", "message": "x:1"}}), SOON)
    assert (seen.phase, seen.message) == ("Failed", "ErrImageNeverPull: x:1")


def test_a_pull_that_backs_off_is_reported_and_fails_only_after_a_time() -> None:
    waiting = pod("Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "no route"}})
    assert phases.observe(waiting, SOON) == phases.Observation("Pending", "ImagePullBackOff: no route")
    late = phases.observe(waiting, LATE)
    assert late.phase == "Failed"
    assert "ImagePullBackOff: no route" in late.message


def test_unschedulable_is_reported_and_fails_only_after_a_time() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    waiting = pod("Pending", conditions=[condition])
    assert phases.observe(waiting, SOON) == phases.Observation("Pending", "Unschedulable: 0/1 nodes")
    assert phases.observe(waiting, LATE).phase == "Failed"


def test_deleted_by_hand_fails_once_the_process_has_ended_whatever_its_exit_code() -> None:
    dying = pod("Running", {"running": {}})
    dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:20Z"
    assert phases.observe(dying, SOON).phase == "Running"
    ended = pod("Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}})
    ended["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:20Z"
    assert phases.observe(ended, SOON) == phases.Observation("Failed", phases.POD_DELETED)


def test_log_keeps_the_last_lines_on_one_line_without_control_characters() -> None:
    log = "\n".join(f"line {n}\x1b[0m" for n in range(40))
    message = phases.with_log("exit code 3", log)
    assert message.startswith("exit code 3: ")
    assert "line 39" in message
    assert "line 29" not in message
    assert message.isprintable()


def test_a_long_log_line_is_cut_at_its_beginning() -> None:
    message = phases.with_log("", "x" * 5000 + "END")
    assert len(message) == phases.MESSAGE_CHARACTERS
    assert message.endswith("END")

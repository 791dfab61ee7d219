"""Waiting: what is asked of the cluster, what ends it, and what a failure tells."""

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from node.plugin.cluster import ApiError, Cluster
from node.plugin.kinds import Kind, kind_of
from node.plugin.readiness import NeverReadyError
from node.plugin.values import Object
from node.plugin.waiting import CancelledError, Waiter

JOB = kind_of("kubernetes:batch/v1:Job")
METADATA: Object = {"name": "j", "namespace": "n", "uid": "1"}
RUNNING: Object = {"metadata": METADATA, "spec": {"selector": {"matchLabels": {"job": "j"}}}, "status": {"active": 1}}
COMPLETE: Object = {**RUNNING, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
FAILED: Object = {**RUNNING, "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]}}


class FakeCluster:
    """Answers each `get` with the next object; None stands for one that is gone. The last answer stays."""

    def __init__(self, *answers: Object | None) -> None:
        """Take the answers."""
        self._answers: Iterator[Object | None] = iter(answers)
        self._last: Object | None = None

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """The next answer."""
        self._last = next(self._answers, self._last)
        if self._last is None:
            raise ApiError(404, "NotFound", "not found", kind_missing=False)
        return self._last

    def items(self, path: str, **query: str) -> list[Object]:
        """The Job's only pod."""
        assert (path, query) == ("/api/v1/namespaces/n/pods", {"labelSelector": "job=j"})
        state = {"name": "main", "state": {"terminated": {"reason": "Error", "message": ""}}}
        return [{"metadata": {"name": "j-abc"}, "status": {"containerStatuses": [state]}}]

    def log(self, namespace: str, pod: str, container: str, lines: int) -> str:
        """What the pod said last."""
        return f"{pod}/{container}: disk full"


def waiter(*answers: Object | None, cancelled: bool = False) -> Waiter:
    event = threading.Event()
    if cancelled:
        event.set()
    return Waiter(cast("Cluster", FakeCluster(*answers)), event)


def test_a_job_is_waited_for_and_progress_is_told_once_a_change() -> None:
    said: list[str] = []
    live = waiter(RUNNING, RUNNING, COMPLETE).until_ready(JOB, {}, RUNNING, 60, said.append)
    assert live == COMPLETE
    assert said == ["the Job runs: 1 active, 0 succeeded, 0 failed", ""]


def test_a_failed_job_tells_its_reason_and_the_log_of_its_pod() -> None:
    with pytest.raises(NeverReadyError) as failure:
        waiter(RUNNING, FAILED).until_ready(JOB, {}, RUNNING, 60, print)
    assert "BackoffLimitExceeded" in str(failure.value)
    assert "pod j-abc, container main: Error" in str(failure.value)
    assert "j-abc/main: disk full" in str(failure.value)


def test_skip_await_waits_for_nothing() -> None:
    inputs: Object = {"metadata": {"annotations": {"pulumi.com/skipAwait": "true"}}}
    assert waiter(FAILED).until_ready(JOB, inputs, RUNNING, 60, print) == RUNNING


@pytest.mark.parametrize("kind", ["EventBus", "EventSource", "Sensor"])
def test_objects_of_argo_events_are_waited_for_until_they_are_deployed(kind: str) -> None:
    said: list[str] = []
    new = events_object()
    waiting = events_object(Deployed=("False", "EventBus not ready."))
    deployed = events_object(Deployed=("True", ""))
    live = waiter(new, waiting, deployed).until_ready(kind_of(f"kubernetes:argoproj.io/v1alpha1:{kind}"), {}, new, 60, said.append)
    assert live == deployed
    assert said == ["waiting for condition Deployed", "condition Deployed is False: EventBus not ready.", ""]


def test_an_object_of_argo_events_that_is_wrong_says_why() -> None:
    wrong = events_object(Deployed=("Unknown", ""), SourcesProvided=("False", "one of endpoints is missing"), Other=("True", "fine"))
    with pytest.raises(NeverReadyError, match=r"Deployed is Unknown; condition SourcesProvided is False: one of endpoints is missing$"):
        waiter(wrong).until_ready(kind_of("kubernetes:argoproj.io/v1alpha1:EventSource"), {}, wrong, 0, print)


def events_object(**conditions: tuple[str, str]) -> Object:
    found = [{"type": name, "status": status, "message": message} for name, (status, message) in conditions.items()]
    return {"metadata": {**METADATA, "annotations": {"pulumi.com/waitFor": "condition=Deployed"}}, "status": {"conditions": found}}


def test_a_wait_ends_at_its_timeout() -> None:
    with pytest.raises(NeverReadyError, match=r"not done after 0 s: .*1 active"):
        waiter(RUNNING).until_ready(JOB, {}, RUNNING, 0, print)


def test_a_wait_ends_when_the_engine_cancels() -> None:
    with pytest.raises(CancelledError):
        waiter(RUNNING, cancelled=True).until_ready(JOB, {}, RUNNING, 60, print)


@pytest.mark.parametrize("last", [None, {**RUNNING, "metadata": {**METADATA, "uid": "2"}}])
def test_gone_is_not_found_or_another_object_of_that_name(last: Object | None) -> None:
    fake = FakeCluster(RUNNING, last)
    Waiter(cast("Cluster", fake), threading.Event()).until_gone(JOB, {}, RUNNING, 60, print)
    assert next(fake._answers, "asked") == "asked"  # noqa: SLF001 - all answers were needed


def test_what_does_not_go_names_its_finalizers() -> None:
    stuck: Object = {**RUNNING, "metadata": {**METADATA, "finalizers": ["example.org/hold"]}}
    with pytest.raises(NeverReadyError, match=r"example\.org/hold"):
        waiter(stuck).until_gone(JOB, {}, RUNNING, 0, print)

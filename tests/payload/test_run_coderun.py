"""create-coderun: applies, waits, and doesn't leave before the agent has."""

import json
import signal
from typing import Any

import pytest

from tests.payload.steps import KEY, POD_LABEL, Bench, Outcome, RunningStep, uid, wait_until

MANIFEST = json.dumps(
    {
        "apiVersion": "platform.example.io/v1alpha1",
        "kind": "CodeRun",
        "metadata": {"name": "run-1", "labels": {"coderun/workflow-uid": uid(1)}, "annotations": {"coderun/semaphore-key": KEY}},
        "spec": {"workspace": {"path": "/work/trees/it's $HOME \\n"}},
    },
)


def start(bench: Bench, **variables: str) -> RunningStep:
    """Starts the step."""
    return bench.start("create-coderun", 1, **{"CODERUN_MANIFEST": MANIFEST, **variables})


def run(bench: Bench, **variables: str) -> Outcome:
    """Runs the step to its end."""
    return start(bench, **variables).outcome()


def applied(bench: Bench) -> dict[str, Any]:
    """The CodeRun as it is in the cluster."""
    found: dict[str, Any] = json.loads((bench.cluster.folder / "objects" / "coderuns" / "run-1.json").read_text())
    return found


def test_waits_for_the_phase_and_applies_what_it_was_given(bench: Bench) -> None:
    bench.cluster.applied_behave(fake={"phases": ["", "Pending", "Running", "Succeeded"]})
    outcome = run(bench)
    outcome.assert_succeeded()
    assert "CodeRun run-1: Succeeded" in outcome.output
    assert applied(bench)["spec"] == json.loads(MANIFEST)["spec"]
    assert bench.cluster.deletions() == []


@pytest.mark.parametrize("phase", ["Failed", "Error", "Cancelled"])
def test_a_failed_coderun_fails_the_step_with_its_message(bench: Bench, phase: str) -> None:
    status = {"phase": "Running", "message": "exit 3\nthe tests fail: 1 of 3 \x1b[31m|x"}
    bench.cluster.applied_behave(status=status, fake={"phases": ["Running", phase]})
    run(bench).assert_refused(f"CodeRun run-1 ended as {phase}", "exit 3 the tests fail: 1 of 3 [31m|x", "run-1")


def test_configured_phases_count(bench: Bench) -> None:
    bench.cluster.applied_behave(fake={"phases": ["Succeeded", "Done"]})
    run(bench, SUCCEEDED_PHASES="Finished Done").assert_succeeded()
    assert applied(bench)["fake"]["phases"] == []


def test_stays_until_the_pods_have_ended(bench: Bench) -> None:
    bench.cluster.applied_behave(fake={"phases": ["Succeeded"]})
    bench.cluster.agent_pod("run-1")
    step = start(bench)
    wait_until(lambda: bench.cluster.log().count(f"{POD_LABEL}=run-1") >= 3, "it has looked at the pods")
    assert step.process.poll() is None
    bench.cluster.agent_pod("run-1", status={"phase": "Succeeded"})
    step.outcome().assert_succeeded()


def watches(bench: Bench) -> int:
    """How often it has begun to watch."""
    return bench.cluster.log().count('"--watch"')


def test_while_the_agent_works_it_watches_and_asks_nothing(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Running"})
    step = start(bench)
    wait_until(lambda: watches(bench) == 1, "it watches")
    asked = bench.cluster.log().count("\n")
    bench.cluster.change("coderuns", "run-1", status={"phase": "Succeeded"})
    step.outcome().assert_succeeded()
    # The CodeRun once more, and then whether it is still the same, and its pods.
    assert bench.cluster.log().count("\n") == asked + 3


def test_a_watch_that_tells_nothing_is_begun_anew(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Running"})
    step = start(bench, WATCH_SECONDS="0")
    wait_until(lambda: watches(bench) >= 2, "it watches again")
    bench.cluster.change("coderuns", "run-1", status={"phase": "Succeeded"})
    step.outcome().assert_succeeded()


def test_at_its_deadline_it_ends_the_coderun_and_waits_for_its_pods(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Running"})
    bench.cluster.agent_pod("run-1", fake={"goneAfter": 1000})
    step = start(bench, RUN_TIMEOUT_SECONDS="1")
    wait_until(lambda: "pods/run-1-agent" in bench.cluster.deletions(), "the pod's end was asked for")
    assert bench.cluster.names("coderuns") == set()
    assert step.process.poll() is None
    bench.cluster.remove("pods", "run-1-agent")
    step.outcome().assert_refused("had not ended after 1 s (phase Running)", "deadlines.runSeconds")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_go_it_takes_the_coderun_with_it(bench: Bench, number: int) -> None:
    bench.cluster.applied_behave(status={"phase": "Running"})
    step = start(bench)
    wait_until(lambda: bench.cluster.names("coderuns") == {"run-1"}, "the CodeRun is there")
    step.process.send_signal(number)
    outcome = step.outcome()
    assert outcome.code == 143
    assert bench.cluster.deletions() == ["coderuns/run-1"]


def test_a_coderun_deleted_by_somebody_fails_the_step(bench: Bench) -> None:
    bench.cluster.applied_behave(status={"phase": "Running"})
    bench.cluster.agent_pod("run-1", fake={"goneAfter": 2})
    step = start(bench)
    wait_until(lambda: bench.cluster.names("coderuns") == {"run-1"}, "the CodeRun is there")
    bench.cluster.remove("coderuns", "run-1")
    step.outcome().assert_refused("was deleted while it ran")
    assert bench.cluster.names("pods") == set()


def test_a_dead_workflows_coderun_of_the_same_name_is_ended_first(bench: Bench) -> None:
    bench.cluster.coderun("run-1", 7, status={"phase": "Succeeded"})
    bench.cluster.agent_pod("run-1")
    bench.cluster.applied_behave(fake={"phases": ["Running", "Succeeded"]})
    run(bench).assert_succeeded()
    assert bench.cluster.deletions() == ["coderuns/run-1"]
    assert applied(bench)["metadata"]["labels"]["coderun/workflow-uid"] == uid(1)


def test_an_api_server_that_is_away_for_a_moment(bench: Bench) -> None:
    bench.cluster.applied_behave(fake={"phases": ["Running", "Succeeded"]})
    bench.cluster.fail_calls(2)
    run(bench).assert_succeeded()


def test_a_coderun_that_is_not_taken_is_said_so(bench: Bench) -> None:
    run(bench, CODERUN_MANIFEST="no JSON").assert_refused("CodeRun run-1 can't be made", "coderun.spec")

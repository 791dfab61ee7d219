"""A batch: what its plan refuses, what a task's step makes and reports, what the summary says."""

import base64
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.payload.steps import Bench, Outcome, RunningStep, uid, wait_until

TASKS = [
    {"owner": "exampleorg", "repo": "sample", "ref": "refs/heads/main", "prNumber": 7},
    {"owner": "exampleorg", "repo": "wide", "parallelism": 3},
    {"owner": "exampleorg", "repo": "sample", "taskId": 'a"b|c'},
]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench with a batch of three tasks, of which the second has a fault. It needs no git server."""
    made = Bench(tmp_path / "bench", "http://127.0.0.1:9")
    put_batch(made, json.dumps(TASKS))
    return made


def put_batch(bench: Bench, tasks: str, name: str = "run-1", number: int = 1, created: str = "2024-01-01T00:00:01Z", **status: str) -> None:
    """Adds the Workflow of a batch."""
    bench.cluster.put(
        "workflows",
        name,
        uid=uid(number),
        labels={"coderun/batch": name},
        spec={"arguments": {"parameters": [{"name": "other", "value": "x"}, {"name": "tasks", "value": tasks}]}},
        status=status or {"phase": "Running"},
    )
    path = bench.cluster.folder / "objects" / "workflows" / f"{name}.json"
    found = json.loads(path.read_text())
    found["metadata"]["creationTimestamp"] = created
    path.write_text(json.dumps(found))


def variables(bench: Bench, **changes: str) -> dict[str, str]:
    """What the template sets."""
    return {
        "MOST_TASKS": "100",
        "API_TIMEOUT_SECONDS": "20",
        "OUTPUT_DIR": str(bench.folder / "batch"),
        "RESULT_FILE": str(bench.folder / "batch" / "result"),
        "RUN_TEMPLATE": "coderun-template",
        "ITEM": "1 exampleorg/sample",
        **changes,
    }


def plan(bench: Bench, **changes: str) -> Outcome:
    """Runs the step `plan`."""
    return bench.run("batch-plan", 1, **variables(bench, **changes))


def start(bench: Bench, item: int, **changes: str) -> RunningStep:
    """Starts the step `run` of a task."""
    (bench.folder / "batch" / "result").unlink(missing_ok=True)
    return bench.start("batch-run", 1, **variables(bench, ITEM=f"{item} exampleorg/sample", **changes))


def result(bench: Bench) -> dict[str, Any]:
    """What the step `run` reported."""
    found: dict[str, Any] = json.loads((bench.folder / "batch" / "result").read_text())
    return found


def workflow(bench: Bench, name: str) -> dict[str, Any]:
    """A Workflow as it is now."""
    found: dict[str, Any] = json.loads((bench.cluster.folder / "objects" / "workflows" / f"{name}.json").read_text())
    return found


def end(bench: Bench, name: str, status: dict[str, Any]) -> None:
    """Gives a Workflow a status, whole at once."""
    path = bench.cluster.folder / "objects" / "workflows" / f"{name}.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({**workflow(bench, name), "status": status}))
    fresh.replace(path)


def made(bench: Bench, name: str) -> bool:
    """Whether a Workflow is there."""
    return name in bench.cluster.names("workflows")


def test_the_plan_names_every_task(bench: Bench) -> None:
    plan(bench).assert_succeeded()
    assert json.loads((bench.folder / "batch" / "tasks").read_text()) == ["1 exampleorg/sample", "2 exampleorg/wide", "3 exampleorg/sample"]
    assert (bench.folder / "batch" / "count").read_text() == "3"


@pytest.mark.parametrize(
    ("tasks", "parts"),
    [
        ("", ["it is not a JSON list of tasks"]),
        ("[]", ["the list is empty"]),
        ('{"owner": "a"}', ["it is not a JSON list of tasks: it is not a list"]),
        ('[{"owner": "a"]', ["a comma or a closing brace is missing at character 16"]),
        ('[{"owner": "a", "repo": "b"}] x', ["it is not a JSON list of tasks"]),
        ('[{"owner": "a", "repo": "b"}, {"owner": "a", "repo": "b"}, {"owner": "a", "repo": "b"}]', ["it has 3 tasks, more than 2"]),
        (f'["{"x" * 100_000}"]', ["it is longer than 100000 characters"]),
    ],
)
def test_what_is_no_list_of_tasks_is_refused(bench: Bench, tasks: str, parts: list[str]) -> None:
    put_batch(bench, tasks)
    plan(bench, MOST_TASKS="2").assert_refused("parameter tasks: ", *parts)
    assert not (bench.folder / "batch" / "tasks").exists()


def test_a_name_that_leaves_no_room_is_refused(bench: Bench) -> None:
    put_batch(bench, "[]", "b" * 59)
    plan(bench, WORKFLOW_NAME="b" * 59).assert_refused("longer than 58 characters")


def test_batches_leave_room_for_their_tasks(bench: Bench) -> None:
    put_batch(bench, "[]", "older", 2, "2024-01-01T00:00:00Z")
    put_batch(bench, "[]", "ended", 3, "2024-01-01T00:00:00Z", phase="Succeeded")
    put_batch(bench, "[]", "younger", 4, "2024-01-01T00:00:02Z", phase="Pending")
    bench.cluster.put("workflows", "older-1", labels={"coderun/batch": "older", "coderun/batch-task": "1"}, status={"phase": "Running"})
    plan(bench).assert_succeeded()
    plan(bench, MOST_BATCHES="2").assert_succeeded()
    plan(bench, MOST_BATCHES="1").assert_refused("1 batches run already", "workflowsAtOnce")
    assert "coderun/batch,!coderun/batch-task,workflows.argoproj.io/completed!=true" in bench.cluster.log()


def test_a_task_is_a_run_of_its_own(bench: Bench) -> None:
    step = start(bench, 3)
    wait_until(lambda: made(bench, "run-1-3"), "the run is made")
    run = workflow(bench, "run-1-3")
    assert run["metadata"]["labels"] == {"coderun/batch": "run-1", "coderun/batch-task": "3"}
    assert run["metadata"]["annotations"] == {"coderun/batch-uid": uid(1)}
    (owner,) = run["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("Workflow", "run-1", uid(1), False)
    assert run["spec"] == {
        "workflowTemplateRef": {"name": "coderun-template"},
        "arguments": {
            "parameters": [
                {"name": "owner", "value": "exampleorg"},
                {"name": "repo", "value": "sample"},
                {"name": "taskId", "value": 'a"b|c'},
            ]
        },
    }
    end(bench, "run-1-3", {"phase": "Succeeded"})
    step.outcome().assert_succeeded()
    assert result(bench) == {"task": 3, "repo": "exampleorg/sample", "workflow": "run-1-3", "phase": "Succeeded", "message": ""}


def test_a_failed_run_is_a_result_with_its_reason(bench: Bench) -> None:
    step = start(bench, 1)
    wait_until(lambda: made(bench, "run-1-1"), "the run is made")
    nodes = {
        "a": {"type": "DAG", "phase": "Failed", "displayName": "run-1-1", "message": "child failed"},
        "b": {"type": "Pod", "phase": "Failed", "displayName": "run-1-1.onExit", "startedAt": "1", "message": "Error (exit code 1): later"},
        "c": {"type": "Pod", "phase": "Failed", "displayName": "resolve", "startedAt": "2", "message": 'Error (exit code 1): "no" | {{x}} \\ such'},
    }
    end(bench, "run-1-1", {"phase": "Failed", "message": "child failed", "nodes": nodes})
    step.outcome().assert_succeeded()
    assert (result(bench)["phase"], result(bench)["message"]) == ("Failed", '"no" | ((x)) \\ such')


def test_a_failed_run_without_failed_pods_has_the_workflows_own_reason(bench: Bench) -> None:
    step = start(bench, 1)
    wait_until(lambda: made(bench, "run-1-1"), "the run is made")
    end(bench, "run-1-1", {"phase": "Error", "message": "no such template"})
    step.outcome().assert_succeeded()
    assert (result(bench)["phase"], result(bench)["message"]) == ("Error", "no such template")


def test_a_task_with_a_fault_makes_nothing(bench: Bench) -> None:
    start(bench, 2).outcome().assert_succeeded()
    assert result(bench)["phase"] == "Refused"
    assert "field parallelism: there is no such field. Remedy: " in result(bench)["message"]
    assert bench.cluster.names("workflows") == {"run-1"}


def test_what_the_api_server_refuses_is_told_and_not_tried_again(bench: Bench) -> None:
    said = "Error from server: admission webhook: ValidatingAdmissionPolicy 'x' denied request: parameter ref: it contains braces. Remedy: none."
    (bench.cluster.folder / "refuse-create").write_text(said)
    start(bench, 1).outcome().assert_succeeded()
    assert (result(bench)["phase"], result(bench)["message"]) == ("Refused", "parameter ref: it contains braces. Remedy: none.")
    assert bench.cluster.log().count('"create"') == 1


def test_an_api_server_that_is_away_is_asked_again(bench: Bench) -> None:
    bench.cluster.fail_calls(3)
    step = start(bench, 1)
    wait_until(lambda: made(bench, "run-1-1"), "the run is made")
    end(bench, "run-1-1", {"phase": "Succeeded"})
    step.outcome().assert_succeeded()
    assert result(bench)["phase"] == "Succeeded"


def test_after_the_loss_of_its_pod_it_waits_for_the_same_run(bench: Bench) -> None:
    step = start(bench, 1, WATCH_SECONDS="5")
    wait_until(lambda: '"--watch"' in bench.cluster.log(), "it waits")
    step.lose_pod()
    watched = bench.cluster.log().count('"--watch"')
    again = start(bench, 1)
    wait_until(lambda: bench.cluster.log().count('"--watch"') > watched, "it waits again")
    end(bench, "run-1-1", {"phase": "Succeeded"})
    again.outcome().assert_succeeded()
    assert result(bench)["phase"] == "Succeeded"
    assert bench.cluster.names("workflows") == {"run-1", "run-1-1"}


def test_a_workflow_of_the_name_that_is_not_its_own_is_left_alone(bench: Bench) -> None:
    bench.cluster.put("workflows", "run-1-1", annotations={"coderun/batch-uid": uid(9)}, status={"phase": "Succeeded"})
    start(bench, 1).outcome().assert_succeeded()
    assert result(bench)["phase"] == "Error"
    assert "not of this batch" in result(bench)["message"]


def test_a_deleted_run_is_told(bench: Bench) -> None:
    step = start(bench, 1)
    wait_until(lambda: made(bench, "run-1-1"), "the run is made")
    bench.cluster.remove("workflows", "run-1-1")
    step.outcome().assert_succeeded()
    assert "was deleted" in result(bench)["message"]


@pytest.mark.parametrize("how", ["Stop", "Terminate"])
def test_a_task_is_stopped_with_its_batch(bench: Bench, how: str) -> None:
    step = start(bench, 1)
    wait_until(lambda: '"--watch"' in bench.cluster.log(), "it waits")
    path = bench.cluster.folder / "objects" / "workflows" / "run-1.json"
    found = workflow(bench, "run-1")
    found["spec"]["shutdown"] = how
    path.write_text(json.dumps(found))
    step.process.send_signal(signal.SIGTERM)
    assert step.outcome().code == 143
    assert workflow(bench, "run-1-1")["spec"]["shutdown"] == "Stop", "so that it cleans up, which a terminated one doesn't"


def test_a_task_goes_on_when_only_the_steps_pod_has_to_go(bench: Bench) -> None:
    step = start(bench, 1)
    wait_until(lambda: '"--watch"' in bench.cluster.log(), "it waits")
    step.process.send_signal(signal.SIGTERM)
    assert step.outcome().code == 143
    assert "shutdown" not in workflow(bench, "run-1-1")["spec"]


def summary(bench: Bench, results: list[dict[str, Any]], count: int) -> Outcome:
    """Runs the step `summary` with results as Argo's JSON encoder writes them."""
    text = json.dumps(results, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u00{ord(character):02x}")
    return bench.run(
        "batch-summary", 1, RESULTS_B64=base64.b64encode(text.encode()).decode(), COUNT=str(count), OUTPUT_DIR=str(bench.folder / "batch")
    )


def one(task: int, phase: str, message: str = "") -> dict[str, Any]:
    """A result, in Argo's order of keys."""
    return {"message": message, "phase": phase, "repo": "a/b", "task": task, "workflow": f"run-1-{task}"}


def test_all_succeeded(bench: Bench) -> None:
    done = summary(bench, [one(2, "Succeeded"), one(1, "Succeeded")], 2)
    done.assert_succeeded()
    assert "task 1 a/b: Succeeded (run-1-1)\ntask 2 a/b: Succeeded (run-1-2)\n2 of 2 tasks succeeded" in done.output
    assert len(json.loads((bench.folder / "batch" / "results").read_text())) == 2


def test_the_summary_names_each_task_that_did_not_succeed(bench: Bench) -> None:
    nasty = 'parameter ref: \'x"}]\' \\ {1} <b> & "task":9 | is wrong. Remedy: none'
    done = summary(bench, [one(1, "Succeeded"), one(2, "Failed", nasty), one(4, "Refused", "no")], 4)
    done.assert_refused("3 of 4 tasks did not succeed", f"task 2 a/b: Failed: {nasty}", "task 3 ?: Lost", "task 4 a/b: Refused: no")
    assert f"task 2 a/b: Failed (run-1-2): {nasty}\n" in done.output
    assert (bench.folder / "batch" / "summary").read_text() == "1 of 4 tasks succeeded"

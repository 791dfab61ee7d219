"""A run that an event has started gives way to a newer one of the same pull request, and the newest never gives way."""

import json

import pytest

from tests.payload.steps import Bench, Outcome, RunningStep, wait_until
from tests.payload.test_run_coderun import MANIFEST

EVENT = {"ENTRYPOINT": "coderun-event", "SUPERSEDE": "true"}


def put_run(bench: Bench, name: str, second: int, *, pr: str = "7", repo: str = "exampleorg/sample", event: bool = True, **fields: str) -> None:
    """Adds a run of a pull request; fields are its phase and its shutdown."""
    labels = {"coderun/pr": pr, **({"coderun/delivery": "x"} if event else {})}
    bench.cluster.put(
        "workflows",
        name,
        labels=labels,
        annotations={"coderun/repo": repo},
        made=f"2024-01-01T00:00:{second:02d}Z",
        spec={"shutdown": fields["shutdown"]} if "shutdown" in fields else {},
        status={"phase": fields.get("phase", "Running")},
    )


def init(bench: Bench, **variables: str) -> Outcome:
    """Runs init-worktree of run-1."""
    return bench.init(1, **{**EVENT, **variables})


def test_a_run_that_finds_a_newer_one_starts_nothing(bench: Bench) -> None:
    put_run(bench, "run-1", 10)
    put_run(bench, "run-2", 11, phase="Pending")
    put_run(bench, "run-0", 9)
    init(bench).assert_refused("superseded: run run-2 works on a newer head of this pull request; nothing was started")
    assert bench.leftovers() == []
    assert not bench.base().exists()


def test_runs_that_have_ended_are_not_even_asked_for(bench: Bench) -> None:
    """Each takes 300 KB, and kubectl holds the list in a memory of 128 MiB."""
    put_run(bench, "run-1", 10)
    init(bench).assert_succeeded()
    assert "coderun/pr=7,coderun/delivery,workflows.argoproj.io/completed!=true" in bench.cluster.log()


def test_the_newest_runs(bench: Bench) -> None:
    put_run(bench, "run-0", 9)
    put_run(bench, "run-1", 10)
    init(bench).assert_succeeded()


@pytest.mark.parametrize(("other", "gives_way"), [("run-0", False), ("run-2", True)])
def test_of_two_runs_of_one_second_exactly_one_gives_way(bench: Bench, other: str, *, gives_way: bool) -> None:
    put_run(bench, "run-1", 10)
    put_run(bench, other, 10)
    assert (init(bench).code == 1) == gives_way


@pytest.mark.parametrize(
    "newer",
    [
        {"phase": "Succeeded"},
        {"phase": "Failed"},
        {"phase": "Error"},
        {"phase": "Running", "shutdown": "Stop"},
        {"pr": "8"},
        {"pr": "77"},
        {"repo": "exampleorg/sample2"},
        {"event": False},
    ],
)
def test_a_run_that_will_not_do_the_work_supersedes_none(bench: Bench, newer: dict[str, str]) -> None:
    put_run(bench, "run-1", 10)
    put_run(bench, "run-2", 11, **newer)  # type: ignore[arg-type]
    init(bench).assert_succeeded()


@pytest.mark.parametrize("newer", [{"phase": ""}, {"phase": "Pending"}, {"repo": "ExampleOrg/Sample"}])
def test_a_run_that_will_do_it_supersedes(bench: Bench, newer: dict[str, str]) -> None:
    put_run(bench, "run-1", 10)
    put_run(bench, "run-2", 11, **newer)  # type: ignore[arg-type]
    init(bench).assert_refused("superseded: run run-2")


@pytest.mark.parametrize("variables", [{"ENTRYPOINT": "coderun-main"}, {"SUPERSEDE": "false"}, {"ENTRYPOINT": "", "SUPERSEDE": ""}])
def test_runs_of_people_and_where_it_is_switched_off_none_gives_way(bench: Bench, variables: dict[str, str]) -> None:
    put_run(bench, "run-1", 10)
    put_run(bench, "run-2", 11)
    init(bench, **variables).assert_succeeded()
    assert "coderun/pr" not in bench.cluster.log(), "nothing is asked either"


def start(bench: Bench, **variables: str) -> RunningStep:
    """Starts create-coderun of run-1."""
    bench.cluster.applied_behave(status={"phase": "Running"}, fake={"endsPods": "platform.example.io/coderun=run-1"})
    return bench.start("create-coderun", 1, **{"CODERUN_MANIFEST": MANIFEST, "SUPERSEDE_SECONDS": "1", **EVENT, **variables})


def test_an_agent_is_ended_for_a_newer_run_and_its_pod_is_waited_for(bench: Bench) -> None:
    put_run(bench, "run-1", 10)
    bench.cluster.agent_pod("run-1")
    step = start(bench)
    wait_until(lambda: '"--watch"' in bench.cluster.log(), "the agent works")
    assert step.process.poll() is None
    put_run(bench, "run-2", 40)
    step.outcome().assert_refused("superseded: run run-2 works on a newer head of this pull request; CodeRun run-1 was ended")
    assert bench.cluster.names("coderuns") == set()
    assert bench.cluster.names("pods") == set()


def test_an_agent_that_has_ended_is_not_superseded(bench: Bench) -> None:
    put_run(bench, "run-1", 10)
    put_run(bench, "run-2", 40)
    bench.cluster.applied_behave(status={"phase": "Succeeded"})
    bench.run("create-coderun", 1, CODERUN_MANIFEST=MANIFEST, **EVENT).assert_succeeded()


def test_the_manifest_of_the_other_tests_is_that_of_run_1() -> None:
    assert json.loads(MANIFEST)["metadata"]["name"] == "run-1"

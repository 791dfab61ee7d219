"""What a run can be pointed at, and how it ends: one batch of runs, submitted at once."""

import uuid
from dataclasses import dataclass

import pytest

from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import Runs, messages, node, output, phase
from tests.e2e.sightings import Sightings
from tests.e2e.volume import Volume
from tests.fixtures.coderun_controller.api import JsonObject

REFS = {
    "none": "refs/heads/main",
    "branch": "refs/heads/gate/c",
    "tag": "refs/tags/v1.0",
    "pull": "refs/pull/7/head",
    "commit": "refs/tags/v1.0",
    "failing": "refs/heads/fail",
}
"""Each run, and the ref at the server whose commit it must get."""

TASK = f"e2e-commit-{uuid.uuid4().hex[:8]}"
BATCH_SECONDS = 300.0


@dataclass(frozen=True)
class Batch:
    """The ended runs by the names of REFS, and the commits they should have had."""

    names: dict[str, str]
    workflows: dict[str, JsonObject]
    wanted: dict[str, str]
    leftovers: frozenset[str]


@pytest.fixture(scope="module")
def batch(runs: Runs, git: GitServerControl, shared_volume: Volume) -> Batch:
    """Submits all, waits for all."""
    before = shared_volume.leftovers()
    wanted = {kind: shared_volume.remote_commit(git.repository("sample"), ref) for kind, ref in REFS.items()}
    names = {
        "none": runs.sample(),
        "branch": runs.sample(ref="gate/c"),
        "tag": runs.sample(ref="refs/tags/v1.0"),
        "pull": runs.sample(ref="refs/pull/7/head", prNumber="7", baseRef="refs/heads/main"),
        "commit": runs.sample(ref=wanted["commit"], taskId=TASK),
        "failing": runs.sample(ref="refs/heads/fail"),
    }
    ended = runs.wait_ended(names.values(), BATCH_SECONDS)
    return Batch(names, {k: ended[n] for k, n in names.items()}, wanted, shared_volume.leftovers() - before)


@pytest.mark.parametrize("kind", [kind for kind in REFS if kind != "failing"])
def test_run_succeeds_at_the_commit_of_its_ref(batch: Batch, runs: Runs, sightings: Sightings, kind: str) -> None:
    workflow = batch.workflows[kind]
    assert phase(workflow) == "Succeeded", runs.explain(batch.names[kind])
    assert output(workflow, "init-worktree", "commit") == batch.wanted[kind]
    said = sightings.coderun(batch.names[kind])["status"]["message"]
    assert batch.wanted[kind] in said, "the agent did not start at the ref's commit"


@pytest.mark.parametrize(
    ("kind", "task"),
    [("none", "{name}"), ("pull", "pr-7-{name}"), ("commit", TASK)],
)
def test_task_id_defaults_and_override(batch: Batch, kind: str, task: str) -> None:
    wanted = task.format(name=batch.names[kind])
    assert output(batch.workflows[kind], "init-worktree", "workspace-path") == f"/work/trees/{wanted}"


def test_failed_agent_fails_the_workflow_with_its_last_lines(batch: Batch, runs: Runs, sightings: Sightings) -> None:
    workflow, name = batch.workflows["failing"], batch.names["failing"]
    assert phase(workflow) == "Failed", runs.explain(name)
    coderun = sightings.coderun(name)["status"]
    assert coderun["phase"] == "Failed"
    assert coderun["message"].startswith("exit code 3: ")
    last = coderun["message"].rsplit(" | ", 1)[-1]
    assert last in messages(workflow), runs.explain(name)


@pytest.mark.parametrize("kind", ["none", "failing"])
def test_cleanup_runs_after_success_and_failure(batch: Batch, kind: str) -> None:
    cleanup = node(batch.workflows[kind], "cleanup")
    assert cleanup is not None
    assert cleanup["phase"] == "Succeeded"


def test_agent_had_ended_before_the_step_that_waits_for_it(batch: Batch, sightings: Sightings) -> None:
    for kind, name in batch.names.items():
        agent = sightings.agent(name)
        (step,) = [x for x in sightings.lives(name) if ".create-coderun" in x.annotations.get("workflows.argoproj.io/node-name", "")]
        assert agent.finished is not None, kind
        assert step.finished is not None, kind
        assert agent.finished <= step.finished, kind


def test_nothing_is_left(batch: Batch, runs: Runs) -> None:
    assert batch.leftovers == frozenset()
    assert runs.objects_left(batch.names.values()) == []

"""A batch: as many tasks at once as it may, each a run like any other, and bad ones in nobody's way."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import BATCH_TEMPLATE, FINISHED, NAMESPACE, Runs, SubmitRefusedError, messages, phase
from tests.e2e.sightings import Life, Sightings, is_agent
from tests.e2e.volume import Volume
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import JsonObject

COUNT = 30
CAP = 4
SECONDS = 900.0
"""Thirty runs, four at a time, each some 20 s on 2 cores."""

BAD: dict[int, tuple[dict[str, Any], str, str]] = {
    7: ({"owner": "exampleorg", "repo": "nowhere"}, "Failed", "parameter repo: 'exampleorg/nowhere' is not in the stack's list"),
    13: ({"owner": "exampleorg", "repo": "sample", "ref": "x{{=1+1}}"}, "Refused", "parameter ref: it contains two opening braces"),
    21: ({"owner": "exampleorg", "repo": "sample", "branch": "main"}, "Refused", "field branch: there is no such field"),
}
"""Number of a task, what it is, how it ends and what is said of it."""

GATE = "c"


def tasks() -> str:
    """The batch as a person writes it, on many lines; braces inside of texts as escapes, for two in a row are refused at submission."""
    good = {"owner": "exampleorg", "repo": "sample", "github-app": "rex", "usePVC": False}
    prefix = f"e2e-batch-{uuid.uuid4().hex[:8]}"
    listed = [BAD[number][0] if number in BAD else {**good, "taskId": f"{prefix}-{number}"} for number in range(1, COUNT + 1)]
    return json.dumps(listed, indent=2).replace("{{", "\\u007b\\u007b")


@contextmanager
def parallelism(cap: int) -> Iterator[None]:
    """Another cap for a while, as an operator sets it."""

    def patch(value: str) -> None:
        spec = json.dumps({"spec": {"parallelism": int(value)}})
        commands.run(["kubectl", "-n", NAMESPACE, "patch", "workflowtemplate", BATCH_TEMPLATE, "--type", "merge", "-p", spec])

    before = commands.run(["kubectl", "-n", NAMESPACE, "get", "workflowtemplate", BATCH_TEMPLATE, "-o", "jsonpath={.spec.parallelism}"])
    patch(str(cap))
    try:
        yield
    finally:
        patch(before)


def is_task_step(life: Life) -> bool:
    """Whether a pod is a batch's step for a task."""
    return life.labels.get("coderun/step") == "batch-run"


@dataclass(frozen=True)
class Played:
    """A batch that has ended."""

    workflow: JsonObject
    runs: dict[str, JsonObject]
    results: dict[int, dict[str, Any]]
    leftovers: frozenset[str]

    @property
    def name(self) -> str:
        """The batch's name."""
        return str(self.workflow["metadata"]["name"])


@pytest.fixture(scope="module")
def played(runs: Runs, shared_volume: Volume) -> Played:
    """Thirty tasks, three of them bad, four at once."""
    before = shared_volume.leftovers()
    with parallelism(CAP):
        name = runs.batch(tasks())
        workflow = runs.wait_ended([name], SECONDS)[name]
    outputs = {one["name"]: one["value"] for one in workflow["status"]["outputs"]["parameters"]}
    results = {one["task"]: one for one in json.loads(outputs["results"])}
    return Played(workflow, runs.of_batch(name), results, shared_volume.leftovers() - before)


def test_every_task_has_one_result(played: Played) -> None:
    assert sorted(played.results) == list(range(1, COUNT + 1))


def test_bad_tasks_stop_no_other(played: Played, runs: Runs) -> None:
    good = {number: one for number, one in played.results.items() if number not in BAD}
    bad = [one["workflow"] for one in good.values() if one["phase"] != "Succeeded"]
    assert bad == [], "\n".join(runs.explain(name) for name in bad)


@pytest.mark.parametrize("number", BAD)
def test_a_bad_task_is_refused_clearly(played: Played, number: int) -> None:
    _, ended, said = BAD[number]
    assert played.results[number]["phase"] == ended
    assert said in played.results[number]["message"]


def test_the_batch_fails_and_names_the_bad_tasks(played: Played) -> None:
    assert phase(played.workflow) == "Failed"
    said = messages(played.workflow)
    assert "3 of 30 tasks did not succeed" in said
    for number in BAD:
        assert f"task {number} exampleorg/" in said


def test_never_more_tasks_at_once_than_the_cap(played: Played, sightings: Sightings) -> None:
    assert sightings.most_living([played.name], is_task_step) == CAP
    assert 1 < sightings.most_living(played.runs, is_agent) <= CAP


def test_each_task_was_a_run_of_its_own_in_a_tree_of_its_own(played: Played) -> None:
    assert len(played.runs) == COUNT - 2, "two were refused before there was a run"
    owners = {run["metadata"]["ownerReferences"][0]["uid"] for run in played.runs.values()}
    assert owners == {played.workflow["metadata"]["uid"]}
    assert {run["spec"]["workflowTemplateRef"]["name"] for run in played.runs.values()} == {"coderun-template"}


def test_nothing_is_left_of_them(played: Played, runs: Runs) -> None:
    assert played.leftovers == frozenset()
    assert runs.objects_left(played.runs) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [("nonsense", "parameter tasks: it is not a JSON list of tasks"), ("[]", "parameter tasks: the list is empty")],
)
def test_what_is_no_list_is_refused_before_anything_is_made(runs: Runs, given: str, said: str) -> None:
    name = runs.batch(given)
    workflow = runs.wait_ended([name])[name]
    assert phase(workflow) == "Failed"
    assert said in messages(workflow)
    assert runs.of_batch(name) == {}


def test_braces_are_refused_at_submission(runs: Runs) -> None:
    with pytest.raises(SubmitRefusedError, match="parameter tasks: it contains two opening braces"):
        runs.batch('[{"owner": "exampleorg", "repo": "{{=1+1}}"}]')


def test_tasks_are_stopped_with_their_batch_and_clean_up(runs: Runs, git: GitServerControl, shared_volume: Volume) -> None:
    before = shared_volume.leftovers()
    held = {"owner": "exampleorg", "repo": "sample", "ref": f"refs/heads/gate/{GATE}", "github-app": "rex"}
    with git.gate(GATE):
        name = runs.batch(json.dumps([held, held]))
        children = [f"{name}-1", f"{name}-2"]
        wait_for("both runs are made", lambda: sorted(runs.of_batch(name)) == children, 120)
        for child in children:
            runs.wait_agent(child)
        runs.stop(name)
        ended = runs.wait_ended([name, *children])
    assert {phase(workflow) for workflow in ended.values()} <= FINISHED - {"Succeeded"}
    assert {runs.get(child)["spec"]["shutdown"] for child in children} == {"Stop"}
    assert runs.objects_left(children) == []
    assert shared_volume.leftovers() - before == frozenset()

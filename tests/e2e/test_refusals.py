"""Input that must be refused: clearly, at once, and before anything is made."""

import time
from dataclasses import dataclass

import pytest

from tests.e2e.runs import NOT_RUN, RUN_SECONDS, Runs, SubmitRefusedError, messages, node, phase
from tests.e2e.sightings import Sightings
from tests.e2e.volume import Volume
from tests.fixtures.coderun_controller.api import JsonObject
from tests.fixtures.coderun_controller.phases import timestamp

EVIL = {
    "unknown-repo": ("repo", {"repo": "nowhere"}),
    "unknown-owner": ("owner", {"owner": "nobody"}),
    "command-in-ref": ("ref", {"ref": "$(touch /tmp/x)"}),
    "path-in-task-id": ("taskId", {"taskId": "../../etc"}),
    "option-as-task-id": ("taskId", {"taskId": "-x"}),
    "expression-in-ref": ("ref", {"ref": "{{=1+1}}"}),
    "broken-expression-in-ref": ("ref", {"ref": "{{=1+"}),
}
"""Each case: the parameter that the message must name, and the parameters."""

AT_ONCE_SECONDS = 45.0
"""One pod's start and cleanup, with the others of this file at the same time on 2 cores."""


@dataclass(frozen=True)
class Refusal:
    """How a case was refused: by the API server (no workflow) or by the run's first step."""

    said: str
    workflow: JsonObject | None


@dataclass(frozen=True)
class Refusals:
    """All cases, and the claim before and after."""

    cases: dict[str, Refusal]
    before: frozenset[str]
    after: frozenset[str]
    claims_made: frozenset[str]


@pytest.fixture(scope="module")
def refusals(runs: Runs, shared_volume: Volume) -> Refusals:
    """Submits every case at once and waits for all to end."""
    before, claims = shared_volume.listing(), frozenset(runs.claims())
    started: dict[str, str] = {}
    cases: dict[str, Refusal] = {}
    for case, (_, parameters) in EVIL.items():
        try:
            started[case] = runs.sample(**parameters)
        except SubmitRefusedError as refused:
            cases[case] = Refusal(str(refused), None)
    deadline = time.monotonic() + RUN_SECONDS
    ended = runs.wait_ended(started.values(), deadline - time.monotonic())
    for case, name in started.items():
        cases[case] = Refusal(messages(ended[name]), ended[name])
    return Refusals(cases, before, shared_volume.listing(), frozenset(runs.claims()) - claims)


@pytest.mark.parametrize("case", EVIL)
def test_message_names_the_parameter_and_the_remedy(refusals: Refusals, case: str) -> None:
    parameter, _ = EVIL[case]
    said = refusals.cases[case].said
    assert f"parameter {parameter}" in said
    assert "Remedy:" in said


@pytest.mark.parametrize("case", EVIL)
def test_refused_at_submit_or_failed_within_seconds(refusals: Refusals, case: str) -> None:
    workflow = refusals.cases[case].workflow
    if workflow is not None:
        assert phase(workflow) == "Failed"
        took = timestamp(workflow["status"]["finishedAt"]) - timestamp(workflow["metadata"]["creationTimestamp"])
        assert took.total_seconds() < AT_ONCE_SECONDS


@pytest.mark.parametrize("case", ["expression-in-ref", "broken-expression-in-ref"])
def test_expressions_are_refused_before_a_workflow_exists(refusals: Refusals, case: str) -> None:
    assert refusals.cases[case].workflow is None


@pytest.mark.parametrize("case", EVIL)
def test_nothing_was_run(refusals: Refusals, sightings: Sightings, case: str) -> None:
    workflow = refusals.cases[case].workflow
    if workflow is not None:
        assert not sightings.coderun_seen(workflow["metadata"]["name"])
        for template in ("claim", "init-worktree", "init-worktree-own-claim", "create-coderun"):
            found = node(workflow, template)
            assert found is None or found["phase"] in NOT_RUN


def test_nothing_was_made_or_removed(refusals: Refusals, runs: Runs) -> None:
    assert refusals.after == refusals.before
    assert refusals.claims_made == frozenset()
    names = [r.workflow["metadata"]["name"] for r in refusals.cases.values() if r.workflow]
    assert runs.objects_left(names) == []

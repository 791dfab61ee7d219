"""One writer at a time, read from the pods: also when the first is stopped and won't go."""

import time
from dataclasses import dataclass

import pytest

from tests.e2e.git_server import GitServerControl
from tests.e2e.limits import limit, limits, set_limit
from tests.e2e.runs import Runs, phase
from tests.e2e.sightings import Life, Sightings, is_agent
from tests.e2e.volume import Volume
from tests.fixtures.coderun_controller.api import JsonObject

GATE = "b"
KEY = "exampleorg-sample-limited"
"""A branch that the dev stack limits to one."""

GATED = {"ref": f"refs/heads/stubborn/{GATE}", "baseRef": "refs/heads/limited"}
STUBBORN_SECONDS = 4.0
"""How long the stopped agent must have lived on for the test to prove anything. On that branch it
ignores SIGTERM, so it lives until the pod's grace period of 10 s is over."""


@dataclass(frozen=True)
class Contest:
    """Three runs of one key: the first stopped while its agent ran, the third let in by a higher limit."""

    first: str
    second: str
    third: str
    stopped_at: float
    lock_message: str
    most_before_patch: int
    most_after_patch: int
    limit_after_patch: str
    workflows: dict[str, JsonObject]
    leftovers: frozenset[str]


@pytest.fixture(scope="module")
def contest(runs: Runs, git: GitServerControl, shared_volume: Volume, sightings: Sightings) -> Contest:
    """Plays the contest through, step by step at the gate."""
    before = shared_volume.leftovers()
    with git.gate(GATE), limit(KEY, 1):
        first = runs.sample(**GATED)
        runs.wait_agent(first)
        second = runs.sample(**GATED)
        lock_message = runs.wait_for_lock(second)
        runs.stop(first)
        stopped_at = time.time()
        runs.wait_agent(second)
        third = runs.sample(**GATED)
        runs.wait_for_lock(third)
        most_before_patch = sightings.most_living([first, second, third], is_agent)
        set_limit(KEY, "2")
        limit_after_patch = limits()[KEY]
        runs.wait_agent(third)
        most_after_patch = sightings.most_living([first, second, third], is_agent)
    workflows = runs.wait_ended([first, second, third])
    return Contest(
        first=first,
        second=second,
        third=third,
        stopped_at=stopped_at,
        lock_message=lock_message,
        most_before_patch=most_before_patch,
        most_after_patch=most_after_patch,
        limit_after_patch=limit_after_patch,
        workflows=workflows,
        leftovers=shared_volume.leftovers() - before,
    )


def test_second_run_waits_for_the_key(contest: Contest) -> None:
    assert KEY in contest.lock_message


def test_stopped_agent_lived_on_for_a_while(contest: Contest, sightings: Sightings) -> None:
    ended = sightings.agent(contest.first).ended_at
    assert ended is not None
    assert ended - contest.stopped_at > STUBBORN_SECONDS


def test_never_two_agents_at_limit_one_even_when_the_first_is_stopped(contest: Contest, sightings: Sightings) -> None:
    assert contest.most_before_patch == 1
    first, second = sightings.agent(contest.first), sightings.agent(contest.second)
    assert ended(first) <= second.seen_at, "the second agent's pod was made while the first one lived"


def test_agents_containers_did_not_overlap_by_the_kubelet_either(contest: Contest, sightings: Sightings) -> None:
    first, second = sightings.agent(contest.first), sightings.agent(contest.second)
    assert first.finished is not None
    assert second.started is not None
    assert first.finished <= second.started


def test_two_run_together_after_a_patch_to_two(contest: Contest) -> None:
    assert contest.limit_after_patch == "2"
    assert contest.most_after_patch == 2


def test_stopped_run_failed_and_the_others_succeeded(contest: Contest, runs: Runs) -> None:
    phases = {name: phase(workflow) for name, workflow in contest.workflows.items()}
    assert phases == {contest.first: "Failed", contest.second: "Succeeded", contest.third: "Succeeded"}, "\n".join(
        runs.explain(name) for name in phases
    )


def test_nothing_is_left(contest: Contest, runs: Runs) -> None:
    assert contest.leftovers == frozenset()
    assert runs.objects_left(contest.workflows) == []


def ended(life: Life) -> float:
    """When the pod was seen to have ended."""
    assert life.ended_at is not None, f"{life.name} never ended"
    return life.ended_at

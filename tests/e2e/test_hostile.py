"""A hostile task on the cluster, beside a victim on the same repository: nothing that it plants runs in another pod, and nothing of it is left."""

import uuid
from dataclasses import dataclass

import pytest

from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import NAMESPACE, Runs, phase
from tests.e2e.sightings import Sightings
from tests.e2e.volume import Volume
from tests.fixtures.coderun_controller.api import JsonObject

GATE = "b"
MAIN = {"baseRef": "refs/heads/main"}
"""main's semaphore, which lets five run."""

VICTIM = f"e2e-victim-{uuid.uuid4().hex[:8]}"
LOOK = "git status --porcelain; git rev-parse HEAD; git for-each-ref; git fsck --no-dangling; git log --format=%H --patch --max-count=5"


@dataclass(frozen=True)
class Attack:
    """The hostile run, its victim before and after it, and a run that came later."""

    hostile: JsonObject
    said: str
    agent: str
    fell: frozenset[str]
    victim: JsonObject
    victim_before: str
    victim_after: str
    later: JsonObject
    base_before: frozenset[str]
    base_after: frozenset[str]
    fsck: str
    leftovers: frozenset[str]


@pytest.fixture(scope="module")
def attack(runs: Runs, git: GitServerControl, shared_volume: Volume, sightings: Sightings) -> Attack:
    """Holds the victim at its gate while the hostile task runs and is cleaned up, and another run comes and goes."""
    before = shared_volume.leftovers()
    fell_before = git.asked_for("trapped-")
    with git.gate(GATE):
        victim = runs.sample(**MAIN, ref=f"refs/heads/gate/{GATE}", taskId=VICTIM)
        pod = runs.wait_agent(victim)["metadata"]["name"]

        def in_victim(script: str) -> str:
            return commands.run(["kubectl", "exec", "-n", NAMESPACE, pod, "-c", "agent", "--", "sh", "-euc", script])

        victim_before = in_victim(LOOK)
        base_before = base_files(shared_volume)
        hostile = runs.sample(**MAIN, ref="refs/heads/hostile-git")
        hostile_end = runs.wait_ended([hostile])[hostile]
        later = runs.sample()
        later_end = runs.wait_ended([later])[later]
        victim_after = in_victim(LOOK)
        base_after = base_files(shared_volume)
        in_victim("git checkout -q -b mine && git commit -q --allow-empty -m mine")
    victim_end = runs.wait_ended([victim])[victim]
    return Attack(
        hostile=hostile_end,
        said=sightings.coderun(hostile)["status"]["message"],
        agent=sightings.agent(hostile).name,
        fell=git.asked_for("trapped-") - fell_before,
        victim=victim_end,
        victim_before=victim_before,
        victim_after=victim_after,
        later=later_end,
        base_before=base_before,
        base_after=base_after,
        fsck=shared_volume.fsck("exampleorg", "sample"),
        leftovers=shared_volume.leftovers() - before,
    )


def base_files(volume: Volume) -> frozenset[str]:
    """Every file of the base that isn't an object or a task's ref, with its checksum."""
    script = 'cd /work/base/exampleorg/sample.git && find . -type f ! -path "./objects/*" ! -path "./refs/coderun/*" -exec sha256sum {} +'
    return frozenset(volume.sh(script).splitlines())


def test_the_hostile_task_has_planted_all_and_got_nowhere(attack: Attack, runs: Runs) -> None:
    assert phase(attack.hostile) == "Succeeded", runs.explain(attack.hostile["metadata"]["name"])
    assert "tried 12 ways out" in attack.said
    assert "reached: " not in attack.said


def test_its_traps_work_and_only_it_fell_into_them(attack: Attack) -> None:
    assert attack.fell == {attack.agent}


def test_the_victim_saw_nothing_and_went_on(attack: Attack, runs: Runs) -> None:
    assert attack.victim_after == attack.victim_before
    assert phase(attack.victim) == "Succeeded", runs.explain(attack.victim["metadata"]["name"])


def test_later_runs_are_not_harmed(attack: Attack, runs: Runs) -> None:
    assert phase(attack.later) == "Succeeded", runs.explain(attack.later["metadata"]["name"])


def test_the_base_is_as_it_was(attack: Attack) -> None:
    # The branches that the runs asked for are noted for later fetches.
    changed = {line.split()[-1] for line in attack.base_after ^ attack.base_before}
    assert changed <= {"./refs/fetched/heads/main", "./refs/fetched/heads/hostile-git"}
    assert attack.fsck == ""


def test_nothing_is_left(attack: Attack, runs: Runs) -> None:
    assert attack.leftovers == frozenset()
    assert runs.objects_left(w["metadata"]["name"] for w in (attack.hostile, attack.victim, attack.later)) == []

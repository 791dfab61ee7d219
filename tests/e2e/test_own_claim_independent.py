"""A run with usePVC=true takes its base from the shared claim, and then needs nothing of it."""

from dataclasses import dataclass

import pytest

from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import NAMESPACE, Runs, phase
from tests.e2e.volume import Volume
from tests.fixtures.coderun_controller.api import JsonObject

GATE = "b"
BASE = "/work/base/exampleorg/sample.git"


@dataclass(frozen=True)
class Independent:
    """What the agent found after the shared base was gone, and the run's end."""

    init_log: str
    clones: int
    alternates: str
    fsck: str
    status: str
    history: str
    workflow: JsonObject


@pytest.fixture(scope="module")
def independent(runs: Runs, git: GitServerControl, shared_volume: Volume) -> Independent:
    """Holds the agent at a gate and takes the shared base away meanwhile."""
    runs.wait_succeeded([runs.sample()])
    clones = git.clones("sample")
    with git.gate(GATE):
        name = runs.sample(ref=f"refs/heads/gate/{GATE}", baseRef="refs/heads/main", usePVC="true")
        pod = runs.wait_agent(name)["metadata"]["name"]
        init = runs.step_pod(name, "init-worktree-own-claim")
        init_log = runs.log(init["metadata"]["name"]) if init else ""
        clones = git.clones("sample") - clones
        shared_volume.remove_base("exampleorg", "sample")

        def in_agent(*command: str) -> str:
            return commands.run(["kubectl", "exec", "-n", NAMESPACE, pod, "-c", "agent", "--", *command]).strip()

        found = {
            "alternates": in_agent("sh", "-c", f"cat {BASE}/objects/info/alternates 2>/dev/null || true"),
            "fsck": in_agent("git", "fsck", "--full", "--strict", "--no-dangling", "--no-progress"),
            "status": in_agent("git", "status", "--porcelain"),
            "history": in_agent("git", "rev-list", "--count", "--objects", "HEAD"),
        }
    return Independent(init_log=init_log, clones=clones, workflow=runs.wait_ended([name])[name], **found)


def test_it_was_seeded_and_downloaded_nothing(independent: Independent) -> None:
    assert "base: copied from the shared claim" in independent.init_log
    assert independent.clones == 0


def test_it_is_sound_without_the_shared_base(independent: Independent) -> None:
    assert independent.alternates == ""
    assert independent.fsck == ""
    assert independent.status == ""
    assert int(independent.history) > 100


def test_it_ends_well(independent: Independent) -> None:
    assert phase(independent.workflow) == "Succeeded"


def test_the_next_shared_run_makes_the_shared_base_anew(independent: Independent, runs: Runs, shared_volume: Volume) -> None:
    assert independent.workflow
    runs.wait_succeeded([runs.sample()])
    assert shared_volume.fsck("exampleorg", "sample") == ""

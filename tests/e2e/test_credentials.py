"""A private repository: its token works and shows up nowhere; a stalled server hurts one task only."""

import base64
import json
import time
from dataclasses import dataclass

import pytest

from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import NAMESPACE, RUN_SECONDS, Runs, messages, node, output, phase
from tests.e2e.sightings import Sightings, is_agent
from tests.e2e.stack import export_state
from tests.e2e.volume import Volume
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, JsonObject

SECRET = "git-exampleorg-rex"
PRIVATE = {"owner": "exampleorg", "repo": "private", "github_app": "rex"}
STALL_SECONDS = 120.0
"""The dev stack's git.lowSpeedSeconds is 20; a few attempts and the pods' start come on top."""

PROCESSES = r"""
for process in /proc/[0-9]*; do
    tr '\000' ' ' <"$process/cmdline" 2>/dev/null || continue
    echo
    tr '\000' '\n' <"$process/environ" 2>/dev/null || true
done
"""


@dataclass(frozen=True)
class Stalled:
    """A run on the stalled repository, a run elsewhere at the same time, and a run after it."""

    stalled: JsonObject
    other: JsonObject
    after: JsonObject
    seconds: float
    other_ended_while_stalled: bool
    processes: str
    logs: str
    leftovers: frozenset[str]


@pytest.fixture(scope="module")
def token(api: Api) -> str:
    """The password in the Secret."""
    data = api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}")["data"]
    return base64.b64decode(data["password"]).decode()


@pytest.fixture(scope="module")
def stall(runs: Runs, git: GitServerControl, shared_volume: Volume, sightings: Sightings) -> Stalled:
    """Stalls the private repository under one run, then lets another through."""
    before = shared_volume.leftovers()
    with git.fault("private", "stall"):
        begun = time.monotonic()
        stalled = runs.submit(**PRIVATE)
        other = runs.sample()

        def git_process() -> str | None:
            pod = runs.step_pod(stalled, "init-worktree")
            if pod is None or pod["status"].get("phase") != "Running":
                return None
            done = commands.attempt(["kubectl", "exec", "-n", NAMESPACE, pod["metadata"]["name"], "-c", "main", "--", "sh", "-c", PROCESSES])
            return done.out if "git-remote-http" in done.out else None

        processes = wait_for("git talks to the stalled server", git_process, RUN_SECONDS, lambda: runs.explain(stalled))
        other_end = runs.wait_ended([other])[other]
        other_ended_while_stalled = phase(runs.get(stalled)) != "Failed"
        stalled_end = runs.wait_ended([stalled], STALL_SECONDS)[stalled]
        seconds = time.monotonic() - begun
    after = runs.submit(**PRIVATE)
    after_end = runs.wait_ended([after])[after]
    logs = ""
    for name in (stalled, after):
        for life in sightings.lives(name):
            logs += runs.log(life.name, "agent" if is_agent(life) else "main")
    return Stalled(
        stalled=stalled_end,
        other=other_end,
        after=after_end,
        seconds=seconds,
        other_ended_while_stalled=other_ended_while_stalled,
        processes=processes,
        logs=logs,
        leftovers=shared_volume.leftovers() - before,
    )


def test_private_repository_works_with_the_token(stall: Stalled, runs: Runs) -> None:
    assert phase(stall.after) == "Succeeded", runs.explain(stall.after["metadata"]["name"])
    assert output(stall.after, "init-worktree", "commit")


def test_server_refuses_without_the_token(shared_volume: Volume, git: GitServerControl) -> None:
    script = 'if GIT_TERMINAL_PROMPT=0 git ls-remote "$1" 2>&1; then echo ALLOWED; fi'
    assert "ALLOWED" not in shared_volume.sh(script, git.repository("private"))


def test_stalled_server_fails_its_task_within_the_deadline(stall: Stalled) -> None:
    assert phase(stall.stalled) == "Failed"
    init = node(stall.stalled, "init-worktree")
    assert init is not None
    assert init["phase"] == "Failed"
    assert "Remedy:" in messages(stall.stalled)
    assert stall.seconds < STALL_SECONDS


def test_stalled_server_hurts_no_other_task(stall: Stalled, runs: Runs) -> None:
    assert phase(stall.other) == "Succeeded", runs.explain(stall.other["metadata"]["name"])
    assert stall.other_ended_while_stalled


def test_token_is_in_no_process_list_or_environment(stall: Stalled, token: str) -> None:
    assert "git-remote-http" in stall.processes
    assert token not in stall.processes


def test_token_is_in_no_workflow_object(stall: Stalled, token: str) -> None:
    for workflow in (stall.stalled, stall.after):
        assert token not in json.dumps(workflow)


def test_token_is_in_no_pod_log(stall: Stalled, token: str) -> None:
    assert stall.logs, "no log was left to look at"
    assert token not in stall.logs


def test_token_is_in_no_pod_and_no_coderun(stall: Stalled, token: str, sightings: Sightings) -> None:
    for workflow in (stall.stalled, stall.after):
        for life in sightings.lives(workflow["metadata"]["name"]):
            assert token not in json.dumps(life.states)
    assert token not in json.dumps(sightings.coderun(stall.after["metadata"]["name"]))


def test_token_is_in_no_file_of_the_claim(stall: Stalled, token: str, shared_volume: Volume) -> None:
    assert phase(stall.after) == "Succeeded"
    # The pattern goes in by standard input of grep, so that this test doesn't itself put it on a command line.
    found = commands.attempt(
        [
            *("kubectl", "exec", "-i", "-n", NAMESPACE, "e2e-inspector", "--"),
            *("grep", "-rlF", "-f", "/dev/stdin", "/work/base", "/work/trees"),
        ],
        stdin=token,
    )
    assert found.out == ""
    assert found.code == 1, found.text  # 1 is "looked, and found nothing"
    assert "private" in shared_volume.sh("ls /work/base/exampleorg")


def test_token_is_not_in_the_state_of_the_stack(token: str) -> None:
    state = export_state()
    assert SECRET in state
    assert token not in state
    assert base64.b64encode(token.encode()).decode() not in state


def test_nothing_is_left(stall: Stalled, runs: Runs) -> None:
    assert stall.leftovers == frozenset()
    assert runs.objects_left(w["metadata"]["name"] for w in (stall.stalled, stall.other, stall.after)) == []

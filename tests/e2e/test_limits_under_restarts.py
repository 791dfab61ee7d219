"""Many tasks on six keys while the workflow controller restarts: no key above its limit by living pods, every waiter served; and a long wait."""

import contextlib
import copy
import time
from dataclasses import dataclass
from typing import Final

import pytest

from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.limits import limit
from tests.e2e.runs import NAMESPACE, RUN_SECONDS, TEMPLATE, Runs, output, phase
from tests.e2e.sightings import Sightings, is_agent
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, JsonObject

KEYS: Final[dict[str, tuple[int, dict[str, str]]]] = {
    "exampleorg-sample-main": (3, {"repo": "sample", "baseRef": "refs/heads/main"}),
    "exampleorg-sample-limited": (1, {"repo": "sample", "baseRef": "refs/heads/limited"}),
    "exampleorg-sample-releaseSX2a": (2, {"repo": "sample", "baseRef": "refs/heads/release/1.0"}),
    "exampleorg-sample": (3, {"repo": "sample", "baseRef": "refs/tags/no-branch"}),
    "exampleorg-wide": (2, {"repo": "wide"}),
    "exampleorg-private": (1, {"repo": "private"}),
}
"""Key to its limit here, and to what makes a run take it. All work on main: what counts is the branch that the work is for."""

SECONDS_A_RUN: Final = 60.0
"""Far above: twenty runs at once take about 5 min on 2 cores."""

WORK_SECONDS: Final = 45
WAIT_SECONDS: Final = 150
"""Above the waiter's whole time for work, init and agent each WORK_SECONDS."""

GATE = "c"


@dataclass(frozen=True)
class Crowd:
    """The runs of each key, ended."""

    names: dict[str, list[str]]
    workflows: dict[str, JsonObject]


def restart_controller() -> None:
    """Kills the workflow controller and waits for another one."""
    kubectl = ["kubectl", "-n", NAMESPACE]
    commands.run([*kubectl, "delete", "pod", "-l", "app=workflow-controller", "--grace-period=0", "--force"])
    commands.run([*kubectl, "rollout", "status", "deployment/workflow-controller", "--timeout=120s"])


@pytest.fixture(scope="module")
def crowd(runs: Runs, request: pytest.FixtureRequest) -> Crowd:
    """Four or ten runs a key, submitted at once; two restarts while agents live and others wait."""
    each = 10 if request.config.getoption("--plan") == "long" else 4
    with contextlib.ExitStack() as limits:
        for key, (most, _) in KEYS.items():
            limits.enter_context(limit(key, most))
        names: dict[str, list[str]] = {key: [] for key in KEYS}
        for _ in range(each):
            for key, (_, parameters) in KEYS.items():
                names[key].append(runs.submit(owner="exampleorg", github_app="rex", **parameters))
        every = [name for several in names.values() for name in several]
        for _ in range(2):
            wait_for("an agent lives", lambda: any(runs.agent_pods(name) for name in every), RUN_SECONDS)
            restart_controller()
            time.sleep(10)
        return Crowd(names, runs.wait_ended(every, SECONDS_A_RUN * len(every)))


def test_every_waiter_is_served(crowd: Crowd, runs: Runs) -> None:
    bad = [name for name, workflow in crowd.workflows.items() if phase(workflow) != "Succeeded"]
    assert bad == [], "\n".join(runs.explain(name) for name in bad)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_never_above_its_limit(crowd: Crowd, sightings: Sightings, key: str) -> None:
    names = crowd.names[key]
    assert {output(crowd.workflows[name], "resolve", "key") for name in names} == {key}
    assert sightings.most_living(names, is_agent) <= KEYS[key][0]


def test_a_long_wait_for_the_lock_is_not_ended_as_if_it_were_work(runs: Runs, api: Api, git: GitServerControl) -> None:
    """Hours in little: the waiter's times for work are cut down to seconds, and it waits for longer than all of them together."""
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflowtemplates/{TEMPLATE}"
    before = api.get(path)["spec"]["templates"]
    short = copy.deepcopy(before)
    for template in short:
        if template["name"] in {"init-worktree", "create-coderun"}:
            template["activeDeadlineSeconds"] = WORK_SECONDS
        for variable in template.get("script", {}).get("env", []):
            if variable["name"] == "RUN_TIMEOUT_SECONDS":
                variable["value"] = str(WORK_SECONDS)
    key = "exampleorg-sample-limited"
    with git.gate(GATE), limit(key, 1):
        holder = runs.sample(ref=f"refs/heads/gate/{GATE}", baseRef="refs/heads/limited")
        runs.wait_agent(holder)
        api.merge(path, {"spec": {"templates": short}})
        try:
            waiter = runs.sample(baseRef="refs/heads/limited")
            runs.wait_for_lock(waiter)
        finally:
            api.merge(path, {"spec": {"templates": before}})
        time.sleep(WAIT_SECONDS)
        assert "Waiting for" in runs.wait_for_lock(waiter, 5)
    runs.wait_succeeded([holder, waiter])

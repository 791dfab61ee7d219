"""Whatever strikes runs and the node: one writer a key, nothing left after one sweep, no harm to a live run."""

import logging

import pytest

from tests.chaos.arena import Arena
from tests.chaos.conftest import KEYS
from tests.chaos.rounds import PLANS, Round, play
from tests.e2e import commands
from tests.e2e.runs import NAMESPACE, output
from tests.run_report import RunReport

LOG = logging.getLogger(__name__)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The rounds of --plan."""
    if "plan" in metafunc.fixturenames:
        rounds = PLANS[metafunc.config.getoption("--plan")]
        metafunc.parametrize("plan", rounds, ids=[one.name.replace(" ", "-") for one in rounds])


def look_into(arena: Arena, live: str) -> tuple[str, str, str]:
    """The pod, the commit and the changes of the live run's agent, read in its pod."""
    (agent,) = arena.runs.agent_pods(live)
    assert agent["status"]["phase"] == "Running", arena.runs.explain(live)

    def ask(*command: str) -> str:
        return commands.run(["kubectl", "exec", "-n", NAMESPACE, agent["metadata"]["name"], "-c", "agent", "--", *command]).strip()

    return agent["metadata"]["uid"], ask("git", "rev-parse", "HEAD"), ask("git", "status", "--porcelain")


def test_a_round(arena: Arena, live: str, report: RunReport, plan: Round) -> None:
    before = look_into(arena, live)
    outcome = play(arena, plan, live)
    LOG.info("%s: %s; left by exit handlers: %s", plan.name, outcome.ends, outcome.left_by_exit_handlers)
    assert {key: arena.most_living(key) for key in KEYS if arena.most_living(key) > 1} == {}
    assert outcome.left == [], outcome.sweep
    assert set(outcome.faults_of_bases.values()) <= {""}, outcome.faults_of_bases
    assert look_into(arena, live) == before
    assert before[2] == ""
    assert {run: outcome.ends[run] for run in outcome.followers} == dict.fromkeys(outcome.followers, "Succeeded"), arena.explain(outcome.followers)
    if plan.node_blow is not None:
        # Nobody meant these to end.
        assert set(outcome.ends.values()) == {"Succeeded"}, arena.explain(outcome.ends)
    report.details["rounds"].append(
        {
            "name": plan.name,
            "struck": [f"{stage}: {blow or plan.node_blow}" for stage, blow in plan.victims],
            "ends": sorted(outcome.ends.values()),
            "left by exit handlers": len(outcome.left_by_exit_handlers),
            "left": len(outcome.left),
        }
    )


def test_the_live_run_ends_well(arena: Arena, live: str) -> None:
    wanted = arena.volume.remote_commit(arena.git.repository("sample"), "refs/heads/gate/hold")
    assert look_into(arena, live)[1] == wanted
    arena.git.open_gate("hold")
    workflow = arena.runs.wait_succeeded([live])[live]
    assert output(workflow, "init-worktree", "commit") == wanted
    assert arena.runs.objects_left([live]) == []

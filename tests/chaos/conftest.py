"""The arena, and a run that lives through all rounds."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.arena import Arena
from tests.chaos.built_in_node import BuiltInNode
from tests.chaos.stages import LIMITED, PRIVATE, SAMPLE, WIDE
from tests.e2e.conftest import api, git, runs, shared_volume, sightings
from tests.e2e.git_server import GitServerControl
from tests.e2e.limits import limit
from tests.e2e.open_gate import open_gate
from tests.e2e.runs import Runs
from tests.e2e.sightings import Sightings
from tests.e2e.volume import Volume
from tests.fixtures.coderun_controller.api import Api
from tests.run_report import RunReport

__all__ = ["api", "git", "runs", "shared_volume", "sightings"]

HERE = Path(__file__).parent
KEYS = (WIDE, PRIVATE, SAMPLE, LIMITED)
LIVE_KEY = "exampleorg-sample-main"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks everything in this folder. The kubelet and containerd outlive the session that starts them anew, of which Python warns."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session")
def arena(api: Api, runs: Runs, git: GitServerControl, shared_volume: Volume, sightings: Sightings) -> Iterator[Arena]:
    """The built-in node, with a limit of one for every key that is played on."""
    node = BuiltInNode.find(api)
    with ExitStack() as stack:
        # Some of its runs have a deadline of their own, which nobody else may give.
        stack.enter_context(open_gate())
        for key in KEYS:
            stack.enter_context(limit(key, 1))
        yield Arena(api, node, runs, git, shared_volume, sightings)


@pytest.fixture(scope="session")
def live(arena: Arena) -> Iterator[str]:
    """A run whose agent is at work during every round, on a key with room for others."""
    with arena.git.gate("hold"):
        run = arena.submit(LIVE_KEY, {"repo": "sample", "ref": "refs/heads/gate/hold", "baseRef": "refs/heads/main"})
        arena.runs.wait_agent(run)
        yield run


@pytest.fixture(scope="session")
def report(arena: Arena, request: pytest.FixtureRequest) -> Iterator[RunReport]:
    """The report, written at the end of the session."""
    found = RunReport("chaos", "Chaos on the built-in node, every key that is played on limited to 1.", arena.node.base_root)
    found.details["rounds"] = []
    yield found
    rounds = found.details["rounds"]
    found.figures["rounds without a fault"] = f"{len(rounds)} of {request.session.testscollected - 1}"
    found.figures["runs"] = len(arena.submitted)
    found.figures["runs that were struck"] = sum(len(one["struck"]) for one in rounds)
    found.figures["most living agents of one key, limit 1"] = max(arena.most_living(key) for key in KEYS)
    found.figures["things left after the exit handlers, all rounds together"] = sum(one["left by exit handlers"] for one in rounds)
    found.figures["things left after one sweep"] = sum(one["left"] for one in rounds)
    found.write(request.config.getoption("--reports"))

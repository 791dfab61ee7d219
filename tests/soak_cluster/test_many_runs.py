"""Many runs on the cluster, ten at once at a limit of five: claim, objects and pods at the end as at the start."""

import logging
import statistics
from collections.abc import Iterator

import pytest

from tests.e2e.limits import limit
from tests.e2e.runs import CLAIMS, CODERUNS, FINISHED, PODS, Runs
from tests.e2e.sightings import Sightings, is_agent
from tests.e2e.volume import Volume
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api
from tests.fixtures.coderun_controller.phases import timestamp
from tests.run_report import PROJECT, RunReport
from tests.soak.claim_counts import OBJECT_COUNTS, SCRIPT, Counts, differences, parse

LOG = logging.getLogger(__name__)
AT_ONCE = 10
LIMIT = 5
KEYS = ("exampleorg-sample-main", "exampleorg-sample")
OWN_CLAIM_EVERY = 10
"""Each batch has one run with a claim of its own."""

BATCH_SECONDS = 600.0
"""Ten runs at a limit of five took 50 to 70 s on an idle machine of 2 cores."""

POD_GONE_SECONDS = 180.0
"""The pods of steps go 60 s after their end."""


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Iterator[RunReport]:
    """The report, written at the end of the module."""
    found = RunReport(
        "cluster-runs", f"Runs on the built-in node, {AT_ONCE} at once at a limit of {LIMIT}, each tenth with a claim of its own.", PROJECT
    )
    yield found
    found.write(request.config.getoption("--reports"))


def claim(volume: Volume) -> Counts:
    """What the shared claim holds."""
    return parse(volume.sh(SCRIPT, "/work/base", "/work/trees"))


def objects(api: Api) -> Counts:
    """What the namespace holds; pods that have ended are on their way out and aren't counted."""
    pods = [pod for pod in api.items(PODS) if pod["status"].get("phase") not in FINISHED]
    return {
        "living pods": len(pods),
        "CodeRuns": len(api.items(CODERUNS)),
        "PersistentVolumeClaims": len(api.items(CLAIMS)),
    }


def submit(runs: Runs, number: int) -> str:
    """Submits run NUMBER."""
    if number % OWN_CLAIM_EVERY == OWN_CLAIM_EVERY - 1:
        return runs.sample(ref="refs/heads/main", baseRef="refs/heads/gate/a", usePVC="true")
    return runs.sample(ref="refs/heads/main")


def test_many_runs_leave_everything_as_it_was(
    api: Api, runs: Runs, shared_volume: Volume, sightings: Sightings, report: RunReport, request: pytest.FixtureRequest
) -> None:
    count = request.config.getoption("--runs")
    # Both modes have run once, so that what is made once is there.
    runs.wait_succeeded([submit(runs, 0), submit(runs, OWN_CLAIM_EVERY - 1)], BATCH_SECONDS)
    before = claim(shared_volume) | objects(api)
    names: list[str] = []
    seconds: list[float] = []
    with limit(KEYS[0], LIMIT), limit(KEYS[1], LIMIT):
        for batch in range(0, count, AT_ONCE):
            batch_names = [submit(runs, number) for number in range(batch, min(batch + AT_ONCE, count))]
            ended = runs.wait_succeeded(batch_names, BATCH_SECONDS)
            for workflow in ended.values():
                took = timestamp(workflow["status"]["finishedAt"]) - timestamp(workflow["metadata"]["creationTimestamp"])
                seconds.append(took.total_seconds())
            names += batch_names
            LOG.info("%s of %s runs: median %.0f s", len(names), count, statistics.median(seconds))
    own_claims = [name for place, name in enumerate(names) if place % OWN_CLAIM_EVERY == OWN_CLAIM_EVERY - 1]
    wait_for(
        "the end of all pods", lambda: objects(api) == {name: before[name] for name in objects(api)}, POD_GONE_SECONDS, lambda: str(objects(api))
    )
    after = claim(shared_volume) | objects(api)
    report.figures["runs, all Succeeded"] = len(names)
    report.figures["most living agents, limit 5"] = sightings.most_living([name for name in names if name not in own_claims], is_agent)
    report.figures["seconds of a run in a batch of ten: median, longest"] = f"{statistics.median(seconds):.0f}, {max(seconds):.0f}"
    report.figures |= {f"{name}, at the start → at the end": f"{number} → {after[name]}" for name, number in before.items()}
    report.details["seconds"] = seconds
    # Where agents share the base, what they commit stays in it until maintenance.
    shared = [name for name in OBJECT_COUNTS if agents_share_the_base(sightings, names[0])]
    assert differences({name: number for name, number in before.items() if name not in shared}, after) == {}
    assert sightings.most_living([name for name in names if name not in own_claims], is_agent) <= LIMIT
    assert shared_volume.fsck("exampleorg", "sample") == ""
    assert runs.objects_left(names) == []


def agents_share_the_base(sightings: Sightings, run: str) -> bool:
    """Whether a run's agent had the base itself, and not a git folder of its own."""
    mounts = sightings.coderun(run)["spec"]["workspace"]["mounts"]
    return any(str(mount["subPath"]).endswith(".git") and not mount.get("readOnly") for mount in mounts)

"""Whole runs, ten at once: init, an agent that commits and leaves dirt, cleanup. One of ten is killed and swept. Nothing is left."""

import logging
import os
import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.fixtures.git_server.repositories import git
from tests.payload.steps import Bench, RunningStep, wait_until
from tests.run_report import RunReport
from tests.soak import agent
from tests.soak.claim_counts import OBJECT_COUNTS, Counts, count, differences
from tests.soak.command_stop import CommandStop, command_stop
from tests.soak.upstream import Upstream

LOG = logging.getLogger(__name__)
AT_ONCE = 10
STEP_SECONDS = 300.0
"""For one of ten on 2 cores; 2 s are usual. Only one that hangs gets there."""

Step = Literal["init-worktree", "agent", "cleanup"]
STEPS: tuple[Step, ...] = ("init-worktree", "agent", "cleanup")
REFS = ("refs/heads/main", "refs/tags/v1.0", "refs/pull/7/head", "refs/heads/fail")
SWEEP = "sweep"


@dataclass(frozen=True)
class Lengths:
    """How long each step is when nobody disturbs it."""

    commands: dict[Step, int]
    seconds: dict[Step, float]


@dataclass(frozen=True)
class Doom:
    """Where a run is killed: before the Nth command of a step, or some seconds into it."""

    step: Step
    command: int
    seconds: float | None
    gone: bool
    """Whether its workflow is deleted, and not just terminated."""


@pytest.fixture(scope="module")
def report(bench: Bench, request: pytest.FixtureRequest) -> Iterator[RunReport]:
    """The report, written at the end of the module."""
    found = RunReport("whole-runs", "Whole runs by the scripts alone, ten at once, one of ten killed with SIGKILL and swept.", bench.folder)
    yield found
    found.write(request.config.getoption("--reports"))


def start(bench: Bench, step: Step, number: int, **variables: str) -> RunningStep:
    """Starts a step of run-NUMBER."""
    if step == "agent":
        # As the cluster has it while an agent works.
        bench.cluster.coderun(f"run-{number}", number)
        bench.cluster.agent_pod(f"run-{number}")
        return agent.start(bench, number, **variables)
    return bench.start(step, number, REF=REFS[number % len(REFS)], **variables)


def measure(bench: Bench, number: int, folder: Path) -> Lengths:
    """Plays one run through and counts its commands and seconds."""
    lengths = Lengths({}, {})
    bench.cluster.workflow(f"run-{number}", number)
    for step in STEPS:
        counter = command_stop(folder / f"count-{step}", 0)
        started = time.monotonic()
        start(bench, step, number, **counter.variables(bench.environment(step, number)["PATH"])).outcome(STEP_SECONDS).assert_succeeded()
        lengths.seconds[step] = time.monotonic() - started
        lengths.commands[step] = counter.calls()
    bench.cluster.remove("workflows", f"run-{number}")
    return lengths


def draw(chance: random.Random, lengths: Lengths) -> Doom:
    """Draws a moment: half of all in init, which has most to lose; one in four at any time and not between two commands."""
    step = chance.choice((STEPS[0], STEPS[0], STEPS[1], STEPS[2]))
    seconds = chance.uniform(0, lengths.seconds[step]) if chance.random() < 0.25 else None
    return Doom(step, chance.randint(1, lengths.commands[step]), seconds, gone=chance.random() < 0.5)


def kill(running: RunningStep, doom: Doom, stop: CommandStop) -> bool:
    """Kills a step at its moment; False if it had ended before."""
    if doom.seconds is None:
        wait_until(lambda: stop.reached() or running.process.poll() is not None, f"{doom} is reached", STEP_SECONDS)
    else:
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(doom.seconds)
    alive = running.process.poll() is None
    running.lose_pod()
    return alive


def play(bench: Bench, number: int, wanted: dict[str, str]) -> None:
    """One run that nobody disturbs; raises AssertionError if anything is wrong with it."""
    bench.cluster.workflow(f"run-{number}", number)
    for step in STEPS:
        start(bench, step, number).outcome(STEP_SECONDS).assert_succeeded()
        if step == "agent":
            assert agent.parent_of_head(bench, number) == wanted[REFS[number % len(REFS)]]
            bench.cluster.remove("pods", f"run-{number}-agent")
    bench.cluster.remove("workflows", f"run-{number}")


def play_doomed(bench: Bench, number: int, doom: Doom, folder: Path) -> bool:
    """One run that is killed and never gets to its own cleanup, and one sweep while the others go on; False if it ended before it was killed."""
    bench.cluster.workflow(f"run-{number}", number)
    killed = False
    for step in STEPS:
        if step != doom.step:
            start(bench, step, number).outcome(STEP_SECONDS).assert_succeeded()
            continue
        stop = command_stop(folder, 0 if doom.seconds is not None else doom.command)
        killed = kill(start(bench, step, number, **stop.variables(bench.environment(step, number)["PATH"])), doom, stop)
        break
    if doom.gone:
        bench.cluster.remove("workflows", f"run-{number}")
    else:
        bench.cluster.workflow(f"run-{number}", number, phase="Failed", locked="Failed", shutdown="Terminate")
    bench.run(SWEEP, number).assert_succeeded()
    left = [entry for entry in bench.leftovers() if f"task-{number}" in entry.split("/")]
    assert not left, f"{doom} left {left}"
    assert f"run-{number}" not in bench.cluster.names("coderuns"), doom
    assert f"run-{number}-agent" not in bench.cluster.names("pods"), doom
    if not doom.gone:
        bench.cluster.remove("workflows", f"run-{number}")
    return killed


def expire_kept_work(bench: Bench) -> int:
    """Lets the time of all kept work be over and sweeps; returns how many there were."""
    kept = list((bench.base_root / ".kept").glob("*"))
    for folder in kept:
        os.utime(folder, (0, 0))
    bench.run(SWEEP, 6).assert_succeeded()
    return len(kept)


def cluster_objects(bench: Bench) -> dict[str, list[str]]:
    """What is in the cluster's stand-in."""
    return {kind: sorted(bench.cluster.names(kind)) for kind in ("workflows", "coderuns", "pods", "persistentvolumeclaims")}


def test_many_runs_leave_everything_as_it_was(
    bench: Bench, upstream: Upstream, report: RunReport, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    runs, seed = request.config.getoption("--runs"), request.config.getoption("--seed")
    wanted = {ref: git(upstream.repository, "rev-parse", f"{ref}^{{commit}}") for ref in REFS}
    for number in range(1, len(REFS) + 1):
        play(bench, number, wanted)
    lengths = measure(bench, 5, tmp_path)
    start(bench, "init-worktree", 6).outcome(STEP_SECONDS).assert_succeeded()
    objects_stay = agent.objects_stay(bench, 6)
    start(bench, "cleanup", 6).outcome(STEP_SECONDS).assert_succeeded()
    bench.run(SWEEP, 6).assert_succeeded()
    before, objects_before = count(bench.base_root, bench.trees), cluster_objects(bench)

    chance = random.Random(seed)  # noqa: S311 - moments of kills, not secrets
    killed: list[Doom] = []
    numbers = range(100, 100 + runs)
    for batch in range(0, runs, AT_ONCE):
        members = list(numbers[batch : batch + AT_ONCE])
        doomed, doom = chance.choice(members), draw(chance, lengths)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            others = [pool.submit(play, bench, number, wanted) for number in members if number != doomed]
            if pool.submit(play_doomed, bench, doomed, doom, tmp_path / f"stop-{doomed}").result():
                killed.append(doom)
            for other in others:
                other.result()
        LOG.info("runs %s to %s of %s; run %s was killed: %s", batch + 1, batch + len(members), runs, doomed - 99, doom)

    kept = expire_kept_work(bench)
    after = count(bench.base_root, bench.trees)
    compared: Counts = {name: number for name, number in before.items() if not (objects_stay and name in OBJECT_COUNTS)}
    report.figures["runs"] = runs
    report.figures["of them killed and swept"] = len(killed)
    report.figures["of these with work that was kept, until it expired"] = kept
    report.figures |= {f"{name}, at the start → at the end": f"{number} → {after[name]}" for name, number in before.items()}
    report.details |= {"seed": seed, "killed": [vars(doom) for doom in killed], "commands of a step": lengths.commands}
    assert differences(compared, after) == {}
    assert cluster_objects(bench) == objects_before
    assert bench.leftovers() == []
    bench.assert_sound()

"""Twenty inits at once, again and again: on a cold base in every fifth repetition, else on a warm one."""

import logging
import re
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import git
from tests.payload.steps import OWNER, REPO, Bench, Outcome
from tests.run_report import RunReport
from tests.soak.claim_counts import count
from tests.soak.upstream import MOVING, SENTINEL, Mover, Upstream

LOG = logging.getLogger(__name__)
NAME = f"{OWNER}/{REPO}"
SIZE = 20
COLD_EVERY = 5
STEP_SECONDS = 300.0
"""For one of twenty on 2 cores; 4 s are usual. Only one that hangs gets there."""

LOCK_ERROR = re.compile(r"\.lock'?: File exists|[Cc]ould not lock|cannot lock|Unable to create '.*\.lock'|Another git process")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many repetitions as --repetitions says."""
    if "repetition" in metafunc.fixturenames:
        metafunc.parametrize("repetition", range(metafunc.config.getoption("--repetitions")))


@pytest.fixture(scope="module")
def report(bench: Bench, server: GitServer, request: pytest.FixtureRequest) -> Iterator[RunReport]:
    """The report, written at the end of the module."""
    found = RunReport("crowds", f"{SIZE} inits at once on one repository, then their cleanups at once, repeated, by the scripts alone.", bench.folder)
    found.details["crowds"] = []
    yield found
    crowds = found.details["crowds"]
    found.figures["repetitions asked for"] = request.config.getoption("--repetitions")
    found.figures["repetitions without a fault"] = len(crowds)
    for kind in ("cold", "warm"):
        seconds = [crowd["seconds"] for crowd in crowds if crowd["base"] == kind]
        if seconds:
            found.figures[f"crowds on a {kind} base"] = len(seconds)
            found.figures[f"seconds for {SIZE} inits, {kind}: median, longest"] = f"{statistics.median(seconds):.1f}, {max(seconds):.1f}"
    found.figures["inits"] = len(crowds) * SIZE
    found.figures["times that a ref moved while it was asked for"] = sum(crowd["moves"] for crowd in crowds)
    found.figures["downloads by the cold bases, by the fetches"] = "{clones}, {fetches}".format(**vars(server.state.counters(NAME)))
    found.write(request.config.getoption("--reports"))


def all_at_once(bench: Bench, step: str, numbers: range, refs: list[str] | None = None) -> list[Outcome]:
    """Runs a step for many tasks at once; raises AssertionError for one that failed or spoke of a lock."""
    running = [bench.start(step, number, **({"REF": refs[place]} if refs else {})) for place, number in enumerate(numbers)]
    outcomes = [one.outcome(STEP_SECONDS) for one in running]
    for outcome in outcomes:
        outcome.assert_succeeded()
        assert not LOCK_ERROR.search(outcome.output + outcome.errors), outcome
    return outcomes


def make_base(bench: Bench, upstream: Upstream, repetition: int) -> str:
    """Takes the base away for a cold crowd; for a warm one it is there, whichever repetition is the first."""
    if repetition % COLD_EVERY == 0:
        shutil.rmtree(bench.base().parent, ignore_errors=True)
        git(upstream.repository, "repack", "-a", "-d", "--quiet")
        return "cold"
    if not bench.base().is_dir():
        all_at_once(bench, "init-worktree", range(1))
        all_at_once(bench, "cleanup", range(1))
    return "warm"


def test_a_crowd(bench: Bench, server: GitServer, upstream: Upstream, report: RunReport, repetition: int, tmp_path: Path) -> None:
    base = make_base(bench, upstream, repetition)
    wanted = upstream.crowd(repetition, SIZE)
    (moving,) = {id(one): one for one in wanted if one.ref == MOVING}.values()
    numbers = range(repetition * SIZE + 1, (repetition + 1) * SIZE + 1)
    started = time.monotonic()
    with Mover(upstream, moving, server.state, NAME):
        all_at_once(bench, "init-worktree", numbers, [one.ref for one in wanted])
    seconds = time.monotonic() - started

    paths = set()
    for number, one in zip(numbers, wanted, strict=True):
        task, out = f"task-{number}", bench.folder / "out" / f"init-worktree-{number}"
        head = bench.head(task)
        assert head in one.commits, f"{task} asked for {one.ref}, which was at {one.commits}, and is at {head}"
        assert (out / "commit").read_text() == head
        assert (bench.tree(task) / SENTINEL).read_text() == upstream.sentinels[head]
        assert upstream.difference(bench.tree(task), head, tmp_path / f"{task}.index") == ""
        assert bench.status(task) == ""
        paths.add((out / "workspace_path").read_text())
    assert paths == {str(bench.tree(f"task-{number}")) for number in numbers}
    bench.assert_sound()
    assert not (bench.base() / "shallow").exists()

    all_at_once(bench, "cleanup", numbers)
    assert bench.leftovers() == []
    counts = count(bench.base_root, bench.trees)
    for name in ("trees", "records of tasks", "private git folders", "admin folders", "unfinished clones", "unfinished packs and objects"):
        assert counts[name] == 0, counts
    bench.assert_sound()
    report.details["crowds"].append({"base": base, "seconds": round(seconds, 2), "moves": len(moving.commits) - 1})
    LOG.info("crowd %s, %s base: %s inits in %.1f s", repetition, base, SIZE, seconds)

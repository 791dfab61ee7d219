"""A claim without room: the step says so and what to do, the base stays whole, and who needs nothing new goes on. On a small tmpfs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.payload.steps import Bench
from tests.payload.test_private_git_folder import add_commits

MIB = 1024 * 1024
PAGE = 4096
WORDS = ("the claim is full", "coderun-shared", "storage.shared.size")


@pytest.fixture
def bench(server: GitServer, tmp_path: Path) -> Iterator[Bench]:
    """A claim of 8 MiB."""
    made = Bench(tmp_path / "bench", server.url)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", str(made.claim)], check=True)
    try:
        for folder in (made.base_root, made.trees):
            folder.mkdir()
        yield made
    finally:
        subprocess.run(["umount", str(made.claim)], check=True)


def free(bench: Bench) -> int:
    """Bytes that the claim has left."""
    room = os.statvfs(bench.claim)
    return room.f_bavail * room.f_frsize


def fill(bench: Bench, leave: int) -> None:
    """Fills the claim up to so many bytes."""
    filler = bench.claim / "filler"
    filler.unlink(missing_ok=True)
    with filler.open("wb") as file:
        file.write(b"x" * (free(bench) - leave))
        file.flush()
    assert free(bench) == leave


def test_no_room_for_the_clone(bench: Bench, upstream: Path) -> None:
    add_commits(upstream, "main", os.urandom(3 * MIB))
    fill(bench, 2 * MIB)
    bench.init().assert_refused("repository 'exampleorg/sample'", *WORDS)
    assert not bench.base().exists()
    assert not bench.base().with_name("sample.staging").exists()
    assert free(bench) > 2 * MIB - 20 * PAGE
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []
    (bench.claim / "filler").unlink()
    bench.init().assert_succeeded()
    bench.assert_sound()


def test_no_room_for_a_fetch(bench: Bench, upstream: Path) -> None:
    bench.init(1).assert_succeeded()
    add_commits(upstream, "fail", os.urandom(3 * MIB))
    fill(bench, 2 * MIB)
    bench.init(2, REF="refs/heads/fail").assert_refused("repository 'exampleorg/sample'", *WORDS)
    bench.assert_sound()
    # Nothing of it is left, so that the next one has as much room as this one had.
    assert not list(bench.base().glob("objects/pack/tmp_*"))
    bench.cleanup(2).assert_succeeded()
    assert free(bench) == 2 * MIB
    # Who lives goes on, and who needs nothing new begins.
    bench.agent("task-1", "git", "commit", "--quiet", "--allow-empty", "--message", "mine")
    bench.init(3).assert_succeeded()
    assert bench.status("task-1") == bench.status("task-3") == ""
    bench.cleanup(3).assert_succeeded()
    (bench.claim / "filler").unlink()
    bench.init(2, REF="refs/heads/fail").assert_succeeded()
    bench.assert_sound()


def test_no_room_for_the_checkout(bench: Bench, upstream: Path) -> None:
    # Small for git, large for a tree.
    add_commits(upstream, "fail", b"0" * 3 * MIB)
    bench.init(1).assert_succeeded()
    fill(bench, 2 * MIB)
    bench.init(2, REF="refs/heads/fail").assert_refused(
        "repository 'exampleorg/sample'", "the claim is full", "coderun-shared", "storage.shared.size"
    )
    bench.assert_sound()
    assert not list(bench.base().parent.glob("*.broken.*"))
    bench.cleanup(2).assert_succeeded()
    assert free(bench) > 2 * MIB - 20 * PAGE
    bench.init(3).assert_succeeded()
    assert bench.status("task-3") == ""
    assert bench.status("task-1") == ""


def test_wherever_the_room_ends_the_step_says_so_and_leaves_the_base_whole(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    said = set()
    for pages in (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 20, 40):
        fill(bench, pages * PAGE)
        outcome = bench.init(2)
        outcome.assert_refused("the claim is full")
        said.add(outcome.message.partition(": the claim")[0])
        (bench.claim / "filler").unlink()
        bench.assert_sound()
        bench.cleanup(2).assert_succeeded()
        assert not [name for name in bench.leftovers() if "task-2" in name]
    assert said == {"record of the task", "repository 'exampleorg/sample'", "git folder of the task"}
    bench.init(2).assert_succeeded()
    assert bench.status("task-1") == bench.status("task-2") == ""


def test_cleanup_needs_no_room(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    fill(bench, 0)
    bench.cleanup(1).assert_succeeded()
    assert bench.leftovers() == []

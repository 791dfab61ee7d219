"""usePVC=true: the base of the run's own claim comes from the shared one and depends on nothing of it."""

import shutil
from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import git
from tests.payload.steps import Bench
from tests.payload.test_init_worktree import commit_upstream

NAME = "exampleorg/sample"


@pytest.fixture
def bench(server: GitServer, tmp_path: Path) -> Bench:
    """An empty claim of a run's own: its agent gets the base itself."""
    return Bench(tmp_path / "bench", server.url, git_folder="shared")


@pytest.fixture
def shared(tmp_path: Path, server: GitServer) -> Bench:
    """The shared claim, with a base and a task at work."""
    made = Bench(tmp_path / "shared", server.url)
    made.init(9).assert_succeeded()
    return made


def test_is_copied_without_a_download_and_lives_without_its_seed(bench: Bench, shared: Bench, server: GitServer, upstream: Path) -> None:
    before = server.state.counters(NAME)
    shutil.copytree(shared.base_root, shared.folder / "as-it-was", symlinks=True)
    outcome = bench.init(SEED_ROOT=str(shared.base_root))
    outcome.assert_succeeded()
    assert "copied from the shared claim" in outcome.output
    after = server.state.counters(NAME)
    assert (after.clones, after.fetches) == (before.clones, before.fetches)
    # The seed is mounted read-only: nothing of it may have changed.
    assert snapshot(shared.base_root) == snapshot(shared.folder / "as-it-was")
    shutil.rmtree(shared.base_root)
    assert not (bench.base() / "objects" / "info" / "alternates").exists()
    bench.assert_sound()
    assert bench.status("task-1") == ""
    assert bench.head("task-1") == git(upstream, "rev-parse", "main")
    assert git(bench.base(), "rev-parse", "refs/heads/gate/a") == git(upstream, "rev-parse", "refs/heads/gate/a")
    assert bench.leftovers().count("refs/coderun/task-9") == 0
    assert git(bench.base(), "config", "gc.auto") == "0"


def test_files_of_the_copy_are_its_own(bench: Bench, shared: Bench) -> None:
    bench.init(SEED_ROOT=str(shared.base_root)).assert_succeeded()
    inodes = {path.stat().st_ino for path in shared.base().rglob("*")}
    assert not inodes & {path.stat().st_ino for path in bench.base().rglob("*")}


def test_goes_on_from_its_seed(bench: Bench, shared: Bench, server: GitServer, upstream: Path) -> None:
    wanted = commit_upstream(upstream, "refs/heads/new", "new")
    clone = server.bytes_sent(NAME)
    bench.init(SEED_ROOT=str(shared.base_root), REF="refs/heads/new").assert_succeeded()
    assert bench.head("task-1") == wanted
    assert server.bytes_sent(NAME) - clone < clone / 2
    assert server.state.counters(NAME).clones == 1
    bench.assert_sound()


def test_without_a_seed_the_server_is_asked(bench: Bench, tmp_path: Path, server: GitServer) -> None:
    (tmp_path / "empty").mkdir()
    bench.init(SEED_ROOT=str(tmp_path / "empty")).assert_succeeded()
    assert server.state.counters(NAME).clones == 1


def test_a_seed_that_leans_on_others_is_not_copied(bench: Bench, shared: Bench, server: GitServer) -> None:
    (shared.base() / "objects" / "info" / "alternates").write_text("/nowhere\n")
    bench.init(SEED_ROOT=str(shared.base_root)).assert_succeeded()
    assert server.state.counters(NAME).clones == 2
    bench.assert_sound()


def test_a_broken_seed_is_not_copied(bench: Bench, shared: Bench, server: GitServer) -> None:
    (shared.base() / "HEAD").unlink()
    bench.init(SEED_ROOT=str(shared.base_root)).assert_succeeded()
    assert server.state.counters(NAME).clones == 2
    bench.assert_sound()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file and its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

"""usePVC=true: the base of the run's own claim comes from the shared one and depends on nothing of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import git
from tests.payload.steps import Bench, held_lock
from tests.payload.test_init_worktree import commit_upstream
from tests.payload.test_maintain import Wrapper, add_packs, maintain, packs

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
    checked = bench.agent("task-1", "git", "fsck", "--full", "--strict", "--no-dangling", "--no-progress")
    assert checked == ""
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


def test_what_no_ref_names_comes_along(bench: Bench, shared: Bench, server: GitServer, upstream: Path) -> None:
    wanted = commit_upstream(upstream, "refs/pull/8/head", "a task of the past had it")
    shared.init(8, REF="refs/pull/8/head").assert_succeeded()
    shared.cleanup(8).assert_succeeded()
    sent = server.state.counters(NAME)
    bench.init(SEED_ROOT=str(shared.base_root), REF="refs/pull/8/head").assert_succeeded()
    assert bench.head("task-1") == wanted
    now = server.state.counters(NAME)
    assert (now.clones, now.fetches) == (sent.clones, sent.fetches)


def test_a_branch_that_was_fetched_since_the_clone_need_not_be_fetched_again(bench: Bench, shared: Bench, server: GitServer, upstream: Path) -> None:
    commit_upstream(upstream, "refs/heads/new", "\n".join(str(number**9) for number in range(5000)))
    shared.init(8, REF="refs/heads/new").assert_succeeded()
    commit_upstream(upstream, "refs/heads/new", "little")
    git(upstream, "update-ref", "refs/heads/new", child_of(upstream, shared.head("task-8"), "refs/heads/new"))
    before = server.bytes_sent(NAME)
    bench.init(SEED_ROOT=str(shared.base_root), REF="refs/heads/new").assert_succeeded()
    assert server.bytes_sent(NAME) - before < 10_000


def child_of(upstream: Path, parent: str, ref: str) -> str:
    """A commit with the files of a ref upon another commit."""
    return git(upstream, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit-tree", f"{ref}^{{tree}}", "-p", parent, "-m", "x")


# As `cp -R` does it: what the folder holds is read first, and copied then. Between the two, the first time, another pod is at work.
SLOW_COPY = """
source=${2%/.}
"$REAL" -R "$source/info" "$3/" || exit 1
set -- "$3" "$source"/pack/*
target=$1
shift
mkdir -p "$target/pack"
[ -e "$HERE/paused" ] || pause
code=0
for file; do
    "$REAL" "$file" "$target/pack/" || code=1
done
"""


@pytest.mark.parametrize("noticed", ["exit $code", "exit 0"])
def test_packs_that_vanish_under_the_copy(bench: Bench, shared: Bench, server: GitServer, noticed: str) -> None:
    """The second: a folder that changes while it is read may show neither the old packs nor the new one, and no program complains."""
    add_packs(shared.base(), 25)
    wrapper = Wrapper(bench.folder / "wrapper").put("cp", SLOW_COPY + noticed)
    clones = server.state.counters(NAME).clones
    step = bench.start("init-worktree", SEED_ROOT=str(shared.base_root), PATH=wrapper.path())
    wrapper.wait()
    before = packs(shared.base())
    assert "repacked" in maintain(shared).output
    assert not before & packs(shared.base())
    wrapper.release()
    outcome = step.outcome()
    outcome.assert_succeeded()
    assert "copying once more, under the lock of the shared one" in outcome.output
    assert "base: copied from the shared claim" in outcome.output
    assert server.state.counters(NAME).clones == clones
    shutil.rmtree(shared.base_root)
    bench.assert_sound()
    assert bench.status("task-1") == ""


def test_a_base_that_is_evicted_under_the_copy_is_downloaded(bench: Bench, shared: Bench, server: GitServer) -> None:
    wrapper = Wrapper(bench.folder / "wrapper").put("cp", SLOW_COPY + "exit $code")
    step = bench.start("init-worktree", SEED_ROOT=str(shared.base_root), PATH=wrapper.path())
    wrapper.wait()
    shared.cleanup(9).assert_succeeded()
    shared.base().rename(shared.base().with_name("sample.evicted.1"))
    shutil.rmtree(shared.base().with_name("sample.evicted.1"))
    wrapper.release()
    step.outcome().assert_succeeded()
    assert server.state.counters(NAME).clones == 2
    bench.assert_sound()


def test_while_the_seeds_lock_is_held_nobody_waits_for_long(bench: Bench, shared: Bench, server: GitServer) -> None:
    wrapper = Wrapper(bench.folder / "wrapper").put("cp", 'case $1 in -R) echo "cp: no such file" >&2; exit 1 ;; esac\nexec "$REAL" "$@"')
    with held_lock(shared.base().with_name("sample.fetch.lock")):
        outcome = bench.init(SEED_ROOT=str(shared.base_root), LOCK_TIMEOUT_SECONDS="1", PATH=wrapper.path())
    outcome.assert_succeeded()
    assert "the lock of the shared one is held" in outcome.output
    assert server.state.counters(NAME).clones == 2
    bench.assert_sound()


def test_the_seeds_lock_can_be_had_on_a_read_only_mount_and_shuts_writers_out(bench: Bench, shared: Bench) -> None:
    wrapper = Wrapper(bench.folder / "wrapper").put(
        "cp", 'case $1 in -R) [ -e "$HERE/failed" ] || { : >"$HERE/failed"; exit 1; }; pause ;; esac\nexec "$REAL" "$@"'
    )
    environment = bench.environment("init-worktree", 1, SEED_ROOT=str(shared.base_root), PATH=wrapper.path())
    script = bench.script("init-worktree")
    mount = 'mount --bind "$SEED_ROOT" "$SEED_ROOT" && mount -o remount,bind,ro "$SEED_ROOT" && exec sh "$1"'
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", mount, "sh", str(script)], env=environment, stdout=subprocess.PIPE, text=True) as step:
        wrapper.wait()
        lock = str(shared.base().with_name("sample.fetch.lock"))
        assert subprocess.run(["flock", "--nonblock", lock, "true"], check=False).returncode == 1
        assert subprocess.run(["flock", "--shared", "--nonblock", lock, "true"], check=False).returncode == 0
        assert "left alone: the lock of fetches is held" in maintain(shared).output
        wrapper.release()
        output, _ = step.communicate(timeout=60)
    assert step.returncode == 0, output
    assert "base: copied from the shared claim" in output
    bench.assert_sound()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file and its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

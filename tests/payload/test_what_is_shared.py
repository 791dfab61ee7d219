"""What runs share stays as it is: the base's own refs and config, the trees of others, and objects that another may be about to use."""

from pathlib import Path

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import add_commit, git
from tests.fixtures.git_server.state import Fault
from tests.payload.steps import OWNER, REPO, SHARED_GIT_FOLDER, Bench, wait_until


def own_refs(base: Path) -> str:
    return git(base, "for-each-ref", "--format=%(refname) %(objectname) %(upstream)", "refs/heads", "refs/tags", "refs/remotes")


@SHARED_GIT_FOLDER
def test_a_run_leaves_the_bases_own_refs_and_config_as_they_were(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    before = own_refs(bench.base()), (bench.base() / "config").read_text()
    bench.init(2).assert_succeeded()
    bench.cleanup(2).assert_succeeded()
    assert (own_refs(bench.base()), (bench.base() / "config").read_text()) == before


@SHARED_GIT_FOLDER
def test_a_tree_that_cleanup_does_not_see_is_not_taken_for_gone(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    bench.init(2).assert_succeeded()
    # Its agent has taken the lock off, and its tree is on another mount.
    admin = bench.base() / "worktrees" / "task-2"
    (admin / "locked").unlink()
    bench.tree("task-2").rename(bench.folder / "elsewhere")
    bench.cleanup(1).assert_succeeded()
    assert (admin / "HEAD").exists()
    assert "refs/coderun/task-2" in bench.leftovers()


def test_cleanup_leaves_objects_to_maintenance(bench: Bench, upstream: Path) -> None:
    # Another task may have found the commit a moment ago, and not have pinned it yet.
    bench.init(1).assert_succeeded()
    wanted = add_commit(upstream, "refs/pull/9/head", {"new.txt": "new"})
    bench.init(2, REF="refs/pull/9/head").assert_succeeded()
    bench.cleanup(2).assert_succeeded()
    assert git(bench.base(), "cat-file", "-t", wanted) == "commit"
    assert wanted not in git(bench.base(), "for-each-ref", "--format=%(objectname)")


def test_who_waited_for_a_fetch_of_its_own_commit_does_not_fetch_it_again(bench: Bench, server: GitServer, upstream: Path) -> None:
    name = f"{OWNER}/{REPO}"
    bench.init(1).assert_succeeded()
    add_commit(upstream, "refs/heads/new", {"new.txt": "new"})
    asked = bench.folder / "asked-for-the-lock-of-fetches"
    program = bench.cluster.folder / "bin" / "flock"
    program.write_text(f'#!/bin/sh\n[ "$2" != 8 ] || echo asked >>{asked}\nPATH=${{PATH#*:}} exec flock "$@"\n')
    program.chmod(0o755)
    server.state.set_fault(name, Fault(stall="fetch"))
    first = bench.start("init-worktree", 2, REF="refs/heads/new")
    server.state.wait_for_counters(name, lambda counters: counters.stalled == 1)
    asked.unlink()
    # From here on only the second asks: it has looked once, and the commit is not there yet.
    second = bench.start("init-worktree", 3, REF="refs/heads/new")
    wait_until(asked.exists, "the second waits for the lock")
    server.state.set_fault(name, Fault())
    fetched = ["fetched" in step.outcome().output for step in (first, second)]
    assert fetched == [True, False]
    assert bench.head("task-2") == bench.head("task-3")

"""gitFolder=private: an agent's git is whole, and nothing that it does reaches the base. With the mounts of the CodeRun."""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import git
from tests.payload.steps import BOTH_GIT_FOLDERS, OWNER, REPO, Bench, RunningStep, held_lock
from tests.payload.test_init_worktree import commit_upstream

NAME = f"{OWNER}/{REPO}"


def snapshot(folder: Path) -> dict[str, str]:
    """Every entry below a folder, with its content's hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder" for path in folder.rglob("*")
    }


def add_commits(upstream: Path, branch: str, *contents: bytes) -> str:
    """Puts commits, a file each, upon a branch of the server, and returns the last one's id."""
    for number, content in enumerate(contents):
        head = f"commit refs/heads/{branch}\ncommitter A <a@example.org> {1_800_000_000 + number} +0000\ndata 1\nx\nfrom refs/heads/{branch}^0\n"
        body = f"M 100644 inline grown/{hashlib.sha256(content).hexdigest()}\ndata {len(content)}\n".encode() + content + b"\n"
        git(upstream, "fast-import", "--quiet", stdin=head.encode() + body)
    return git(upstream, "rev-parse", f"refs/heads/{branch}")


def said(step: RunningStep, words: str) -> list[str]:
    """Reads a step's output up to the line that has these words."""
    assert step.process.stdout is not None
    lines: list[str] = []
    for line in step.process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"{words!r} was not said: {lines}")


def test_an_agents_git_is_whole_and_the_base_stays_as_it_was(bench: Bench, upstream: Path) -> None:
    bench.init().assert_succeeded()
    before = snapshot(bench.base())
    main = git(upstream, "rev-parse", "main")

    def agent(*command: str) -> str:
        return bench.agent("task-1", "git", *command).strip()

    assert agent("status", "--porcelain") == ""
    assert agent("rev-parse", "HEAD") == agent("rev-parse", "main") == main
    assert agent("rev-list", "--count", "HEAD") == git(upstream, "rev-list", "--count", "main")
    assert agent("worktree", "list").splitlines()[-1].split()[:2] == [str(bench.tree("task-1")), main[:7]]
    assert agent("describe", "--tags") == "v1.0"
    agent("checkout", "--quiet", "-b", "fix")
    agent("config", "user.note", "mine")
    assert agent("config", "user.note") == "mine"
    bench.agent("task-1", "sh", "-c", "echo changed >README.md; echo new >new.txt; git add new.txt")
    agent("stash", "--include-untracked")
    assert agent("status", "--porcelain") == ""
    agent("stash", "pop")
    agent("commit", "--quiet", "--all", "--message", "Change")
    assert agent("rev-parse", "HEAD^") == main
    assert agent("log", "-1", "--format=%s") == "Change"
    agent("tag", "mine")
    assert "fix" in agent("branch")
    agent("gc", "--quiet")
    agent("repack", "-a", "-d", "--quiet")
    assert agent("fsck", "--strict", "--no-dangling") == ""
    # New objects are in the task's folder and nowhere else.
    assert list(bench.private("task-1").glob("objects/pack/*.pack"))
    assert snapshot(bench.base()) == before
    assert not (bench.base() / "worktrees").exists()
    bench.assert_sound()


def test_an_agent_fetches_what_is_new_into_its_own_folder(bench: Bench, server: GitServer, upstream: Path) -> None:
    bench.init().assert_succeeded()
    wanted = add_commits(upstream, "main", b"new")
    before = snapshot(bench.base())
    sent = server.bytes_sent(NAME)
    bench.agent("task-1", "git", "fetch", "--quiet", "origin")
    assert server.bytes_sent(NAME) - sent < 10_000
    assert bench.agent("task-1", "git", "rev-parse", "origin/main").strip() == wanted
    bench.agent("task-1", "git", "rebase", "--quiet", "origin/main")
    assert bench.head("task-1") == wanted
    assert snapshot(bench.base()) == before


def test_the_bases_objects_are_beneath_and_can_not_be_written(bench: Bench) -> None:
    bench.init().assert_succeeded()
    objects = bench.claim / "objects" / OWNER / REPO
    seen = bench.agent("task-1", "sh", "-c", f'ls "{objects}/pack"; cat "{bench.base()}/objects/info/alternates"').split()
    assert seen[-1] == str(objects)
    assert any(name.endswith(".pack") for name in seen)
    # The last one asks to be root in a namespace of its own, where mounting is allowed.
    for attempt in (
        f'touch "{objects}/x"',
        f'rm -f "{objects}"/pack/*',
        f'unshare --user --map-root-user --mount mount -o remount,bind,rw "{objects}"',
    ):
        assert bench.attempt("task-1", "sh", "-c", attempt).returncode != 0, attempt
    bench.assert_sound()


def test_an_agent_sees_nothing_else_of_the_claim(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    bench.init(2).assert_succeeded()
    bench.init(3, REPO="private", GIT_SERVER=bench.server).assert_refused("refused access")
    seen = set(bench.agent("task-1", "sh", "-c", f'cd "{bench.claim}" && find . -mindepth 1 -maxdepth 3').split())
    assert seen - {path for path in seen if path.startswith("./trees/task-1/")} == {
        "./base",
        f"./base/{OWNER}",
        f"./base/{OWNER}/{REPO}.git",
        "./objects",
        f"./objects/{OWNER}",
        f"./objects/{OWNER}/{REPO}",
        "./trees",
        "./trees/task-1",
    }


def test_the_task_begins_with_branches_and_tags_and_no_other_tasks_refs(bench: Bench, upstream: Path) -> None:
    bench.init(2, REF="refs/pull/7/head").assert_succeeded()
    bench.init(1).assert_succeeded()
    wanted = git(upstream, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags")
    assert bench.agent("task-1", "git", "for-each-ref", "--format=%(refname) %(objectname)").strip() == wanted


def test_the_tasks_branches_are_the_freshest_known(bench: Bench, upstream: Path) -> None:
    bench.init(1).assert_succeeded()
    fresh = {"fail": add_commits(upstream, "fail", b"x"), "main": add_commits(upstream, "main", b"y")}
    bench.init(2, REF="refs/heads/fail").assert_succeeded()
    bench.init(3).assert_succeeded()
    refs = bench.agent("task-3", "git", "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads/main", "refs/heads/fail").splitlines()
    assert dict(line.split() for line in refs) == fresh


def test_two_tasks_may_use_one_branchs_name_and_one_config(bench: Bench) -> None:
    for number in (1, 2):
        bench.init(number).assert_succeeded()
    for task in ("task-1", "task-2"):
        for command in (["checkout", "--quiet", "-b", "fix"], ["config", "core.hooksPath", task], ["commit", "--quiet", "--allow-empty", "-m", task]):
            bench.agent(task, "git", *command)
    for task in ("task-1", "task-2"):
        assert bench.agent(task, "git", "log", "-1", "--format=%s", "fix").strip() == task
        assert bench.agent(task, "git", "config", "core.hooksPath").strip() == task


@BOTH_GIT_FOLDERS
def test_many_inits_write_neither_config_nor_branches_of_the_base(bench: Bench, upstream: Path) -> None:
    bench.init(0).assert_succeeded()
    config = (bench.base() / "config").read_bytes()
    branches = git(bench.base(), "for-each-ref", "refs/heads", "refs/remotes")
    add_commits(upstream, "gate/a", b"x")
    for step in [bench.start("init-worktree", number, REF="refs/heads/gate/a") for number in range(1, 7)]:
        step.outcome().assert_succeeded()
    assert (bench.base() / "config").read_bytes() == config
    assert git(bench.base(), "for-each-ref", "refs/heads", "refs/remotes") == branches
    for number in range(1, 7):
        assert bench.agent(f"task-{number}", "git", "status", "--porcelain", "--branch").splitlines() == ["## HEAD (no branch)"]


@BOTH_GIT_FOLDERS
def test_what_is_fetched_brings_its_whole_history(bench: Bench, upstream: Path) -> None:
    bench.init(1).assert_succeeded()
    wanted = add_commits(upstream, "main", b"1", b"2", b"3")
    bench.init(2).assert_succeeded()
    assert bench.agent("task-2", "git", "rev-list", "--count", "HEAD").strip() == git(upstream, "rev-list", "--count", wanted)
    assert not (bench.base() / "shallow").exists()
    bench.assert_sound()


def test_a_fetch_begins_at_the_last_one_and_not_at_the_clone(bench: Bench, server: GitServer, upstream: Path) -> None:
    bench.init(1).assert_succeeded()
    bulk = os.urandom(400_000)
    add_commits(upstream, "main", bulk)
    bench.init(2).assert_succeeded()
    bench.cleanup(1).assert_succeeded()
    bench.cleanup(2).assert_succeeded()
    wanted = add_commits(upstream, "main", b"a line")
    before = server.bytes_sent(NAME)
    bench.init(3).assert_succeeded()
    assert bench.head("task-3") == wanted
    assert server.bytes_sent(NAME) - before < 10_000, "the big file of the commit before came again"
    bench.assert_sound()


def test_branches_are_kept_for_later_fetches_and_pull_requests_are_not(bench: Bench, upstream: Path) -> None:
    for number, ref in enumerate(
        ["refs/heads/main", "refs/heads/gate/a", "refs/pull/7/head", "refs/tags/v1.0", git(upstream, "rev-parse", "main~1")]
    ):
        bench.init(number, REF=ref).assert_succeeded()
        bench.cleanup(number).assert_succeeded()
    assert git(bench.base(), "for-each-ref", "--format=%(refname)", "refs/fetched", "refs/coderun").split() == [
        "refs/fetched/heads/gate/a",
        "refs/fetched/heads/main",
    ]


@pytest.mark.parametrize(("first", "second"), [("side", "side/deep/er"), ("side/deep/er", "side"), ("side/deep/er", "side/deep")])
def test_a_branch_that_stood_in_the_way_of_another_is_forgotten(bench: Bench, upstream: Path, first: str, second: str) -> None:
    commit_upstream(upstream, f"refs/heads/{first}", "1")
    bench.init(1, REF=f"refs/heads/{first}").assert_succeeded()
    git(upstream, "update-ref", "-d", f"refs/heads/{first}")
    wanted = commit_upstream(upstream, f"refs/heads/{second}", "2")
    bench.init(2, REF=f"refs/heads/{second}").assert_succeeded()
    assert git(bench.base(), "for-each-ref", "--format=%(refname)", "refs/fetched").split() == [f"refs/fetched/heads/{second}"]
    assert bench.agent("task-2", "git", "rev-parse", second).strip() == wanted
    # The new task can write below the name: none of the base's old branches is in its way.
    bench.agent("task-2", "git", "update-ref", f"refs/heads/{second}", "HEAD")


def unpinned(bench: Bench, upstream: Path) -> str:
    """Brings a commit into the base that no ref holds any more, and returns its id."""
    bench.init(9, REF="refs/pull/7/head").assert_succeeded()
    bench.cleanup(9).assert_succeeded()
    return git(upstream, "rev-parse", "refs/pull/7/head")


@BOTH_GIT_FOLDERS
@pytest.mark.parametrize("ref", ["commit", "pull request"])
def test_a_commit_that_maintenance_drops_before_it_is_pinned_is_fetched_again(bench: Bench, server: GitServer, upstream: Path, ref: str) -> None:
    commit = unpinned(bench, upstream)
    fetches = server.state.counters(NAME).fetches
    with held_lock(bench.base().with_name("sample.lock")):
        step = bench.start("init-worktree", 1, REF=commit if ref == "commit" else "refs/pull/7/head")
        said(step, f"commit {commit}: present")
        git(bench.base(), "gc", "--quiet", "--prune=now")
    outcome = step.outcome()
    outcome.assert_succeeded()
    assert f"commit {commit} is no longer in the base: looking again" in outcome.output
    assert "broken" not in outcome.output
    assert server.state.counters(NAME).fetches > fetches
    assert bench.head("task-1") == commit == git(bench.base(), "rev-parse", "refs/coderun/task-1")
    assert bench.status("task-1") == ""


@BOTH_GIT_FOLDERS
def test_a_base_that_is_evicted_before_the_commit_is_pinned_is_cloned_again(bench: Bench, server: GitServer, upstream: Path) -> None:
    commit = unpinned(bench, upstream)
    with held_lock(bench.base().with_name("sample.lock")):
        step = bench.start("init-worktree", 1)
        said(step, ": present")
        bench.base().rename(bench.base().with_name("sample.evicted.1700000000"))
    outcome = step.outcome()
    outcome.assert_succeeded()
    assert "looking again" in outcome.output
    assert "broken" not in outcome.output
    assert server.state.counters(NAME).clones == 2
    assert bench.head("task-1") != commit
    assert bench.status("task-1") == ""
    bench.assert_sound()


@BOTH_GIT_FOLDERS
def test_the_use_of_a_base_is_noted(bench: Bench) -> None:
    used = bench.base().with_name("sample.used")
    begun = time.time()
    bench.init(1).assert_succeeded()
    assert used.stat().st_mtime >= int(begun)
    os.utime(used, (1, 1))
    bench.init(2).assert_succeeded()
    assert used.stat().st_mtime >= int(begun)


@pytest.mark.parametrize("cut", ["no config", "empty", "a file", "a link", "half an index"])
def test_a_git_folder_that_a_lost_pod_left_half_written_is_made_anew(bench: Bench, cut: str) -> None:
    bench.init().assert_succeeded()
    private = bench.private("task-1")
    elsewhere = bench.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("kept")
    match cut:
        case "no config":
            (private / "config").unlink()
            (private / "objects" / "info" / "alternates").unlink()
        case "half an index":
            (bench.admin("task-1") / "index").write_bytes(b"DIRC")
            (bench.admin("task-1") / "index.lock").write_bytes(b"")
        case _:
            shutil.rmtree(private)
            if cut == "empty":
                private.mkdir()
            elif cut == "a file":
                private.write_text("")
            else:
                private.symlink_to(elsewhere)
    bench.init().assert_succeeded()
    assert bench.status("task-1") == ""
    assert bench.agent("task-1", "git", "fsck") == ""
    assert (elsewhere / "precious").read_text() == "kept"


@BOTH_GIT_FOLDERS
@pytest.mark.parametrize("lock", ["refs/coderun/task-2.lock", "packed-refs.lock", "refs/fetched/heads/main.lock"])
def test_a_lock_file_that_a_killed_git_left_holds_nobody_up(bench: Bench, lock: str) -> None:
    bench.init(1).assert_succeeded()
    git(bench.base(), "pack-refs", "--all")
    path = bench.base() / lock
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    if bench.git_folder == "shared":
        # Agents' git makes such files too: a fresh one may be theirs.
        os.utime(path, (1, 1))
    bench.init(2).assert_succeeded()
    bench.cleanup(2).assert_succeeded()
    bench.cleanup(1).assert_succeeded()
    assert bench.leftovers() == []


@BOTH_GIT_FOLDERS
def test_what_a_killed_fetch_left_goes_where_agents_can_not_write(bench: Bench, upstream: Path) -> None:
    bench.init(1).assert_succeeded()
    pack = next((bench.base() / "objects" / "pack").glob("*.pack"))
    rests = [pack.with_name("tmp_pack_abcdef"), pack.with_name("tmp_idx_abcdef"), pack.with_suffix(".keep")]
    for rest in rests:
        rest.write_text("fetch-pack 12 on pod")
    kept = pack.with_name("pack-1234.keep")
    kept.write_text("an operator wants it")
    add_commits(upstream, "main", b"x")
    bench.init(2).assert_succeeded()
    assert [rest.exists() for rest in rests] == [bench.git_folder == "shared"] * 3
    assert kept.exists()


def test_a_commit_of_an_agent_needs_no_pin_of_the_base(bench: Bench, upstream: Path) -> None:
    bench.init(1).assert_succeeded()
    bench.agent("task-1", "git", "commit", "--quiet", "--allow-empty", "--message", "mine")
    git(bench.base(), "gc", "--quiet", "--prune=now")
    assert bench.agent("task-1", "git", "fsck", "--no-dangling") == ""
    assert bench.head("task-1") not in everything(bench.base())
    assert git(upstream, "rev-parse", "main") in everything(bench.base())


def everything(base: Path) -> Iterable[str]:
    """The ids of all objects of a base."""
    command = ["git", "--git-dir", str(base), "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

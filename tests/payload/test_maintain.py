"""maintain: bases are tidied, old objects dropped and idle bases evicted, and no run notices."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.git_server.repositories import build_wide, git
from tests.payload.steps import OWNER, REPO, Bench, Outcome, RunningStep, held_lock, uid, wait_until
from tests.payload.test_init_worktree import commit_upstream, corrupt

DAY: Final = 24 * 60 * 60
SETTINGS: Final = {
    "CLAIM_SIZE_BYTES": str(2**30),
    # The claim's file system is the machine's: how full that is must not matter where it isn't the point.
    "EVICT_ABOVE_PERCENT": "100",
    "EXPIRE_DAYS": "14",
    "DEADLINE_SECONDS": "60",
    "HOLD_SECONDS": "60",
    "LOCK_TIMEOUT_SECONDS": "0",
}


def start(bench: Bench, **variables: str) -> RunningStep:
    """Starts a maintenance; waits for nothing."""
    return bench.start("maintain", 1, **{**SETTINGS, **variables})


def maintain(bench: Bench, **variables: str) -> Outcome:
    """Runs a maintenance to its end."""
    outcome = start(bench, **variables).outcome()
    outcome.assert_succeeded()
    return outcome


def line_of(outcome: Outcome, repo: str = REPO) -> str:
    """What a maintenance says of a base."""
    (line,) = [line for line in outcome.output.splitlines() if line.startswith(f"base {OWNER}/{repo}: ")]
    return line


def age(path: Path, days: float) -> None:
    """Makes a file, or all files below a folder, older."""
    moment = time.time() - days * DAY
    for one in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if not one.is_dir():
            os.utime(one, (moment, moment), follow_symlinks=False)


def packs(base: Path) -> set[str]:
    """Names of a base's packs."""
    return {path.name for path in (base / "objects" / "pack").glob("*.pack")}


def has(base: Path, *objects: str) -> bool:
    """Whether a base has all of these objects."""
    lines = git(base, "cat-file", "--batch-check", stdin="".join(f"{one}\n" for one in objects).encode())
    return "missing" not in lines


def below(base: Path, commit: str) -> list[str]:
    """A commit and all that it needs and main doesn't have."""
    return [line.split()[0] for line in git(base, "rev-list", "--objects", commit, "--not", "main").splitlines()]


def unpinned(bench: Bench, upstream: Path, number: int, text: str | None = None) -> str:
    """A commit that a task of the past has brought into the base, and that nothing names any more."""
    ref = f"refs/pull/{number}/head"
    commit = commit_upstream(upstream, ref, text or f"unpinned {number}")
    bench.init(number, REF=ref).assert_succeeded()
    bench.cleanup(number).assert_succeeded()
    return commit


def add_packs(base: Path, count: int) -> None:
    """Gives a base so many packs more, of things that nothing names."""
    for number in range(count):
        blob = git(base, "hash-object", "-w", "--stdin", stdin=f"packed {number}".encode())
        git(base, "pack-objects", "-q", str(base / "objects" / "pack" / "pack"), stdin=f"{blob}\n".encode())
    git(base, "prune-packed")


@dataclass(frozen=True)
class Wrapper:
    """A program put before the real one on the PATH of a step."""

    folder: Path

    def path(self) -> str:
        """The PATH with it."""
        return f"{self.folder}:{self.folder.parent / 'cluster' / 'bin'}:{os.environ['PATH']}"

    def put(self, program: str, script: str) -> "Wrapper":
        """Writes it. In the script $REAL is the program itself, and `pause` says that it has come to this point and waits until it may go on."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / program
        pause = f'pause() {{ : >"{self.folder}/paused"; while [ ! -e "{self.folder}/go-on" ]; do sleep 0.02; done; }}'
        path.write_text(f"#!/bin/sh\nREAL={shutil.which(program)}\nHERE={self.folder}\n{pause}\n{script}\n")
        path.chmod(0o755)
        return self

    def wait(self) -> None:
        """Until it pauses."""
        wait_until((self.folder / "paused").exists, "the program has come to its point")

    def release(self) -> None:
        """Lets it go on."""
        (self.folder / "go-on").touch()


@pytest.fixture
def wrapper(bench: Bench) -> Wrapper:
    """To be filled."""
    return Wrapper(bench.folder / "wrapper")


def lose_pod(step: RunningStep) -> None:
    """Kills everything that a step runs, `timeout` and its children too, which are a process group of their own."""
    mark = f"TMPDIR={step.environment['TMPDIR']}".encode()

    def members() -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if (
                    entry.name.isdigit()
                    and mark in (entry / "environ").read_bytes().split(b"\0")
                    and b"State:\tZ" not in (entry / "status").read_bytes()
                ):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    while alive := members():
        for member in alive:
            try:
                os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                continue
    step.outcome()


def test_many_packs_become_two_and_nothing_is_lost(bench: Bench, upstream: Path) -> None:
    bench.init().assert_succeeded()
    commits = [unpinned(bench, upstream, number) for number in (100, 101)]
    add_packs(bench.base(), 19)
    objects = git(bench.base(), "cat-file", "--batch-all-objects", "--batch-check").splitlines()
    assert len(packs(bench.base())) == 22
    line = line_of(maintain(bench))
    assert "repacked 22 pack(s)" in line
    assert len(packs(bench.base())) == 2
    assert git(bench.base(), "cat-file", "--batch-all-objects", "--batch-check").splitlines() == objects
    assert has(bench.base(), *commits)
    assert bench.status("task-1") == ""
    bench.assert_sound()
    git(bench.base(), "commit-graph", "verify")


def test_a_tidy_base_is_left_as_it_is(bench: Bench, upstream: Path) -> None:
    bench.init().assert_succeeded()
    unpinned(bench, upstream, 100)
    before = packs(bench.base())
    outcome = maintain(bench)
    assert line_of(outcome).endswith("last used 0 day(s) ago")
    assert packs(bench.base()) == before
    graph = bench.base() / "objects" / "info" / "commit-graph"
    written = graph.stat().st_mtime_ns
    maintain(bench)
    assert graph.stat().st_mtime_ns == written


def test_an_old_pack_of_a_base_in_use_is_written_anew_once(bench: Bench) -> None:
    bench.init().assert_succeeded()
    age(bench.base() / "objects" / "pack", 20)
    assert "repacked 1 pack(s)" in line_of(maintain(bench))
    assert "repacked" not in line_of(maintain(bench))
    age(bench.base() / "objects" / "pack", 20)
    age(bench.base().with_name("sample.used"), 30)
    assert "repacked" not in line_of(maintain(bench)), "nobody has used it since"


def test_old_objects_that_nothing_names_are_dropped_and_young_ones_stay_with_all_that_they_need(
    bench: Bench, upstream: Path, wrapper: Wrapper
) -> None:
    bench.init().assert_succeeded()
    base = bench.base()
    old = unpinned(bench, upstream, 100, "old")
    gone = below(base, old)
    parent = unpinned(bench, upstream, 101, "old, but needed")
    stays = below(base, parent)
    age(base / "objects" / "pack", 20)
    child = commit_upstream(upstream, "refs/pull/102/head", "young")
    young = git(upstream, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit-tree", f"{child}^{{tree}}", "-p", parent, "-m", "x")
    git(upstream, "update-ref", "refs/pull/102/head", young)
    bench.init(102, REF="refs/pull/102/head").assert_succeeded()
    bench.cleanup(102).assert_succeeded()
    line = line_of(maintain(bench))
    assert f"dropped {len(set(gone) - set(stays))} object(s)" in line
    assert not has(base, old)
    assert has(base, *stays, young)
    assert bench.status("task-1") == ""
    bench.assert_sound()
    git(base, "commit-graph", "verify")
    # Packs of what nothing names keep the age of each object. Two weeks later the young one has become old.
    bench.init(103).assert_succeeded()
    wrapper.put("date", f'echo "$(($("$REAL" +%s) + {15 * DAY}))"')
    assert f"dropped {len({*stays, *below(base, young)})} object(s)" in line_of(maintain(bench, PATH=wrapper.path()))
    assert not has(base, parent)
    assert bench.status("task-1") == ""
    bench.assert_sound()
    git(base, "commit-graph", "verify")


def test_nothing_is_dropped_that_the_commit_graph_may_name(bench: Bench, upstream: Path, wrapper: Wrapper) -> None:
    bench.init().assert_succeeded()
    old = commit_upstream(upstream, "refs/pull/100/head", "old")
    bench.init(100, REF="refs/pull/100/head").assert_succeeded()
    maintain(bench)
    bench.cleanup(100).assert_succeeded()
    age(bench.base() / "objects" / "pack", 20)
    bench.init(101).assert_succeeded()
    wrapper.put("git", 'case " $* " in *" commit-graph write "*) echo broken >&2; exit 1 ;; esac\nexec "$REAL" "$@"')
    line = line_of(maintain(bench, PATH=wrapper.path()))
    assert "no commit graph written: broken; old objects kept: the commit graph is not up to date" in line
    assert has(bench.base(), old)
    git(bench.base(), "commit-graph", "verify")
    assert "dropped" in line_of(maintain(bench))
    git(bench.base(), "commit-graph", "verify")


def test_an_old_commit_stays_while_a_task_has_it(bench: Bench, upstream: Path) -> None:
    bench.init().assert_succeeded()
    old = commit_upstream(upstream, "refs/pull/100/head", "old")
    bench.init(100, REF="refs/pull/100/head").assert_succeeded()
    age(bench.base() / "objects" / "pack", 20)
    maintain(bench)
    assert bench.head("task-100") == old
    assert bench.status("task-100") == ""
    bench.cleanup(100).assert_succeeded()
    age(bench.base() / "objects" / "pack", 20)
    bench.init(101).assert_succeeded()
    assert "dropped" in line_of(maintain(bench))
    assert not has(bench.base(), old)


def test_what_a_tasks_git_folder_has_got_stays_though_the_base_no_longer_names_it(bench: Bench, upstream: Path) -> None:
    # Not there when the base was cloned: the clone's own branches stay.
    bench.init(1).assert_succeeded()
    bench.cleanup(1).assert_succeeded()
    old = commit_upstream(upstream, "refs/heads/moving", "old")
    bench.init(1, REF="refs/heads/moving").assert_succeeded()
    bench.cleanup(1).assert_succeeded()
    bench.init(2).assert_succeeded()
    git(upstream, "update-ref", "-d", "refs/heads/moving")
    forced = commit_upstream(upstream, "refs/heads/moving", "forced")
    bench.init(3, REF="refs/heads/moving").assert_succeeded()
    assert bench.agent("task-2", "git", "rev-parse", "refs/heads/moving").strip() == old
    assert git(bench.base(), "for-each-ref", "--points-at", old) == ""
    age(bench.base() / "objects" / "pack", 20)
    maintain(bench)
    assert bench.agent("task-2", "git", "log", "-1", "--format=%H", "moving").strip() == old
    bench.agent("task-2", "git", "fsck", "--connectivity-only")
    # As soon as the task is gone, its branch is.
    bench.cleanup(2).assert_succeeded()
    age(bench.base() / "objects" / "pack", 20)
    bench.init(4).assert_succeeded()
    maintain(bench)
    assert not has(bench.base(), old)
    assert has(bench.base(), forced)


def test_a_tasks_git_folder_cannot_hold_the_maintenance_up(bench: Bench, upstream: Path) -> None:
    bench.init().assert_succeeded()
    old = unpinned(bench, upstream, 100)
    age(bench.base() / "objects" / "pack", 20)
    planted = bench.private("task-1") / "packed-refs"
    planted.write_text(f"nonsense\n{'0' * 40} refs/heads/nowhere\n{old}; touch {bench.folder}/ran\n{'z' * 40} x\n" + "f" * 40 + "\n")
    assert "dropped" in line_of(maintain(bench))
    assert not has(bench.base(), old)
    assert not (bench.folder / "ran").exists()
    planted.unlink()
    os.mkfifo(planted)
    maintain(bench)


@pytest.mark.parametrize("bench", ["shared"], indirect=True)
def test_nothing_is_dropped_while_an_agent_may_write_in_the_base(bench: Bench, upstream: Path) -> None:
    bench.init().assert_succeeded()
    old = unpinned(bench, upstream, 100)
    age(bench.base() / "objects" / "pack", 20)
    bench.init(101).assert_succeeded()
    bench.cleanup(101).assert_succeeded()
    assert "old objects kept: task task-1 may write in it" in line_of(maintain(bench))
    assert has(bench.base(), old)
    bench.cleanup(1).assert_succeeded()
    assert "dropped" in line_of(maintain(bench))
    assert not has(bench.base(), old)
    bench.assert_sound()


def test_nothing_is_dropped_while_a_run_is_about_to_begin(bench: Bench, upstream: Path) -> None:
    bench.init().assert_succeeded()
    old = unpinned(bench, upstream, 100)
    age(bench.base() / "objects" / "pack", 20)
    (bench.base_root / ".tasks" / "task-9").write_text(f"{uid(9)}\t{OWNER}\t{REPO}\n")
    assert "old objects kept: task task-9 may write in it" in line_of(maintain(bench))
    assert has(bench.base(), old)
    (bench.base_root / ".tasks" / "task-9").write_text(f"{uid(9)}\t{OWNER}\tother\n")
    assert "dropped" in line_of(maintain(bench))


def test_what_is_pinned_between_the_look_and_the_drop_stays(bench: Bench, upstream: Path, wrapper: Wrapper) -> None:
    bench.init().assert_succeeded()
    old = unpinned(bench, upstream, 100)
    age(bench.base() / "objects" / "pack", 20)
    wrapper.put("git", 'case " $* " in *" pack-objects "*) "$REAL" "$@"; code=$?; pause; exit $code ;; esac\nexec "$REAL" "$@"')
    step = start(bench, PATH=wrapper.path())
    wrapper.wait()
    before = packs(bench.base())
    bench.init(2, REF=old, LOCK_TIMEOUT_SECONDS="0").assert_succeeded()
    wrapper.release()
    outcome = step.outcome()
    outcome.assert_succeeded()
    assert "old objects kept: a task has pinned some of them meanwhile" in line_of(outcome)
    assert bench.head("task-2") == old
    assert bench.status("task-2") == ""
    bench.assert_sound()
    assert packs(bench.base()) <= before


def test_what_was_pinned_again_before_the_look_stays(bench: Bench, upstream: Path, wrapper: Wrapper) -> None:
    bench.init().assert_succeeded()
    old = unpinned(bench, upstream, 100)
    age(bench.base() / "objects" / "pack", 10)
    # A repack puts it with what nothing names, at an age at which it stays.
    add_packs(bench.base(), 20)
    assert "repacked" in line_of(maintain(bench))
    assert has(bench.base(), old)
    bench.init(2, REF=old).assert_succeeded()
    wrapper.put("date", f'echo "$(($("$REAL" +%s) + {10 * DAY}))"')
    maintain(bench, PATH=wrapper.path())
    assert bench.head("task-2") == old
    assert bench.status("task-2") == ""
    bench.assert_sound()


def test_a_drop_and_a_pin_exclude_each_other(bench: Bench, upstream: Path, wrapper: Wrapper) -> None:
    """Without the base's lock the run's pin would come between the last look and the removal, and its commit would be gone."""
    bench.init().assert_succeeded()
    old = unpinned(bench, upstream, 100)
    age(bench.base() / "objects" / "pack", 20)
    # The first removal after the last look.
    wrapper.put("rm", 'case " $* " in *multi-pack-index*) pause ;; esac\nexec "$REAL" "$@"')
    flock = Wrapper(bench.folder / "flock").put("flock", '"$REAL" "$@" && exit\n: >"$HERE/refused"\nexit 1')
    step = start(bench, PATH=wrapper.path())
    wrapper.wait()
    run = bench.start("init-worktree", 2, REF=old, PATH=flock.path())
    pinned = bench.base() / "refs" / "coderun" / "task-2"
    wait_until(lambda: pinned.exists() or (flock.folder / "refused").exists(), "the run has pinned its commit, or waits for the lock")
    wrapper.release()
    dropped = step.outcome()
    dropped.assert_succeeded()
    outcome = run.outcome()
    outcome.assert_succeeded()
    assert bench.head("task-2") == old
    assert bench.status("task-2") == ""
    bench.assert_sound()
    assert "dropped" in line_of(dropped)
    assert "is broken" not in outcome.output, "and made good again"
    assert "is no longer in the base: looking again" in outcome.output
    assert f"commit {old}: fetched" in outcome.output


def test_a_long_repack_holds_up_nobody_who_has_his_commit(bench: Bench, upstream: Path, wrapper: Wrapper) -> None:
    bench.init().assert_succeeded()
    age(bench.base() / "objects" / "pack", 20)
    wrapper.put("git", 'case " $* " in *" repack "*) pause ;; esac\nexec "$REAL" "$@"')
    step = start(bench, PATH=wrapper.path())
    wrapper.wait()
    bench.init(2, LOCK_TIMEOUT_SECONDS="0").assert_succeeded()
    commit_upstream(upstream, "refs/heads/new", "new")
    bench.init(3, REF="refs/heads/new", LOCK_TIMEOUT_SECONDS="0").assert_refused("another task has been downloading")
    bench.cleanup(2).assert_succeeded()
    wrapper.release()
    step.outcome().assert_succeeded()
    bench.init(3, REF="refs/heads/new").assert_succeeded()
    bench.assert_sound()


def test_a_repack_that_takes_too_long_is_given_up(bench: Bench, wrapper: Wrapper) -> None:
    bench.init().assert_succeeded()
    age(bench.base() / "objects" / "pack", 20)
    before = packs(bench.base())
    wrapper.put("git", 'case " $* " in *" repack "*) exec sleep 600 ;; esac\nexec "$REAL" "$@"')
    assert "not repacked" in line_of(maintain(bench, HOLD_SECONDS="1", PATH=wrapper.path()))
    assert packs(bench.base()) == before
    bench.assert_sound()


@pytest.mark.parametrize("lock", ["sample.fetch.lock", "sample.lock"])
def test_a_lock_that_is_held_is_not_waited_for(bench: Bench, upstream: Path, lock: str) -> None:
    bench.init().assert_succeeded()
    old = unpinned(bench, upstream, 100)
    age(bench.base() / "objects" / "pack", 20)
    with held_lock(bench.base().with_name(lock)):
        line = line_of(maintain(bench))
    assert has(bench.base(), old)
    if lock == "sample.fetch.lock":
        assert line.endswith("left alone: the lock of fetches is held")
    else:
        assert "repacked" in line
        assert "old objects kept: the lock of the base is held" in line
    assert "dropped" in line_of(maintain(bench))


def test_a_task_of_another_repository_does_not_matter(bench: Bench, upstream: Path) -> None:
    bench.init().assert_succeeded()
    old = unpinned(bench, upstream, 100)
    bench.cleanup(1).assert_succeeded()
    bench.init(2, REPO="private", REF="refs/heads/main", GIT_SERVER=bench.server).assert_refused("refused access")
    age(bench.base() / "objects" / "pack", 20)
    maintain(bench)
    assert not has(bench.base(), old)


def test_leftovers_of_killed_gits_go_and_those_at_work_stay(bench: Bench) -> None:
    bench.init().assert_succeeded()
    base = bench.base()
    objects = base / "objects"
    names = [
        "pack/tmp_pack_abc",
        "pack/.tmp-77-pack-1.pack",
        "pack/pack-1111111111111111111111111111111111111111.pack",
        "pack/pack-1111111111111111111111111111111111111111.mtimes",
        "info/commit-graph.lock",
        "tmp_objdir-incoming-x/pack/tmp_pack_x",
    ]
    (pack,) = (objects / "pack").glob("*.pack")
    old, young = [objects / name for name in names], [objects / f"{name}.young" for name in names[:2]]
    for path in [*old, *young]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    pack.with_suffix(".keep").write_text("fetch-pack 7 on gone\n")
    for path in [*old, pack.with_suffix(".keep")]:
        age(path, 0.1)
    age(objects / "tmp_objdir-incoming-x", 0.1)
    os.utime(objects / "tmp_objdir-incoming-x", (0, 0))
    maintain(bench)
    assert [path for path in [*old, pack.with_suffix(".keep")] if path.exists()] == []
    assert [path for path in young if not path.exists()] == []
    assert pack.exists()
    bench.assert_sound()


def test_a_broken_base_is_set_aside_when_no_task_is_on_it(bench: Bench) -> None:
    bench.init().assert_succeeded()
    corrupt(bench.base(), "README.md")
    outcome = start(bench).outcome()
    outcome.assert_refused("base exampleorg/sample is broken (broken link from tree", "tasks are on it")
    assert bench.base().exists()
    bench.cleanup(1).assert_succeeded()
    line = line_of(maintain(bench))
    assert "broken (broken link from tree" in line
    (aside,) = bench.base().parent.glob("sample.broken.*")
    assert aside.suffix[1:].isdigit()
    assert not bench.base().exists()
    bench.init(2).assert_succeeded()
    assert bench.status("task-2") == ""
    bench.assert_sound()


@pytest.mark.parametrize("damage", ["no HEAD", "a ref to nothing", "an empty ref", "alternates", "no pack"])
def test_other_kinds_of_damage(bench: Bench, damage: str) -> None:
    bench.init().assert_succeeded()
    bench.cleanup(1).assert_succeeded()
    base = bench.base()
    match damage:
        case "no HEAD":
            (base / "HEAD").unlink()
        case "a ref to nothing":
            (base / "refs" / "heads" / "x").write_text("1" * 40 + "\n")
        case "an empty ref":
            (base / "refs" / "heads" / "x").write_text("")
        case "alternates":
            (base / "objects" / "info" / "alternates").write_text("/nowhere\n")
        case _:
            for path in (base / "objects" / "pack").glob("*.pack"):
                path.unlink()
    assert "set aside" in line_of(maintain(bench))
    assert not base.exists()
    bench.init(2).assert_succeeded()
    bench.assert_sound()


def test_what_is_not_the_bases_fault_is_no_damage(bench: Bench, wrapper: Wrapper) -> None:
    bench.init().assert_succeeded()
    bench.cleanup(1).assert_succeeded()
    for said, code in (("error: unable to read x: Input/output error", 1), ("", 137), ("fatal: Out of memory, malloc failed", 128)):
        for command in ("fsck", "for-each-ref"):
            wrapper.put("git", f'case " $* " in *" {command} "*) echo "{said}" >&2; exit {code} ;; esac\nexec "$REAL" "$@"')
            maintain(bench, PATH=wrapper.path())
            assert bench.base().exists(), (said, command)


def test_a_damaged_commit_graph_is_made_anew(bench: Bench) -> None:
    bench.init().assert_succeeded()
    maintain(bench)
    graph = bench.base() / "objects" / "info" / "commit-graph"
    graph.chmod(0o644)
    content = bytearray(graph.read_bytes())
    content[-200] ^= 255
    graph.write_bytes(content)
    assert "its commit graph was damaged and is made anew" in line_of(maintain(bench))
    git(bench.base(), "commit-graph", "verify")
    bench.assert_sound()


@pytest.mark.parametrize("bench", ["shared"], indirect=True)
def test_nothing_that_an_agent_plants_in_the_base_runs(bench: Bench, upstream: Path, wrapper: Wrapper) -> None:
    bench.init().assert_succeeded()
    unpinned(bench, upstream, 100)
    evil = bench.folder / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {bench.folder}/ran\n")
    evil.chmod(0o755)
    hooks = bench.base() / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("reference-transaction", "pre-auto-gc", "post-rewrite"):
        (hooks / hook).symlink_to(evil)
    for key, value in {
        "core.hooksPath": hooks,
        "core.fsmonitor": evil,
        "core.alternateRefsCommand": evil,
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "evil",
        "remote.evil.url": f"ext::{evil}",
        "remote.evil.promisor": "true",
        "protocol.ext.allow": "always",
        "repack.writeBitmaps": "true",
        "gc.pruneExpire": "now",
        "gc.cruftPacks": "false",
    }.items():
        git(bench.base(), "config", key, str(value))
    # A ref to what isn't there, made after the look: to see whether it is, git would fetch it.
    (bench.base() / "refs" / "tags").mkdir(exist_ok=True)
    wrapper.put("git", f'case " $* " in *" pack-refs "*) echo {"1" * 40} >{bench.base()}/refs/tags/x ;; esac\nexec "$REAL" "$@"')
    age(bench.base() / "objects" / "pack", 20)
    maintain(bench, PATH=wrapper.path())
    # And before it.
    start(bench).outcome().assert_refused("is broken")
    assert not (bench.folder / "ran").exists()


def test_branches_that_no_run_asks_for_are_forgotten_but_not_in_a_base_that_rests(bench: Bench, upstream: Path) -> None:
    commit_upstream(upstream, "refs/heads/a/old", "old")
    bench.init(1, REF="refs/heads/a/old").assert_succeeded()
    bench.init(2, REF="refs/heads/gate/a").assert_succeeded()
    kept = ["refs/fetched/heads/a/old", "refs/fetched/heads/gate/a"]
    used = bench.base().with_name("sample.used")
    age(bench.base() / "refs" / "fetched" / "heads" / "a" / "old", 15)
    age(used, 10)
    assert "forgot" not in line_of(maintain(bench))
    assert git(bench.base(), "for-each-ref", "--format=%(refname)", "refs/fetched").split() == kept
    used.touch()
    assert "forgot 1 branch(es)" in line_of(maintain(bench))
    assert git(bench.base(), "for-each-ref", "--format=%(refname)", "refs/fetched").split() == kept[1:]
    assert bench.status("task-1") == ""
    bench.assert_sound()


def other_base(bench: Bench, repo: str, unused_days: float) -> Path:
    """A copy of the base under another name, used so long ago."""
    base = bench.base(repo)
    shutil.copytree(bench.base(), base)
    used = base.with_name(f"{repo}.used")
    used.touch()
    age(used, unused_days)
    return base


@pytest.fixture
def four_bases(bench: Bench) -> list[Path]:
    """Bases b, c, d (by age) without a task, and one with a task that nobody has used for longest."""
    bench.init().assert_succeeded()
    found = [other_base(bench, "c", 3), other_base(bench, "b", 5), other_base(bench, "d", 1)]
    age(bench.base().with_name("sample.used"), 99)
    return found


def claim_size(bench: Bench, percent: float) -> dict[str, str]:
    """Settings with which the claim is so full now."""
    # A first maintenance leaves something behind that counts.
    maintain(bench)
    used = sum(
        int(line.split()[0])
        for line in subprocess.run(
            ["du", "-sk", str(bench.base_root), str(bench.trees)], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    )
    return {"CLAIM_SIZE_BYTES": str(int(used * 1024 * 100 / percent))}


@pytest.fixture
def roomy_disk(wrapper: Wrapper) -> Wrapper:
    """A file system that is empty, whatever the machine's is."""
    return wrapper.put("df", "echo 'Filesystem 1024-blocks Used Available Capacity Mounted'; echo 'a 1000 0 1000 0% /'")


def test_idle_bases_go_by_least_recent_use_until_there_is_room(bench: Bench, four_bases: list[Path], roomy_disk: Wrapper) -> None:
    c, b, d = four_bases
    settings = claim_size(bench, 85)
    outcome = maintain(bench, **settings, EVICT_ABOVE_PERCENT="80", PATH=roomy_disk.path())
    assert "base exampleorg/b: evicted, last used 5 day(s) ago" in outcome.output
    assert "4 base(s): 0 repacked, 0 broken, 0 left alone, 0 not reached in 60 s, 1 evicted" in outcome.output
    assert not b.exists()
    assert c.exists()
    assert d.exists()
    assert bench.base().exists()
    assert sorted(path.name for path in b.parent.glob("b.*")) == ["b.fetch.lock", "b.lock"]
    # The next run of it makes it anew; what was at work goes on.
    assert bench.status("task-1") == ""


def test_a_base_with_a_task_is_never_evicted_and_a_claim_that_stays_full_is_told(bench: Bench, four_bases: list[Path], roomy_disk: Wrapper) -> None:
    settings = claim_size(bench, 300)
    start(bench, **settings, EVICT_ABOVE_PERCENT="10", PATH=roomy_disk.path()).outcome().assert_refused(
        "coderun-shared holds ", "all idle bases are gone", "storage.shared.size", "gitMaintenance.evictAbovePercent"
    )
    assert not any(base.exists() for base in four_bases)
    assert bench.status("task-1") == ""
    bench.assert_sound()


def test_a_full_file_system_counts_as_a_full_claim(bench: Bench, four_bases: list[Path], wrapper: Wrapper) -> None:
    gone = " && ".join(f'[ ! -e "{base}" ]' for base in four_bases[:2])
    wrapper.put("df", f'used=900; {gone} && used=700; echo head; echo "a/very/long/name 1000 $used $((1000 - used)) 0% /"')
    outcome = maintain(bench, EVICT_ABOVE_PERCENT="80", PATH=wrapper.path())
    assert "its file system is 90 % full; above 80 %" in outcome.output
    assert [base.exists() for base in four_bases] == [False, False, True]
    assert "2 evicted" in outcome.output
    assert "its file system is 70 % full" in outcome.output.splitlines()[-1]


def test_a_base_that_a_run_begins_to_use_is_not_evicted(bench: Bench, four_bases: list[Path], roomy_disk: Wrapper) -> None:
    _, b, _ = four_bases
    settings = claim_size(bench, 85)
    with held_lock(b.with_name("b.lock")):
        outcome = maintain(bench, **settings, EVICT_ABOVE_PERCENT="80", PATH=roomy_disk.path())
    assert b.exists()
    assert "base exampleorg/c: evicted" in outcome.output


def test_an_eviction_that_was_cut_short_is_finished(bench: Bench) -> None:
    bench.init().assert_succeeded()
    aside = bench.base().with_name("other.evicted.1700000000")
    shutil.copytree(bench.base(), aside)
    (aside / "locked").mkdir()
    (aside / "locked" / "x").touch()
    (aside / "locked").chmod(0)
    lookalike = bench.base("x.evicted.1")
    shutil.copytree(bench.base(), lookalike)
    maintain(bench)
    assert not aside.exists()
    assert lookalike.exists()


def test_a_run_that_finds_its_base_evicted_makes_it_anew(bench: Bench, roomy_disk: Wrapper) -> None:
    bench.init().assert_succeeded()
    bench.cleanup(1).assert_succeeded()
    start(bench, CLAIM_SIZE_BYTES="1024", EVICT_ABOVE_PERCENT="1", PATH=roomy_disk.path()).outcome()
    assert not bench.base().exists()
    bench.init(2).assert_succeeded()
    assert bench.status("task-2") == ""
    bench.assert_sound()


def test_it_ends_at_its_deadline_and_the_next_begins_with_the_rest(bench: Bench, four_bases: list[Path], wrapper: Wrapper) -> None:
    first = min(bench.base(), *four_bases).stem
    # The time is over as soon as the first base was looked at.
    wrapper.put("date", f'[ ! -e "{bench.base().with_name(first)}.maintained" ] || {{ echo 9999999999; exit; }}\nexec "$REAL" "$@"')
    outcome = maintain(bench, PATH=wrapper.path())
    assert "4 base(s):" in outcome.output
    assert "3 not reached in 60 s" in outcome.output
    second = maintain(bench)
    looked_at = [line.split(":")[0].removeprefix("base exampleorg/") for line in second.output.splitlines() if line.startswith("base ")]
    assert looked_at[-1] == first


@pytest.mark.usefixtures("four_bases")
def test_usage_is_reported_by_base_and_in_all(bench: Bench) -> None:
    outcome = maintain(bench)
    lines = outcome.output.splitlines()
    assert [line.split(" ")[1] for line in lines[:-1]] == [f"{OWNER}/{repo}:" for repo in ("b", "c", "d", "sample")]
    assert all(" MiB, last used " in line for line in lines[:-1])
    assert "coderun-shared holds " in lines[-1]
    assert " of 1024.0 MiB (" in lines[-1]


def test_names_that_are_no_repositorys_are_left_alone(bench: Bench) -> None:
    bench.init().assert_succeeded()
    elsewhere = bench.folder / "elsewhere.git"
    shutil.copytree(bench.base(), elsewhere)
    (bench.base_root / OWNER / "link.git").symlink_to(elsewhere)
    shutil.copytree(bench.base(), bench.base_root / OWNER / "a b.git")
    (bench.base_root / OWNER / "file.git").write_text("x")
    assert "1 base(s)" in maintain(bench).output


def test_a_claim_without_bases_is_no_trouble(bench: Bench) -> None:
    assert "0 base(s)" in maintain(bench).output


def test_a_missing_setting_is_named(bench: Bench) -> None:
    bench.run("maintain", 1, **{**SETTINGS, "EXPIRE_DAYS": ""}).assert_refused("maintain: the variable EXPIRE_DAYS is empty")


@dataclass(frozen=True)
class Prepared:
    """A claim with much to do for a maintenance: many packs, old objects, a forgotten branch, a task at work."""

    bench: Bench
    saved: Path
    old: str
    kept: str
    head: str

    def restore(self) -> None:
        """Puts the claim back."""
        shutil.rmtree(self.bench.claim)
        shutil.copytree(self.saved, self.bench.claim, symlinks=True)

    def assert_nothing_lost(self) -> None:
        """Raises AssertionError if the base is damaged or the task, or what a younger commit needs, has lost anything."""
        self.bench.assert_sound()
        assert self.bench.head("task-1") == self.head
        assert self.bench.status("task-1") == ""
        assert has(self.bench.base(), *below(self.bench.base(), self.kept))


def prepare(bench: Bench, upstream: Path) -> Prepared:
    """Makes it."""
    head = commit_upstream(upstream, "refs/heads/task", "the task's")
    bench.init(9).assert_succeeded()
    bench.cleanup(9).assert_succeeded()
    bench.init(1, REF="refs/heads/task").assert_succeeded()
    old = unpinned(bench, upstream, 100)
    age(bench.base() / "objects" / "pack", 20)
    kept = unpinned(bench, upstream, 101)
    commit_upstream(upstream, "refs/heads/forgotten", "x")
    bench.init(102, REF="refs/heads/forgotten").assert_succeeded()
    bench.cleanup(102).assert_succeeded()
    age(bench.base() / "refs" / "fetched" / "heads" / "forgotten", 20)
    return Prepared(bench, shutil.copytree(bench.claim, bench.folder / "saved", symlinks=True), old, kept, head)


COUNT = """number=$(cat "$HERE/count" 2>/dev/null || echo 0)
number=$((number + 1))
echo "$number" >"$HERE/count"
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_beside_any_of_its_programs_leaves_the_base_sound(bench: Bench, upstream: Path, wrapper: Wrapper, moment: str) -> None:
    prepared = prepare(bench, upstream)
    for program in ("git", "rm", "mv", "touch", "find"):
        at = '[ "$number" -ne "$KILL_AT" ] || pause\n'
        wrapper.put(program, COUNT + (at + 'exec "$REAL" "$@"' if moment == "before" else f'"$REAL" "$@"\ncode=$?\n{at}exit $code'))
    number = 0
    while True:
        number += 1
        prepared.restore()
        for name in ("count", "paused"):
            (wrapper.folder / name).unlink(missing_ok=True)
        step = start(bench, PATH=wrapper.path(), KILL_AT=str(number))
        wait_until(lambda step=step: (wrapper.folder / "paused").exists() or step.process.poll() is not None, "it is at that program, or done")  # type: ignore[misc]
        if step.process.poll() is not None:
            step.outcome().assert_succeeded()
            break
        lose_pod(step)
        prepared.assert_nothing_lost()
        # The rest of it is done by the next one. Its locks are free, and what lies about doesn't disturb it.
        maintain(bench)
        prepared.assert_nothing_lost()
        assert not has(bench.base(), prepared.old), number
    assert number > 15, "the programs are wrapped"


def test_a_kill_at_any_moment_of_a_long_repack_leaves_the_base_sound(bench: Bench, upstream: Path) -> None:
    shutil.rmtree(upstream)
    build_wide(upstream)
    prepared = prepare(bench, upstream)
    began = time.monotonic()
    maintain(bench)
    took = time.monotonic() - began
    for part in range(1, 13):
        prepared.restore()
        step = start(bench)
        # Not in place of a condition: the moment itself is the point.
        time.sleep(took * part / 13)
        lose_pod(step)
        prepared.assert_nothing_lost()
    maintain(bench)
    prepared.assert_nothing_lost()


def test_twenty_runs_at_once_beside_maintenance_lose_nothing(bench: Bench, upstream: Path) -> None:
    bench.init().assert_succeeded()
    old = [unpinned(bench, upstream, 100 + number) for number in range(5)]
    heads = [commit_upstream(upstream, f"refs/heads/new/{number}", f"new {number}") for number in range(3)]
    wanted = {"refs/heads/main": git(upstream, "rev-parse", "main")}
    wanted |= {f"refs/heads/new/{number}": head for number, head in enumerate(heads)}
    wanted |= {one: one for one in old}
    for turn in range(2):
        age(bench.base() / "objects" / "pack", 20)
        refs = sorted(wanted)
        numbers = range(200 + turn * 100, 220 + turn * 100)
        maintenance = start(bench, LOCK_TIMEOUT_SECONDS="20")
        steps = {number: bench.start("init-worktree", number, REF=refs[number % len(refs)]) for number in numbers}
        outcomes = []
        while any(step.process.poll() is None for step in steps.values()):
            outcomes.append(maintenance.outcome())
            maintenance = start(bench, LOCK_TIMEOUT_SECONDS="20")
        outcomes.append(maintenance.outcome())
        for outcome in outcomes:
            outcome.assert_succeeded()
        for number, step in steps.items():
            step.outcome().assert_succeeded()
            assert bench.head(f"task-{number}") == wanted[refs[number % len(refs)]]
            assert bench.status(f"task-{number}") == ""
        bench.assert_sound()
        for number in numbers:
            bench.cleanup(number).assert_succeeded()
        maintain(bench)
        bench.assert_sound()
    assert bench.status("task-1") == ""

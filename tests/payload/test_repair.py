"""A base that is broken is mended, or set aside and made anew; nothing that isn't the base's fault has that effect."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import git
from tests.fixtures.git_server.state import Fault
from tests.payload.steps import BOTH_GIT_FOLDERS, OWNER, REPO, SHARED_GIT_FOLDER, Bench, held_lock
from tests.payload.test_init_worktree import commit_upstream, corrupt
from tests.payload.test_private_git_folder import add_commits, said

NAME = f"{OWNER}/{REPO}"


def packs(base: Path, suffix: str) -> Iterator[Path]:
    """The packs' files, made writable."""
    for path in (base / "objects" / "pack").glob(f"*.{suffix}"):
        path.chmod(0o644)
        yield path


def loosen(base: Path) -> None:
    """Takes all packs apart."""
    contents = [path.read_bytes() for path in packs(base, "pack")]
    shutil.rmtree(base / "objects" / "pack")
    for content in contents:
        git(base, "unpack-objects", "-q", stdin=content)


def loose(base: Path, what: str) -> Path:
    """The file of a loose object."""
    name = git(base, "rev-parse", what)
    path = base / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    return path


def truncate_pack(base: Path) -> None:
    """As a disk that lost the end of a write."""
    for path in packs(base, "pack"):
        os.truncate(path, path.stat().st_size // 2)


def change_pack(base: Path) -> None:
    """As a disk that gives back something else."""
    for path in packs(base, "pack"):
        content = bytearray(path.read_bytes())
        # The middle of a pack is files, its beginning is commits.
        for position in range(len(content) // 2, len(content) - 200, 50):
            content[position] ^= 0xFF
        path.write_bytes(content)


def remove(suffix: str) -> Callable[[Path], None]:
    """A pack's file that is gone."""

    def damage(base: Path) -> None:
        for path in packs(base, suffix):
            path.unlink()

    return damage


def empty(suffix: str) -> Callable[[Path], None]:
    """A pack's file that has lost all its content."""

    def damage(base: Path) -> None:
        for path in packs(base, suffix):
            os.truncate(path, 0)

    return damage


def write(name: str, text: str) -> Callable[[Path], None]:
    """A file with other content."""

    def damage(base: Path) -> None:
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return damage


def lose_object(what: str) -> Callable[[Path], None]:
    """One loose object that is gone."""

    def damage(base: Path) -> None:
        loosen(base)
        loose(base, what).unlink()

    return damage


def empty_object(what: str) -> Callable[[Path], None]:
    """One loose object without content, as after a loss of power."""

    def damage(base: Path) -> None:
        loosen(base)
        os.truncate(loose(base, what), 0)

    return damage


def make_a_file(base: Path) -> None:
    """Something else in the base's place."""
    shutil.rmtree(base)
    base.write_text("")


RENEWED: dict[str, Callable[[Path], None]] = {
    "truncated pack": truncate_pack,
    "changed pack": change_pack,
    "no pack": remove("pack"),
    "empty pack": empty("pack"),
    "no index of a pack": remove("idx"),
    "empty index of a pack": empty("idx"),
    "no packs at all": lambda base: shutil.rmtree(base / "objects" / "pack"),
    "no objects": lambda base: shutil.rmtree(base / "objects"),
    "no refs": lambda base: shutil.rmtree(base / "refs"),
    "no HEAD": lambda base: (base / "HEAD").unlink(),
    "empty HEAD": write("HEAD", ""),
    "wrong HEAD": write("HEAD", "nonsense\n"),
    "empty config": write("config", ""),
    "wrong config": write("config", "[core\n"),
    "wrong packed refs": write("packed-refs", "nonsense\n"),
    "empty ref": write("refs/heads/lost", ""),
    "ref to nowhere": write("refs/heads/lost", f"{'1' * 40}\n"),
    "objects of others": write("objects/info/alternates", "/nowhere\n"),
    "empty blob": empty_object("main:README.md"),
    "empty tree": empty_object("main^{tree}"),
    "empty commit": empty_object("main"),
    "a file": make_a_file,
}
MENDED: dict[str, Callable[[Path], None]] = {
    "missing blob": lose_object("main:README.md"),
    "missing tree": lose_object("main^{tree}"),
}


def set_aside(bench: Bench) -> list[Path]:
    """The bases that were set aside."""
    return sorted(bench.base().parent.glob("sample.broken.*"))


def assert_goes_on(bench: Bench) -> None:
    """The task that began before and the one that found the damage both work, and both leave nothing."""
    bench.assert_sound()
    assert bench.status("task-2") == ""
    assert bench.agent("task-2", "git", "fsck", "--no-dangling") == ""
    for number in (1, 2):
        bench.cleanup(number).assert_succeeded()
    assert bench.leftovers() == []
    bench.assert_sound()


@pytest.mark.parametrize("damage", RENEWED)
def test_a_broken_base_is_set_aside_and_made_anew(bench: Bench, server: GitServer, damage: str) -> None:
    bench.init(1).assert_succeeded()
    RENEWED[damage](bench.base())
    outcome = bench.init(2)
    outcome.assert_succeeded()
    (line,) = [line for line in outcome.output.splitlines() if line.endswith("; making it anew")]
    assert line.startswith(f"base {bench.base()} is broken: ")
    assert len(set_aside(bench)) == 1
    assert server.state.counters(NAME).clones == 2
    assert_goes_on(bench)


@pytest.mark.parametrize("damage", MENDED)
def test_a_base_that_lacks_objects_is_mended_in_place(bench: Bench, damage: str) -> None:
    bench.init(1).assert_succeeded()
    MENDED[damage](bench.base())
    outcome = bench.init(2)
    outcome.assert_succeeded()
    assert "is broken: " in outcome.output
    assert "base: mended" in outcome.output
    assert set_aside(bench) == []
    # Mended for the one that lives as well.
    assert bench.status("task-1") == ""
    assert_goes_on(bench)


def test_damage_far_from_the_tree_is_found_by_the_fetch_that_meets_it(bench: Bench, upstream: Path) -> None:
    bench.init(1).assert_succeeded()
    empty_object("main~3")(bench.base())
    wanted = add_commits(upstream, "main", b"x")
    outcome = bench.init(2)
    outcome.assert_succeeded()
    assert bench.head("task-2") == wanted
    assert_goes_on(bench)


@SHARED_GIT_FOLDER
@pytest.mark.parametrize("damage", ["truncated pack", "empty HEAD", "wrong config", "wrong packed refs", "empty blob", "objects of others"])
def test_with_a_shared_git_folder_too(bench: Bench, damage: str) -> None:
    bench.init(1).assert_succeeded()
    RENEWED[damage](bench.base())
    outcome = bench.init(2)
    outcome.assert_succeeded()
    assert len(set_aside(bench)) == 1
    assert_goes_on(bench)


@BOTH_GIT_FOLDERS
def test_a_living_agent_goes_on_with_the_base_that_was_set_aside(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    work = "echo there; read -r line; git checkout -q -b fix; git commit -q --allow-empty -m mine; git log --oneline; git status --short"
    arguments, environment = bench.agent_command("task-1", "sh", "-euc", work)
    with subprocess.Popen(arguments, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == "there\n"
        # Broken for those that come, harmless to who has it open.
        (bench.base() / "refs" / "heads" / "lost").write_text("")
        bench.init(2).assert_succeeded()
        assert len(set_aside(bench)) == 1
        output, _ = agent.communicate("go\n", timeout=60)
    assert agent.returncode == 0, output
    assert output.splitlines()[0].endswith(" mine")
    assert len(output.splitlines()) == 15
    bench.cleanup(1).assert_succeeded()
    assert bench.status("task-2") == ""


def test_an_agent_that_starts_after_its_base_was_set_aside_finds_its_commit_in_the_new_one(bench: Bench, upstream: Path) -> None:
    bench.init(1, REF="refs/pull/7/head").assert_succeeded()
    bench.init(3, REF="refs/pull/7/head").assert_succeeded()
    git(bench.base(), "pack-refs", "--all")
    bench.init(4, REF="refs/pull/7/head").assert_succeeded()
    # One that has ended: its pin is of no use to anybody.
    (bench.base_root / ".tasks" / "task-3").unlink()
    (bench.base() / "HEAD").write_text("")
    bench.init(2).assert_succeeded()
    wanted = git(upstream, "rev-parse", "refs/pull/7/head")
    for task in ("task-1", "task-4"):
        assert git(bench.base(), "rev-parse", f"refs/coderun/{task}") == wanted
        assert bench.status(task) == ""
        assert bench.agent(task, "git", "fsck", "--no-dangling") == ""
    assert git(bench.base(), "for-each-ref", "refs/coderun/task-3") == ""


def test_a_pin_that_nobody_has_any_more_is_said_and_harms_no_other(bench: Bench, upstream: Path) -> None:
    lost = commit_upstream(upstream, "refs/heads/short", "short")
    bench.init(1, REF="refs/heads/short").assert_succeeded()
    git(upstream, "update-ref", "-d", "refs/heads/short")
    git(upstream, "gc", "--quiet", "--prune=now")
    (bench.base() / "HEAD").write_text("")
    outcome = bench.init(2)
    outcome.assert_succeeded()
    assert f"commit {lost} of task task-1 is not in the new one" in outcome.output
    assert_goes_on(bench)


@BOTH_GIT_FOLDERS
@pytest.mark.parametrize(("damage", "clones"), [("empty HEAD", 1), ("changed pack", 1), ("missing blob", 0)])
def test_many_that_find_the_damage_at_once_repair_it_once(bench: Bench, server: GitServer, damage: str, clones: int) -> None:
    bench.init(1).assert_succeeded()
    {**RENEWED, **MENDED}[damage](bench.base())
    before = server.state.counters(NAME)
    for step in [bench.start("init-worktree", number) for number in range(2, 8)]:
        step.outcome().assert_succeeded()
    after = server.state.counters(NAME)
    assert len(set_aside(bench)) == clones
    # A refetch has nothing to offer, so the server counts it as a clone.
    assert after.clones - before.clones == 1
    for number in range(2, 8):
        assert bench.status(f"task-{number}") == ""
    bench.assert_sound()


def test_who_waits_for_the_lock_meanwhile_goes_on_with_the_new_base(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    with held_lock(bench.base().with_name("sample.lock")):
        waiting = bench.start("init-worktree", 2)
        said(waiting, ": present")
        (bench.base() / "HEAD").write_text("")
        repairing = bench.start("init-worktree", 3)
        said(repairing, "base: cloned")
    for step in (waiting, repairing):
        step.outcome().assert_succeeded()
    assert len(set_aside(bench)) == 1
    for task in ("task-2", "task-3"):
        assert bench.status(task) == ""


def test_a_second_one_in_the_same_second_gets_a_name_of_its_own(bench: Bench) -> None:
    bench.stand_in("date", "echo 1700000000")
    bench.init(1).assert_succeeded()
    for number in (2, 3):
        (bench.base() / "HEAD").write_text("")
        bench.init(number).assert_succeeded()
    assert [path.name for path in set_aside(bench)] == ["sample.broken.1700000000", "sample.broken.1700000001"]
    assert all((path / "objects").is_dir() for path in set_aside(bench))


def test_old_commits_of_odd_content_are_no_damage(bench: Bench, upstream: Path) -> None:
    tree = git(upstream, "rev-parse", "main^{tree}")
    odd = f"tree {tree}\nauthor A<a@example.org> 1700000000 +0000\ncommitter A<a@example.org> 1700000000 +0000\n\nodd\n"
    commit = git(upstream, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=odd.encode())
    git(upstream, "update-ref", "refs/heads/odd", commit)
    bench.init(1, REF="refs/heads/odd").assert_succeeded()
    corrupt(bench.base(), "README.md")
    outcome = bench.init(2, REF="refs/heads/odd")
    outcome.assert_succeeded()
    assert "base: mended" in outcome.output
    assert set_aside(bench) == []


def test_a_seed_that_breaks_what_is_copied_from_it_is_not_used_again(server: GitServer, tmp_path: Path) -> None:
    shared = Bench(tmp_path / "shared", server.url)
    shared.init(9).assert_succeeded()
    change_pack(shared.base())
    own = Bench(tmp_path / "own", server.url, git_folder="shared")
    outcome = own.init(1, SEED_ROOT=str(shared.base_root))
    outcome.assert_succeeded()
    assert "making it anew" in outcome.output
    assert own.status("task-1") == ""
    own.assert_sound()


# What isn't the base's fault.


def assert_untouched(bench: Bench, inode: int) -> None:
    """The base is where it was, and none was set aside."""
    assert bench.base().stat().st_ino == inode
    assert set_aside(bench) == []
    assert not bench.base().with_name("sample.staging").exists()


@pytest.mark.parametrize(
    ("fault", "words"), [(Fault(stall="fetch"), "stalled"), (Fault(refuse=503), "can't be reached"), (Fault(refuse=403), "refused access")]
)
@pytest.mark.parametrize("damage", ["empty HEAD", "missing blob"])
def test_a_broken_base_stays_while_the_server_can_give_no_other(bench: Bench, server: GitServer, damage: str, fault: Fault, words: str) -> None:
    bench.init(1).assert_succeeded()
    commit = bench.head("task-1")
    {**RENEWED, **MENDED}[damage](bench.base())
    inode = bench.base().stat().st_ino
    server.state.set_fault(NAME, fault)
    # A commit id: nothing else is asked of the server.
    bench.init(2, REF=commit, LOW_SPEED_SECONDS="1").assert_refused(words)
    assert_untouched(bench, inode)
    server.state.set_fault(NAME, Fault())
    bench.init(2).assert_succeeded()


@pytest.mark.parametrize(
    ("saying", "words"),
    [
        ("fatal: write error: No space left on device", "the claim is full"),
        ("error: unable to write file README.md", "the claim is full, or fails to write"),
        ("error: unable to create file x: Permission denied", "the claim can't be written"),
        ("error: unable to open x: Input/output error", "the claim can't be written"),
        ("fatal: Out of memory, malloc failed (tried to allocate 4096 bytes)", "ran out of memory"),
        ("error: index-pack died of signal 9", "ran out of memory"),
        ("fatal: something that nobody has heard of", "git failed on 'exampleorg/sample'"),
    ],
)
@pytest.mark.parametrize("command", ["read-tree", "fetch"])
def test_what_is_not_the_bases_fault_leaves_it_alone(bench: Bench, upstream: Path, command: str, saying: str, words: str) -> None:
    bench.init(1).assert_succeeded()
    inode = bench.base().stat().st_ino
    commit_upstream(upstream, "refs/heads/new", "new")
    bench.stand_in("git", f'for word; do if [ "$word" = {command} ]; then echo "{saying}" >&2; exit 128; fi; done\nreal "$@"')
    bench.init(2, REF="refs/heads/new").assert_refused(words)
    assert_untouched(bench, inode)
    bench.assert_sound()


@pytest.mark.parametrize("path", ["HEAD", "config", "refs", "objects", "objects/pack", "objects/pack/*.pack"])
def test_missing_permissions_are_no_damage(bench: Bench, path: str) -> None:
    bench.init(1).assert_succeeded()
    inode = bench.base().stat().st_ino
    (target,) = bench.base().glob(path)
    mode = target.stat().st_mode
    target.chmod(0)
    bench.unprivileged = True
    bench.init(2).assert_refused("the claim can't be", "ermission denied", "podSecurity.uid")
    assert_untouched(bench, inode)
    target.chmod(stat.S_IMODE(mode))
    bench.init(2).assert_succeeded()


def test_a_base_that_breaks_at_once_again_ends_the_step(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    saying = f"error: object file {bench.base()}/objects/12/34 is empty"
    bench.stand_in("git", f'for word; do if [ "$word" = read-tree ]; then echo "{saying}" >&2; exit 128; fi; done\nreal "$@"')
    bench.init(2).assert_refused("is broken again right after it was made anew", "check the volume")
    assert len(set_aside(bench)) == 1
    bench.assert_sound()


def test_what_the_server_says_of_its_own_objects_is_no_damage_of_the_base(bench: Bench, upstream: Path) -> None:
    bench.init(1).assert_succeeded()
    inode = bench.base().stat().st_ino
    commit_upstream(upstream, "refs/heads/new", "new")
    saying = f"remote: fatal: packed object 12 (stored in {bench.base()}/objects/pack/x.pack) is corrupt\nfatal: protocol error: bad pack header"
    bench.stand_in("git", f'for word; do if [ "$word" = fetch ]; then echo "{saying}" >&2; exit 128; fi; done\nreal "$@"')
    bench.init(2, REF="refs/heads/new").assert_refused("git failed on")
    assert_untouched(bench, inode)

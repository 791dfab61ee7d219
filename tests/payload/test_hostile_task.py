"""A hostile task with gitFolder=private: what it plants works on a naive git, and no step and no other task runs or sees anything of it.

The task has the mounts of its CodeRun and no capability. The naive git is what a step might have run: on the task's git folder or in its tree.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.coderun_controller.pods import IDENTITY
from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import git
from tests.payload.steps import OWNER, REPO, UNPRIVILEGED, Bench
from tests.payload.test_private_git_folder import add_commits, everything

PLANT = """set -eu
folder=$(git rev-parse --path-format=absolute --git-common-dir)
admin=$(git rev-parse --absolute-git-dir)
"""
"""The task knows where its git folder and its admin folder are."""


@dataclass(frozen=True)
class Trap:
    """What a task plants, in its tree, and the arguments of a git that falls into it, in the same folder."""

    plant: str
    naive: tuple[str, ...] = ("status",)
    discovers: bool = False
    """Whether the naive git discovers its repository from the tree, instead of being given the task's git folder."""


# $trap is a program that leaves a mark.
TRAPS = {
    "fsmonitor": Trap('git config core.fsmonitor "$trap"'),
    "fsmonitor of an included file": Trap('printf "[core]\\n\\tfsmonitor = %s\\n" "$trap" >"$folder/more"; git config include.path more'),
    "fsmonitor of the worktree's config": Trap('git config extensions.worktreeConfig true; git config --worktree core.fsmonitor "$trap"'),
    "hooks path": Trap('mkdir mine; ln -s "$trap" mine/post-checkout; git config core.hooksPath mine', ("checkout", "--force", "HEAD")),
    "hooks": Trap('mkdir "$folder/hooks"; ln -s "$trap" "$folder/hooks/reference-transaction"', ("update-ref", "refs/heads/x", "HEAD")),
    "filter driver": Trap('echo "* filter=evil" >.gitattributes; git config filter.evil.clean "$trap; cat"; touch README.md', ("add", "README.md")),
    "filter process": Trap(
        'mkdir -p "$folder/info"; echo "* filter=evil" >"$folder/info/attributes"; git config filter.evil.process "$trap"; touch README.md',
        ("add", "README.md"),
    ),
    "smudge": Trap(
        'echo "* filter=evil" >.gitattributes; git config filter.evil.smudge "$trap; cat"; rm README.md', ("checkout", "HEAD", "--", "README.md")
    ),
    "diff driver": Trap('echo "* diff=evil" >.gitattributes; git config diff.evil.command "$trap"; echo x >>README.md', ("diff",)),
    "text conversion": Trap('echo "* diff=evil" >.gitattributes; git config diff.evil.textconv "$trap; cat"; echo x >>README.md', ("diff",)),
    "merge driver": Trap(
        'echo "* merge=evil" >.gitattributes; git config merge.evil.driver "$trap; false"; '
        "git checkout -q -b one; echo 1 >README.md; git commit -qam 1; git checkout -q -b two HEAD^; echo 2 >README.md; git commit -qam 2",
        ("merge", "one"),
    ),
    "address of the server": Trap('git config protocol.ext.allow always; git config remote.origin.url "ext::$trap"', ("fetch", "origin")),
    "credential helper": Trap(
        'git config credential.helper "!$trap"; git config remote.origin.url "$server/exampleorg/private.git"', ("fetch", "origin")
    ),
    "commands for other objects' refs": Trap(
        'git config core.alternateRefsCommand "$trap"', ("fetch", "origin", "+refs/heads/*:refs/remotes/fresh/*")
    ),
    "file instead of the admin folder": Trap(
        'mkdir -p .evil/objects .evil/refs; echo "ref: refs/heads/main" >.evil/HEAD; '
        'printf "[core]\\n\\trepositoryformatversion = 0\\n\\tfsmonitor = %s\\n" "$trap" >.evil/config; echo "gitdir: .evil" >.git',
        discovers=True,
    ),
    "repository in the tree's own place": Trap('rm .git; git init -q; git config core.fsmonitor "$trap"', discovers=True),
    "nested repository": Trap('git init -q nested; git -C nested config core.fsmonitor "$trap"', ("-C", "nested", "status"), discovers=True),
    "nested bare repository": Trap(
        "git init -q --bare nested; git -C nested config core.bare false; git -C nested config core.worktree .; "
        'git -C nested config core.fsmonitor "$trap"',
        ("-C", "nested", "status"),
        discovers=True,
    ),
    "common folder elsewhere": Trap(
        'cp -R "$folder" .common; printf "[core]\\n\\trepositoryformatversion = 0\\n\\tfsmonitor = %s\\n" "$trap" >.common/config; '
        'printf "%s/.common\\n" "$(pwd)" >"$admin/commondir"'
    ),
}


@pytest.fixture
def hostile(server: GitServer, tmp_path: Path) -> Bench:
    """A claim with the hostile task 1 and its victim 2 on one repository, and steps to which permissions matter."""
    made = Bench(tmp_path / "bench", server.url, unprivileged=True)
    for number in (1, 2):
        made.init(number).assert_succeeded()
    (made.folder / "traps").mkdir()
    trap = made.folder / "traps" / "trap"
    trap.write_text(f"#!/bin/sh\nenv >>{made.folder}/ran\n")
    trap.chmod(0o755)
    return made


def plant(bench: Bench, script: str) -> None:
    """Runs a script as the hostile task."""
    head = f"{PLANT}trap={bench.folder}/traps/trap server={bench.server} claim={bench.claim}\n"
    planted = bench.attempt("task-1", "sh", "-c", head + script)
    assert planted.returncode == 0, planted.stderr


def naive(bench: Bench, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs git as a careless step would: on the task's git folder and tree, with the whole claim in sight."""
    return subprocess.run(
        [*UNPRIVILEGED, "git", *arguments],
        cwd=bench.tree("task-1"),
        env={
            "PATH": os.environ["PATH"],
            **IDENTITY,
            "HOME": str(bench.folder),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(bench.base() / "objects"),
        },
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def digest(folder: Path) -> dict[str, str]:
    """All files and links below a folder and their content."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def run_all_steps(bench: Bench, upstream: Path) -> None:
    """Whatever the stack does beside and after a hostile task: other tasks begin and end, new commits come, and it is cleaned up, twice."""
    wanted = add_commits(upstream, "main", b"new")
    bench.init(3).assert_succeeded()
    assert bench.head("task-3") == wanted
    bench.cleanup(3).assert_succeeded()
    for _ in range(2):
        bench.cleanup(1).assert_succeeded()
    # The run's init could be begun again, if its pod was lost: afresh, then.
    bench.init(1).assert_succeeded()
    assert bench.status("task-1") == ""
    bench.cleanup(1).assert_succeeded()


def assert_unharmed(bench: Bench, before: dict[str, str]) -> None:
    """Only the victim is left, and it is as it was."""
    assert not (bench.folder / "ran").exists()
    assert bench.leftovers() == ["base/.private/task-2", "base/.tasks/task-2", "refs/coderun/task-2", "trees/task-2"]
    assert digest(bench.tree("task-2")) == before
    assert bench.status("task-2") == ""
    assert bench.agent("task-2", "git", "fsck", "--no-dangling") == ""
    bench.agent("task-2", "git", "commit", "--quiet", "--allow-empty", "--message", "goes on")
    assert not (bench.folder / "ran").exists()
    bench.assert_sound()
    bench.cleanup(2).assert_succeeded()
    assert bench.leftovers() == []


@pytest.mark.parametrize("name", TRAPS)
def test_nothing_that_is_planted_runs(hostile: Bench, upstream: Path, name: str) -> None:
    before = digest(hostile.tree("task-2"))
    trap = TRAPS[name]
    plant(hostile, trap.plant)
    (hostile.folder / "ran").unlink(missing_ok=True)
    given = () if trap.discovers else (f"--git-dir={hostile.admin('task-1')}", "--work-tree=.")
    said = naive(hostile, *given, *trap.naive)
    assert (hostile.folder / "ran").exists(), f"the trap doesn't work: {said.stdout} {said.stderr}"
    (hostile.folder / "ran").unlink()
    run_all_steps(hostile, upstream)
    assert_unharmed(hostile, before)


def test_objects_of_another_repository_are_out_of_reach(hostile: Bench, upstream: Path, tmp_path: Path) -> None:
    before = digest(hostile.tree("task-2"))
    secret = shutil.copytree(tmp_path / "server" / OWNER / "private.git", hostile.base("private"))
    blob = git(secret, "rev-parse", "main:README.md")
    commit = git(secret, "rev-parse", "main")
    plant(
        hostile,
        f'printf "%s\\n" "$claim/base/{OWNER}/private.git/objects" "$claim/../claim/base/{OWNER}/private.git/objects" '
        f'/proc/1/root"$claim/base/{OWNER}/private.git/objects" >>"$folder/objects/info/alternates"\n'
        f'printf "%s refs/heads/stolen\\n" {commit} >>"$folder/packed-refs"\n'
        f'mkdir -p "$folder/refs/heads"; echo {commit} >"$folder/refs/heads/loose"',
    )
    # A step that took the task's folder for a repository would read the other one's.
    assert naive(hostile, f"--git-dir={hostile.private('task-1')}", "cat-file", "-p", blob).stdout.startswith("# private")
    assert hostile.attempt("task-1", "git", "cat-file", "-p", blob).returncode != 0
    assert hostile.attempt("task-1", "git", "log", "stolen").returncode != 0
    # Neither does a run that asks for the commit get it, as the server has it in another repository only.
    hostile.init(3, REF=commit).assert_refused("no longer on the server, or never was")
    hostile.cleanup(3).assert_succeeded()
    assert blob not in everything(hostile.base())
    run_all_steps(hostile, upstream)
    assert_unharmed(hostile, before)


@pytest.mark.parametrize(
    "script",
    [
        "git replace HEAD:README.md $(echo evil | git hash-object -w --stdin)",
        'echo "$(git rev-parse HEAD)" >"$folder/info/grafts"',
        'git rev-parse HEAD >"$folder/shallow"',
        'printf "%040d refs/heads/main\\nnonsense\\n" 1 >"$folder/packed-refs"',
        'echo "$(git rev-parse HEAD~3) refs/heads/main" >"$folder/packed-refs"',
        'echo nonsense >"$admin/HEAD"',
        'find "$folder/objects" -type f -exec truncate -s 0 {} +; : >"$admin/index"',
        'cd "$folder/objects"; mkdir -p pack; echo junk >info/commit-graph; echo junk >pack/pack-1.idx; echo junk >pack/pack-1.pack',
    ],
)
def test_what_it_does_to_its_history_is_seen_by_nobody_else(hostile: Bench, upstream: Path, script: str) -> None:
    before = digest(hostile.tree("task-2"))
    seen = ("git", "log", "--format=%H", "--patch", "--all")
    history = hostile.agent("task-2", *seen)
    plant(hostile, f'mkdir -p "$folder/info"\n{script}')
    itself = hostile.attempt("task-1", *seen)
    assert itself.stdout + itself.stderr != history, "nothing was changed"
    assert hostile.agent("task-2", *seen) == history
    run_all_steps(hostile, upstream)
    assert_unharmed(hostile, before)


@pytest.mark.parametrize(
    ("script", "careless"),
    [
        # Its own admin folder says that its tree is the victim's.
        ('echo "$claim/trees/task-2/.git" >"$admin/gitdir"', ("worktree", "remove", "--force", "--force", "{victim}")),
        # An admin folder of the victim's name beside its own.
        (
            'cp -R "$admin" "$folder/worktrees/task-2"; echo "$claim/trees/task-2/.git" >"$folder/worktrees/task-2/gitdir"',
            ("worktree", "remove", "--force", "--force", "{victim}"),
        ),
    ],
)
def test_an_admin_folder_that_names_another_tree_costs_it_nothing(hostile: Bench, upstream: Path, script: str, careless: tuple[str, ...]) -> None:
    before = digest(hostile.tree("task-2"))
    victim = hostile.tree("task-2")
    plant(hostile, script)
    # The trap works on git itself, with the victim's tree saved first.
    saved = shutil.copytree(victim, hostile.folder / "saved", symlinks=True)
    (victim / ".git").write_text(f"gitdir: {hostile.private('task-1')}/worktrees/{'task-2' if 'cp -R' in script else 'task-1'}\n")
    naive(hostile, f"--git-dir={hostile.private('task-1')}", *(word.format(victim=victim) for word in careless))
    assert not victim.exists(), "the trap doesn't work"
    shutil.move(saved, victim)
    run_all_steps(hostile, upstream)
    assert_unharmed(hostile, before)


@pytest.mark.parametrize(
    "script",
    [
        # Links out of the tree, and in place of the parts of its git folder.
        'ln -s "$claim/trees/task-2" link; ln -s "$claim/base" base; ln -s / root; ln -s "$claim/trees/task-2/README.md" README.link',
        'rm -rf "$folder/objects"; ln -s "$claim/objects" "$folder/objects"',
        'cd "$folder"; rm -rf refs worktrees; ln -s "$claim/trees" worktrees; ln -s "$claim/base/.private/task-2/refs" refs',
        'rm -rf "$folder"/*; ln -s "$claim/base/.private/task-2/config" "$folder/config"; ln -s "$claim/trees/task-2" "$folder/objects"',
        # Folders that can't be read, entered or written.
        'for at in . "$folder"; do (cd "$at"; mkdir -p a/b/c; touch a/b/c/f; chmod 0 a/b/c a/b a; chmod 500 .); done',
        'find "$folder/objects" "$folder/worktrees" "$folder/refs" -depth -exec chmod a-rwx {} \\;; chmod 0 "$folder"',
        # Pipes where a step might read, and names that a step might take for more than one.
        'for name in .git "$folder/HEAD" "$folder/config" "$folder/packed-refs" "$admin/gitdir" "$admin/locked"; do rm "$name"; mkfifo "$name"; done',
        'mkdir -- "-rf" "a b" "x\ny" "*" "\\$(touch ran)"; touch -- "-rf/-x" "x\ny/z" "*/y"; mkdir "$folder/worktrees/x\ny" "$folder/worktrees/-rf"',
    ],
)
def test_its_files_go_and_nothing_else(hostile: Bench, upstream: Path, script: str) -> None:
    before = digest(hostile.tree("task-2"))
    plant(hostile, script)
    run_all_steps(hostile, upstream)
    assert_unharmed(hostile, before)


def test_folders_nested_deeper_than_a_path_can_be_go_too(hostile: Bench, upstream: Path) -> None:
    before = digest(hostile.tree("task-2"))
    dig = "for i in $(seq 300); do mkdir deep-deep-deep-deep-deep; cd -P deep-deep-deep-deep-deep; done; touch bottom; chmod 0 ."
    plant(hostile, f'({dig})\ncd "$folder"\n{dig}')
    # BusyBox's rm, which the steps' image has, gives up on them; coreutils' doesn't.
    hostile.stand_in(
        "rm",
        "for last; do :; done\n"
        'if [ -d "$last" ] && find "$last" -printf "%p\\n" 2>/dev/null | awk \'length > 4096 { found = 1 } END { exit !found }\'; then\n'
        '    echo "rm: can\'t stat \'$last\': File name too long" >&2; exit 1\nfi\nreal "$@"',
    )
    run_all_steps(hostile, upstream)
    assert_unharmed(hostile, before)


def test_files_of_another_user_are_named_and_go_once_they_can(hostile: Bench) -> None:
    before = digest(hostile.tree("task-2"))
    # Only where its controller lets an agent be somebody else.
    tree = hostile.tree("task-1")
    (tree / "theirs" / "inside").mkdir(parents=True)
    (tree / "theirs" / "inside" / "file").write_text("x")
    for path in (tree / "theirs", tree / "theirs" / "inside", tree / "theirs" / "inside" / "file"):
        os.chown(path, 4242, 4242)
    hostile.cleanup(1).assert_refused("removal of the tree", "podSecurity.uid")
    # The record stays, so that whoever cleans up next finds it.
    assert "base/.tasks/task-1" in hostile.leftovers()
    assert_nothing_ran(hostile)
    (aside,) = hostile.trees.glob(".removed.task-1.*")
    for path in (aside / "theirs", aside / "theirs" / "inside"):
        os.chown(path, 0, 0)
    hostile.cleanup(1).assert_succeeded()
    assert_unharmed(hostile, before)


def assert_nothing_ran(bench: Bench) -> None:
    """No trap has left its mark."""
    assert not (bench.folder / "ran").exists()


def test_it_can_write_nothing_but_its_own(hostile: Bench) -> None:
    before = digest(hostile.base_root)
    tries = [
        f'touch "{hostile.claim}/objects/{OWNER}/{REPO}/x"',
        f'ln "{hostile.claim}/objects/{OWNER}/{REPO}/pack/"*.pack stolen',
        f'mv "{hostile.base()}" "{hostile.base()}.x"',
        f'rmdir "{hostile.base()}"',
        f'umount "{hostile.base()}"',
        f'mount --bind . "{hostile.claim}/objects/{OWNER}/{REPO}"',
        f"unshare -Urm sh -c 'umount \"{hostile.claim}/objects/{OWNER}/{REPO}\"'",
        f'ls "{hostile.base_root}/.private" "{hostile.base_root}/.tasks" "{hostile.tree("task-2")}"',
    ]
    for script in tries:
        assert hostile.attempt("task-1", "sh", "-c", script).returncode != 0, script
    assert digest(hostile.base_root) == before

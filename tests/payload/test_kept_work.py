"""Work of runs that did not succeed: kept before the removal, by the exit handler and by the sweep, and got back as about.txt says."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.git_server.repositories import git
from tests.payload.steps import BOTH_GIT_FOLDERS, OWNER, REPO, SHARED_GIT_FOLDER, Bench, Outcome, uid, wait_until

FAILED = {"WORKFLOW_STATUS": "Failed"}


def agent(tree: Path, *arguments: str) -> str:
    """Runs git as an agent does in its tree, or in any other."""
    identity = ("-c", "user.name=agent", "-c", "user.email=agent@example.org")
    # In its pod the git folder is at the path of the base.
    private = tree.parent.parent / "base" / ".private" / tree.name
    folders = {"GIT_DIR": str(private / "worktrees" / tree.name), "GIT_WORK_TREE": str(tree)} if private.is_dir() else {}
    done = subprocess.run(["git", "-C", str(tree), *identity, *arguments], env=os.environ | folders, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(tree: Path, name: str, text: str = "text\n") -> str:
    """Commits a file as an agent does; the commit's id."""
    (tree / name).write_text(text)
    agent(tree, "add", name)
    agent(tree, "commit", "--quiet", "-m", f"Add {name}")
    return agent(tree, "rev-parse", "HEAD")


def start(bench: Bench, number: int = 1) -> Path:
    """A run whose checkout has ended; its tree."""
    bench.init(number).assert_succeeded()
    # Where an agent sees the base's objects.
    objects = bench.claim / "objects" / OWNER / REPO
    if not objects.is_symlink():
        objects.parent.mkdir(parents=True)
        objects.symlink_to(bench.base() / "objects")
    if bench.git_folder == "private":
        # As the first branch of the task's own makes it.
        (bench.private(f"task-{number}") / "refs" / "heads").mkdir()
    return bench.tree(f"task-{number}")


def clean_up(bench: Bench, **variables: str) -> Outcome:
    """The exit handler of a failed run, which leaves nothing else."""
    outcome = bench.cleanup(1, **{**FAILED, **variables})
    outcome.assert_succeeded()
    assert bench.leftovers() == []
    return outcome


def kept(bench: Bench, number: int = 1) -> Path:
    """The folder of what was kept of a run."""
    return bench.kept / f"task-{number}.{uid(number)}"


def names(bench: Bench) -> list[str]:
    """What is in it."""
    return sorted(path.name for path in kept(bench).iterdir())


def fetched(bench: Bench, tmp_path: Path) -> Path:
    """A clone of the repository with the kept work put back by the very commands of about.txt."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", f"{bench.server}/{OWNER}/{REPO}.git", str(clone)], check=True)
    shutil.copytree(kept(bench), clone / kept(bench).name)
    for line in (kept(bench) / "about.txt").read_text().splitlines():
        if line.startswith("  git "):
            subprocess.run(["sh", "-euc", line], cwd=clone, check=True, capture_output=True)
    shutil.rmtree(clone / kept(bench).name)
    return clone


@BOTH_GIT_FOLDERS
def test_commits_and_changes_come_back(bench: Bench, tmp_path: Path) -> None:
    tree = start(bench)
    began = agent(tree, "rev-parse", "HEAD")
    commit(tree, "one.txt")
    agent(tree, "switch", "--quiet", "--create", "fix")
    head = commit(tree, "two.txt")
    (tree / "README.md").write_text("changed\n")
    (tree / "one.txt").unlink()
    (tree / "new.bin").write_bytes(bytes(range(256)) * 10)
    (tree / "folder").mkdir()
    (tree / "folder" / 'née "quoted" \\ name.txt').write_text("untracked\n")
    (tree / "run.sh").write_text("#!/bin/sh\n")
    (tree / "run.sh").chmod(0o755)
    (tree / "link").symlink_to("/etc/passwd")
    (tree / "staged.txt").write_text("staged\n")
    agent(tree, "add", "staged.txt")
    (tree / ".gitignore").write_text("ignored.txt\n")
    (tree / "ignored.txt").write_text("not wanted\n")
    status = agent(tree, "status", "--porcelain", "--untracked-files=all")
    outcome = clean_up(bench)
    assert f"kept work: task task-1 in .kept/task-1.{uid(1)} (2 commits, changes)\n" in outcome.output
    assert names(bench) == ["about.txt", "work.bundle", "work.patch"]
    about = (kept(bench) / "about.txt").read_text()
    for line in ("task        task-1", "repository  exampleorg/sample", f"workflow    run-1 (UID {uid(1)})", f"began at    {began}"):
        assert f"{line}\n" in about
    assert f"HEAD        {head} (refs/heads/fix)\n" in about
    clone = fetched(bench, tmp_path)
    assert agent(clone, "rev-parse", "HEAD") == head
    assert agent(clone, "branch", "--show-current") == "kept-task-1"
    agent(clone, "add", "--intent-to-add", "staged.txt")
    assert (clone / "new.bin").read_bytes() == bytes(range(256)) * 10
    assert (clone / "link").readlink() == Path("/etc/passwd")
    assert os.access(clone / "run.sh", os.X_OK)
    assert sorted(line[2:].strip() for line in agent(clone, "status", "--porcelain", "--untracked-files=all").splitlines()) == sorted(
        line[2:].strip() for line in status.splitlines()
    )


@BOTH_GIT_FOLDERS
def test_where_there_is_nothing_nothing_is_kept(bench: Bench) -> None:
    start(bench)
    outcome = clean_up(bench)
    assert "kept work" not in outcome.output
    assert list(bench.kept.iterdir()) == []


@BOTH_GIT_FOLDERS
def test_of_a_run_that_succeeded_nothing_is_kept(bench: Bench) -> None:
    commit(start(bench), "one.txt")
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []
    assert list(bench.kept.iterdir()) == []


def test_switched_off_nothing_is_kept(bench: Bench) -> None:
    commit(start(bench), "one.txt")
    clean_up(bench, KEPT_MAX_BYTES="0")
    assert list(bench.kept.iterdir()) == []


@BOTH_GIT_FOLDERS
def test_the_sweep_keeps_work_too(bench: Bench, tmp_path: Path) -> None:
    tree = start(bench)
    head = commit(tree, "one.txt")
    (tree / "new.txt").write_text("new\n")
    bench.cluster.workflow("run-1", 1, phase="Failed", shutdown="Terminate")
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == []
    assert "as the sweep found: workflow run-1 ended as Failed\n" in (kept(bench) / "about.txt").read_text()
    clone = fetched(bench, tmp_path)
    assert agent(clone, "rev-parse", "HEAD") == head
    assert (clone / "new.txt").read_text() == "new\n"


@pytest.mark.parametrize("head", ["detached", "on a branch"])
def test_commits_on_other_branches_are_kept_with_a_git_folder_of_ones_own(bench: Bench, tmp_path: Path, head: str) -> None:
    tree = start(bench)
    began = agent(tree, "rev-parse", "HEAD")
    agent(tree, "switch", "--quiet", "--create", "other/branch")
    other = commit(tree, "one.txt")
    agent(tree, "pack-refs", "--all")
    agent(tree, "switch", "--quiet", *(("--detach", began) if head == "detached" else ("main",)))
    clean_up(bench)
    clone = fetched(bench, tmp_path)
    assert agent(clone, "rev-parse", "refs/kept/task-1/other/branch") == other
    assert agent(clone, "rev-parse", "HEAD") == began


@SHARED_GIT_FOLDER
def test_branches_of_the_shared_git_folder_stay_there(bench: Bench) -> None:
    tree = start(bench)
    agent(tree, "switch", "--quiet", "--create", "fix")
    one = commit(tree, "one.txt")
    agent(tree, "switch", "--quiet", "--detach", "main")
    clean_up(bench)
    assert list(bench.kept.iterdir()) == []
    assert git(bench.base(), "rev-parse", "refs/heads/fix") == one


def test_what_was_pushed_and_fetched_by_others_is_not_kept(bench: Bench, upstream: Path) -> None:
    tree = start(bench)
    head = commit(tree, "one.txt")
    agent(tree, "push", "--quiet", str(upstream), "HEAD:refs/heads/pushed")
    bench.init(2, REF="refs/heads/pushed").assert_succeeded()
    assert bench.head("task-2") == head
    bench.cleanup(1, **FAILED).assert_succeeded()
    assert list(bench.kept.iterdir()) == []


def test_a_checkout_that_was_cut_short_is_nobodys_change(bench: Bench) -> None:
    tree = start(bench)
    (bench.base_root / ".private" / "task-1" / "worktrees" / "task-1" / "index").unlink()
    (tree / "README.md").unlink()
    clean_up(bench)
    assert list(bench.kept.iterdir()) == []


def plant(bench: Bench, trick: str) -> Path:
    """Makes a task's tree and git folder hostile, as far as an agent can; the file that must not come to be."""
    tree, private, ran = bench.tree("task-1"), bench.base_root / ".private" / "task-1", bench.folder / "ran"
    run = f"touch {ran}"
    evil = f"[core]\n\trepositoryformatversion = 0\n\tfsmonitor = {run}\n\tsshCommand = {run}\n\tpager = {run}\n"
    evil += f'\thooksPath = {private / "hooks"}\n[diff]\n\texternal = {run}\n[diff "x"]\n\ttextconv = {run}\n[include]\n\tpath = {private}/more\n'
    evil += f'[filter "x"]\n\tclean = {run}\n\tprocess = {run}\n\tsmudge = {run}\n\trequired = true\n[uploadpack]\n\tpackObjectsHook = {run}\n'
    match trick:
        case "configuration":
            (private / "config").write_text(evil)
            (private / "more").write_text(evil)
            (private / "config.worktree").write_text(evil)
            (tree / ".gitattributes").write_text("* diff=x filter=x\n*.txt working-tree-encoding=UTF-16 ident text=auto\n")
        case "a git folder in the tree":
            (tree / ".git").unlink()
            subprocess.run(["git", "init", "--quiet", str(tree)], check=True)
            (tree / ".git" / "config").write_text(evil)
        case ".git points elsewhere":
            (tree / ".evil" / "objects").mkdir(parents=True)
            (tree / ".evil" / "refs").mkdir()
            (tree / ".evil" / "HEAD").write_text("ref: refs/heads/main\n")
            (tree / ".evil" / "config").write_text(evil)
            (tree / ".git").write_text(f"gitdir: {tree}/.evil\n")
        case "hooks":
            (private / "hooks").mkdir()
            for name in ("post-index-change", "reference-transaction", "pre-commit", "post-checkout", "fsmonitor-watchman", "pre-auto-gc"):
                (private / "hooks" / name).write_text(f"#!/bin/sh\n{run}\n")
                (private / "hooks" / name).chmod(0o755)
    return ran


@pytest.mark.parametrize("trick", ["configuration", "a git folder in the tree", ".git points elsewhere", "hooks"])
def test_nothing_of_a_hostile_task_is_run(bench: Bench, trick: str) -> None:
    tree = start(bench)
    commit(tree, "one.txt")
    (tree / "new.txt").write_text("new\n")
    (tree / "README.md").write_text("changed\n")
    ran = plant(bench, trick)
    clean_up(bench)
    assert not ran.exists()
    assert "work.bundle" in names(bench)
    assert "+new" in (kept(bench) / "work.patch").read_text()


def secret_objects(bench: Bench) -> tuple[Path, str]:
    """Another repository on the same claim: its objects, and a commit of it."""
    other = bench.base("other")
    shutil.copytree(bench.base(), other)
    shutil.rmtree(other / "refs" / "coderun")
    tree = git(other, "rev-parse", "refs/heads/main^{tree}")
    secret = git(other, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit-tree", "-m", "a secret of others", tree)
    return other / "objects", secret


@pytest.mark.parametrize("way", ["alternates", "http-alternates", "a linked object folder", "linked packs", "objects are a link"])
def test_objects_of_others_do_not_get_into_a_bundle(bench: Bench, way: str) -> None:
    tree = start(bench)
    objects, secret = secret_objects(bench)
    private = bench.base_root / ".private" / "task-1"
    if way == "alternates":
        (private / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    elif way == "http-alternates":
        (private / "objects" / "info" / "http-alternates").write_text(f"{objects}\n")
    elif way == "a linked object folder":
        shutil.rmtree(private / "objects" / secret[:2], ignore_errors=True)
        (private / "objects" / secret[:2]).symlink_to(objects / secret[:2])
    elif way == "linked packs":
        git(objects.parent, "repack", "-adq")
        git(objects.parent, "prune-packed")
        (private / "objects" / "pack").mkdir(exist_ok=True)
        for path in (objects / "pack").iterdir():
            (private / "objects" / "pack" / path.name).symlink_to(path)
    else:
        shutil.rmtree(private / "objects")
        (private / "objects").symlink_to(objects)
    (private / "worktrees" / "task-1" / "HEAD").write_text(f"{secret}\n")
    (private / "refs" / "heads" / "mine").write_text(f"{secret}\n")
    (tree / "new.txt").write_text("new\n")
    clean_up(bench)
    assert "work.bundle" not in names(bench)
    assert "+new" in (kept(bench) / "work.patch").read_text()
    assert objects.exists()


def pipes(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    for path in (private / "refs" / "heads" / "p", private / "objects" / "pack" / "pack-x.idx", private / "objects" / "info" / "packs"):
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)


def head_is(text: str) -> Callable[[Path, Path], None]:
    """HEAD says something else."""

    def write(tree: Path, private: Path) -> None:
        found = agent(tree, "rev-parse", "HEAD:README.md")
        (private / "worktrees" / "task-1" / "HEAD").write_text(text.format(blob=found))

    return write


def head_is_a_link(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    (private / "worktrees" / "task-1" / "HEAD").unlink()
    (private / "worktrees" / "task-1" / "HEAD").symlink_to("/dev/zero")


def head_is_huge(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    os.truncate(private / "worktrees" / "task-1" / "HEAD", 10**10)


def refs_are_links(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    (private / "refs" / "heads" / "l").symlink_to("/dev/zero")
    (private / "refs" / "more").symlink_to("/")


def refs_have_evil_names(tree: Path, private: Path) -> None:
    for name in ("a\nb", "-rf", "a b", "x..y", "x.lock", "@{1}", "~", "$(touch ran)"):
        (private / "refs" / "heads" / name).write_text(agent(tree, "rev-parse", "HEAD") + "\n")


def packed_refs_are_damaged(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    (private / "packed-refs").write_text("x\n" * 1000 + f"{'0' * 40} refs/heads/zero\n\0\0\n")


def packed_refs_are_huge(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    os.truncate(private / "packed-refs", 10**9)


def objects_are_missing(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    shutil.rmtree(private / "objects")


def a_pack_is_damaged(tree: Path, private: Path) -> None:
    agent(tree, "repack", "-dq")
    (pack,) = (private / "objects" / "pack").glob("*.pack")
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:20] + b"\0" * 100)


def the_git_folder_is_empty(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    shutil.rmtree(private)
    private.mkdir()


def the_git_folder_is_a_file(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    shutil.rmtree(private)
    private.write_text("x")


def folders_are_shut(tree: Path, private: Path) -> None:
    (tree / "shut" / "inside").mkdir(parents=True)
    (tree / "shut" / "inside").chmod(0)
    (tree / "shut").chmod(0)
    (private / "refs").chmod(0)


def the_tree_has_pipes(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    (tree / "README.md").unlink()
    os.mkfifo(tree / "README.md")
    os.mkfifo(tree / "pipe")


def the_tree_is_a_link(tree: Path, private: Path) -> None:
    away = private.parents[2] / "away"
    tree.rename(away)
    tree.symlink_to(away)


def the_tree_is_gone(tree: Path, private: Path) -> None:  # noqa: ARG001 - as the others
    shutil.rmtree(tree)


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (pipes, {"work.bundle", "work.patch"}),
        (head_is_a_link, {"work.patch"}),
        (head_is_huge, {"work.bundle", "work.patch"}),
        (head_is("ref: refs/heads/../../../../etc/passwd\n"), {"work.patch"}),
        (head_is("{blob}\n"), {"work.patch"}),
        (refs_are_links, {"work.bundle", "work.patch"}),
        (refs_have_evil_names, {"work.bundle", "work.patch"}),
        (packed_refs_are_damaged, {"work.bundle", "work.patch"}),
        (packed_refs_are_huge, {"work.bundle", "work.patch"}),
        (objects_are_missing, {"work.patch"}),
        (a_pack_is_damaged, {"work.patch"}),
        (the_git_folder_is_empty, set()),
        (the_git_folder_is_a_file, set()),
        (folders_are_shut, {"work.bundle", "work.patch"}),
        (the_tree_has_pipes, {"work.bundle", "work.patch"}),
        (the_tree_is_a_link, {"work.bundle"}),
        (the_tree_is_gone, {"work.bundle"}),
    ],
)
def test_a_damaged_or_hostile_git_folder_stops_nothing(bench: Bench, damage: Callable[[Path, Path], None], wanted: set[str]) -> None:
    tree = start(bench)
    commit(tree, "one.txt")
    (tree / "new.txt").write_text("new\n")
    damage(tree, bench.base_root / ".private" / "task-1")
    began = time.monotonic()
    clean_up(bench, KEPT_TIMEOUT_SECONDS="20")
    assert time.monotonic() - began < 60
    assert (set(names(bench)) - {"about.txt"} if kept(bench).exists() else set()) == wanted
    assert list(bench.folder.rglob("ran")) == []


def test_repositories_inside_the_tree_are_not_entered(bench: Bench) -> None:
    tree = start(bench)
    subprocess.run(["git", "init", "--quiet", str(tree / "nested")], check=True)
    (tree / "nested" / "secret.txt").write_text("of the nested one\n")
    commit(tree / "nested", "file.txt")
    (tree / "new.txt").write_text("new\n")
    clean_up(bench)
    patch = (kept(bench) / "work.patch").read_text()
    assert "+new" in patch
    assert "nested" not in patch
    assert "left out    a repository inside the tree: nested/\n" in (kept(bench) / "about.txt").read_text()


def test_a_big_file_is_left_out_and_the_rest_kept(bench: Bench) -> None:
    tree = start(bench)
    (tree / "new.txt").write_text("new\n")
    (tree / "big.bin").write_bytes(os.urandom(300_000))
    clean_up(bench, KEPT_MAX_BYTES="1000000")
    assert "+new" in (kept(bench) / "work.patch").read_text()
    assert "left out    a big file: big.bin\n" in (kept(bench) / "about.txt").read_text()


def test_untracked_files_that_are_too_much_are_left_out_and_changes_kept(bench: Bench) -> None:
    tree = start(bench)
    (tree / "README.md").write_text("changed\n")
    for number in range(20):
        (tree / f"{number}.bin").write_bytes(os.urandom(100_000))
    outcome = clean_up(bench, KEPT_MAX_BYTES="1000000")
    patch = (kept(bench) / "work.patch").read_text()
    assert "+changed" in patch
    assert "bin" not in patch
    assert "left out: untracked files: more than 1000000 bytes" in outcome.output


def test_commits_that_are_too_much_are_left_out_and_changes_kept(bench: Bench) -> None:
    tree = start(bench)
    agent(tree, "switch", "--quiet", "--create", "big")
    (tree / "big.bin").write_bytes(os.urandom(2_000_000))
    agent(tree, "add", ".")
    agent(tree, "commit", "--quiet", "-m", "big")
    agent(tree, "switch", "--quiet", "--detach", "main")
    small = commit(tree, "one.txt")
    (tree / "new.txt").write_text("new\n")
    clean_up(bench, KEPT_MAX_BYTES="1000000")
    about = (kept(bench) / "about.txt").read_text()
    assert names(bench) == ["about.txt", "work.bundle", "work.patch"]
    assert "left out    commits of other branches than HEAD's: more than 1000000 bytes" in about
    heads = subprocess.run(["git", "bundle", "list-heads", str(kept(bench) / "work.bundle")], capture_output=True, text=True, check=True).stdout
    assert heads == f"{small} HEAD\n"


def test_no_file_of_it_is_bigger_than_the_limit_and_no_part_stays_behind(bench: Bench) -> None:
    tree = start(bench)
    (tree / "big.bin").write_bytes(os.urandom(3_000_000))
    agent(tree, "add", ".")
    agent(tree, "commit", "--quiet", "-m", "big")
    (tree / "big.bin").write_bytes(os.urandom(3_000_000))
    clean_up(bench, KEPT_MAX_BYTES="100000")
    assert names(bench) == ["about.txt"]
    about = (kept(bench) / "about.txt").read_text()
    assert "left out    commits: more than 100000 bytes" in about
    assert "left out    changes: more than 100000 bytes" in about
    assert [path for path in bench.kept.iterdir() if path.name.startswith(".")] == []


def test_git_that_hangs_costs_its_time_and_no_more(bench: Bench) -> None:
    tree = start(bench)
    (tree / "new.txt").write_text("new\n")
    program = bench.cluster.folder / "bin" / "git"
    program.write_text('#!/bin/sh\ncase "$*" in *ls-files*) exec sleep 100 ;; esac\nPATH=${PATH#*:} exec git "$@"\n')
    program.chmod(0o755)
    began = time.monotonic()
    clean_up(bench, KEPT_TIMEOUT_SECONDS="5")
    assert time.monotonic() - began < 40
    assert "left out    changes: more than" in (kept(bench) / "about.txt").read_text()
    assert "not within 5 s" in (kept(bench) / "about.txt").read_text()


def test_git_that_wants_too_much_memory_is_ended_alone(bench: Bench) -> None:
    tree = start(bench)
    (tree / "README.md").write_text("changed\n")
    (tree / "new.txt").write_text("new\n")
    clean_up(bench, KEPT_MEMORY_KIB="1000")
    assert names(bench) == ["about.txt"]


@pytest.mark.parametrize("attempts", [1, 2])
def test_an_attempt_that_was_cut_short_is_repeated_once(bench: Bench, attempts: int) -> None:
    tree = start(bench)
    commit(tree, "one.txt")
    program = bench.cluster.folder / "bin" / "git"
    reached = bench.folder / "reached"
    program.write_text(f'#!/bin/sh\ncase "$*" in *"bundle create"*) touch {reached}; exec sleep 100 ;; esac\nPATH=${{PATH#*:}} exec git "$@"\n')
    program.chmod(0o755)
    for _ in range(attempts):
        step = bench.start("cleanup", 1, **FAILED)
        wait_until(reached.exists, "the bundle is being made")
        step.lose_pod()
        reached.unlink()
    program.unlink()
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == []
    assert kept(bench).exists() == (attempts == 1)
    assert [path for path in bench.kept.iterdir() if path.name.startswith(".")] == []


def test_a_claim_that_is_full_loses_the_work_and_says_so(bench: Bench) -> None:
    tree = start(bench)
    commit(tree, "one.txt")
    bench.kept.rmdir()
    bench.kept.write_text("in the way")
    outcome = clean_up(bench)
    assert "kept work: nothing of task task-1, as the claim can't be written" in outcome.output


def test_kept_work_goes_when_its_time_is_over(bench: Bench) -> None:
    for number, days in ((1, 8), (2, 6)):
        commit(start(bench, number), "one.txt")
        bench.cleanup(number, **FAILED).assert_succeeded()
        then = time.time() - days * 86400
        os.utime(kept(bench, number), (then, then))
    leftover = bench.kept / f".unfinished.task-3.{uid(3)}"
    leftover.mkdir()
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert [path.name for path in bench.kept.iterdir()] == [kept(bench, 2).name]
    assert f"sweep: removed kept work 'task-1.{uid(1)}': it is older than 7 days\n" in outcome.output


def test_work_of_two_runs_of_one_task_id_is_told_apart(bench: Bench) -> None:
    for number in (1, 2):
        bench.init(number, TASK_ID="task-1").assert_succeeded()
        (bench.tree("task-1") / "new.txt").write_text(f"of run {number}\n")
        bench.cleanup(number, **FAILED).assert_succeeded()
    found = {path.name: (path / "work.patch").read_text() for path in bench.kept.iterdir()}
    assert "+of run 1" in found[f"task-1.{uid(1)}"]
    assert "+of run 2" in found[f"task-1.{uid(2)}"]


def own_claim(bench: Bench) -> Path:
    """A failed run with a claim of its own, on which it has committed on two branches and left a change; the claim's folder."""
    bench.init(2).assert_succeeded()
    own = bench.folder / "own"
    for name in ("base/.tasks", "trees"):
        (own / name).mkdir(parents=True)
    roots = {"BASE_ROOT": str(own / "base"), "TREES_ROOT": str(own / "trees"), "GIT_FOLDER": "shared"}
    bench.run("init-worktree", 1, SEED_ROOT=str(bench.base_root), **roots).assert_succeeded()
    tree = own / "trees" / "task-1"
    agent(tree, "switch", "--quiet", "--create", "other")
    commit(tree, "other.txt")
    agent(tree, "switch", "--quiet", "--create", "fix", "main")
    commit(tree, "one.txt")
    (tree / "new.txt").write_text("new\n")
    bench.cluster.put("persistentvolumeclaims", "run-1-work", labels={"workflow": "run-1"}, owner=uid(1), status={"phase": "Bound"})
    return own


def keep_own_claim(bench: Bench, own: Path, **variables: str) -> Outcome:
    """The step that keeps the work of a claim of its own."""
    roots = {"OWN_ROOT": str(own), "TREES_ROOT": str(own / "trees")}
    return bench.run("keep-own-claim", 1, **{**FAILED, **roots, **variables})


def own_claim_output(bench: Bench) -> str:
    """What cleanup says of the own claim."""
    return Path(bench.environment("cleanup", 1)["OWN_CLAIM_FILE"]).read_text()


def test_work_of_an_own_claim_is_kept_before_the_claim_goes(bench: Bench, tmp_path: Path) -> None:
    own = own_claim(bench)
    bench.cleanup(1, **FAILED).assert_succeeded()
    assert own_claim_output(bench) == "keep"
    assert bench.cluster.names("persistentvolumeclaims") == {"run-1-work"}
    before = sorted(str(path) for path in own.rglob("*"))
    keep_own_claim(bench, own).assert_succeeded()
    assert sorted(str(path) for path in own.rglob("*")) == before, "it is mounted read-only"
    assert bench.cluster.names("persistentvolumeclaims") == set()
    assert names(bench) == ["about.txt", "work.bundle", "work.patch"]
    clone = fetched(bench, tmp_path)
    assert (clone / "one.txt").exists()
    assert (clone / "new.txt").read_text() == "new\n"
    assert agent(clone, "log", "-1", "--format=%s", "refs/kept/task-1/other") == "Add other.txt"


@pytest.mark.parametrize(
    ("variables", "phase"), [({"WORKFLOW_STATUS": "Succeeded"}, "Bound"), ({**FAILED, "KEPT_MAX_BYTES": "0"}, "Bound"), (FAILED, "Pending")]
)
def test_an_own_claim_without_anything_to_keep_goes_at_once(bench: Bench, variables: dict[str, str], phase: str) -> None:
    bench.cluster.put("persistentvolumeclaims", "run-1-work", labels={"workflow": "run-1"}, owner=uid(1), status={"phase": phase}, uid="claim-1")
    # Of a class that binds late, for a pod that never came.
    waits = {"kind": "PersistentVolumeClaim", "uid": "claim-1"}
    bench.cluster.put("events", "e", involvedObject=waits, lastTimestamp="2026-01-01T00:00:00Z", reason="WaitForFirstConsumer", message="waits")
    bench.cleanup(1, **variables).assert_succeeded()
    assert own_claim_output(bench) == "gone"
    assert bench.cluster.names("persistentvolumeclaims") == set()


@pytest.mark.parametrize("way", ["alternates", "link"])
def test_an_own_claim_with_objects_of_others_gives_no_bundle(bench: Bench, way: str) -> None:
    own = own_claim(bench)
    objects, secret = secret_objects(bench)
    base = own / "base" / OWNER / f"{REPO}.git"
    if way == "alternates":
        (base / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    else:
        shutil.rmtree(base / "objects" / secret[:2], ignore_errors=True)
        (base / "objects" / secret[:2]).symlink_to(objects / secret[:2])
    (base / "worktrees" / "task-1" / "HEAD").write_text(f"{secret}\n")
    keep_own_claim(bench, own).assert_succeeded()
    assert "work.bundle" not in names(bench)
    assert "left out    commits: the object folder of the task holds links" in (kept(bench) / "about.txt").read_text()


def test_an_own_claim_goes_even_if_its_work_cannot_be_kept(bench: Bench) -> None:
    own = own_claim(bench)
    shutil.rmtree(own)
    keep_own_claim(bench, own).assert_succeeded()
    assert bench.cluster.names("persistentvolumeclaims") == set()
    assert bench.cluster.deletions() == ["persistentvolumeclaims/run-1-work"]


def test_the_claim_of_a_namesake_stays(bench: Bench) -> None:
    own = own_claim(bench)
    bench.cluster.put("persistentvolumeclaims", "run-1-work", labels={"workflow": "run-1"}, owner=uid(7), status={"phase": "Bound"})
    keep_own_claim(bench, own).assert_succeeded()
    assert bench.cluster.names("persistentvolumeclaims") == {"run-1-work"}


def test_keeping_takes_seconds(bench: Bench) -> None:
    tree = start(bench)
    for number in range(50):
        commit(tree, f"commit-{number}.txt")
    for number in range(1000):
        (tree / f"new-{number}.txt").write_text(f"{number}\n" * 50)
    began = time.monotonic()
    clean_up(bench)
    assert time.monotonic() - began < 30
    assert names(bench) == ["about.txt", "work.bundle", "work.patch"]

"""cleanup: all of one's own, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.git_server.repositories import git
from tests.payload.steps import BOTH_GIT_FOLDERS, POD_LABEL, SHARED_GIT_FOLDER, Bench, held_lock, uid


@BOTH_GIT_FOLDERS
def test_leaves_nothing_and_does_it_twice(bench: Bench) -> None:
    bench.init().assert_succeeded()
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []
    bench.cleanup().assert_succeeded()
    bench.assert_sound()


@BOTH_GIT_FOLDERS
def test_touches_only_its_own(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    bench.init(2).assert_succeeded()
    (bench.tree("task-2") / "work.txt").write_text("unsaved")
    bench.cluster.coderun("run-2", 2)
    bench.cluster.agent_pod("run-2")
    bench.cleanup(1).assert_succeeded()
    assert bench.leftovers() == [
        *(["base/.private/task-2"] if bench.git_folder == "private" else []),
        "base/.tasks/task-2",
        *(["base/exampleorg/sample.git/worktrees/task-2"] if bench.git_folder == "shared" else []),
        "refs/coderun/task-2",
        "trees/task-2",
    ]
    assert bench.status("task-2") == "?? work.txt\n"
    assert bench.cluster.names("coderuns") == {"run-2"}
    assert bench.cluster.names("pods") == {"run-2-agent"}


def test_without_anything_made_it_touches_nothing(bench: Bench) -> None:
    bench.init(2).assert_succeeded()
    before = bench.leftovers()
    bench.cleanup(1).assert_succeeded()
    assert bench.leftovers() == before
    assert bench.cluster.deletions() == []


def test_on_an_empty_claim(bench: Bench) -> None:
    bench.cleanup().assert_succeeded()


@BOTH_GIT_FOLDERS
@pytest.mark.parametrize("gone", ["tree", "admin folder", "ref", "base", "record's tree and base"])
def test_goes_on_where_another_stopped(bench: Bench, gone: str) -> None:
    bench.init().assert_succeeded()
    paths = {
        "tree": [bench.tree("task-1")],
        "admin folder": [bench.admin("task-1").parent],
        "base": [bench.base()],
        "record's tree and base": [bench.tree("task-1"), bench.base().parent],
    }
    for path in paths.get(gone, []):
        subprocess.run(["rm", "-rf", str(path)], check=True)
    if gone == "ref":
        git(bench.base(), "update-ref", "-d", "refs/coderun/task-1")
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []


def test_a_hostile_tree_runs_nothing_and_goes(bench: Bench) -> None:
    bench.init(REF="refs/heads/hostile").assert_succeeded()
    bench.init(2).assert_succeeded()
    tree, ran = bench.tree("task-1"), bench.folder / "ran"
    (tree / ".git").write_text(f"gitdir: {tree}/.evil\n")
    evil = tree / ".evil"
    (evil / "objects").mkdir(parents=True)
    (evil / "refs").mkdir()
    (evil / "HEAD").write_text("ref: refs/heads/main\n")
    (evil / "config").write_text(f"[core]\n\trepositoryformatversion = 0\n\tfsmonitor = touch {ran}\n\tworktree = {tree}\n")
    # It is a trap that works: git run in the tree falls into it.
    subprocess.run(["git", "-C", str(tree), "status"], check=False, capture_output=True)
    assert ran.exists()
    ran.unlink()
    precious = bench.folder / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    (tree / "link").symlink_to(precious)
    (tree / "other").symlink_to(bench.tree("task-2"))
    (tree / "shut" / "inside").mkdir(parents=True)
    (tree / "shut" / "inside" / "file").write_text("x")
    (tree / "shut" / "inside").chmod(0)
    (tree / "shut").chmod(0)
    bench.cleanup().assert_succeeded()
    assert not ran.exists()
    assert not tree.exists()
    assert (precious / "file").read_text() == "kept"
    assert bench.status("task-2") == ""


def test_folders_without_permissions_go_for_a_user_who_is_not_root(bench: Bench, tmp_path: Path) -> None:
    # rm of root needs no permissions, so a stand-in for rm fails once, as it does for others.
    bench.init().assert_succeeded()
    shut = bench.tree("task-1") / "shut" / "inside"
    shut.mkdir(parents=True)
    shut.chmod(0)
    shut.parent.chmod(0)
    modes = tmp_path / "modes"
    program = bench.cluster.folder / "bin" / "rm"
    program.write_text(
        "#!/bin/sh\n"
        "for last; do :; done\n"
        f'case $last in {bench.trees}/*) if [ ! -e {modes} ]; then touch {modes}; echo "rm: Permission denied" >&2; exit 1; fi\n'
        f'stat -c %a "$last/shut/inside" "$last/shut" >{modes};; esac\n'
        'PATH=${PATH#*:} exec rm "$@"\n',
    )
    program.chmod(0o755)
    bench.cleanup().assert_succeeded()
    assert modes.read_text().split() == ["700", "700"]
    assert bench.leftovers() == []


RM_THAT_NAMES_WHOLE_PATHS = """#!{python} -IS
import os
import sys

def remove(path):
    try:
        if not os.path.isdir(path) or os.path.islink(path):
            os.unlink(path)
            return True
        done = all([remove(path + "/" + name) for name in os.listdir(path)])
        if done:
            os.rmdir(path)
        return done
    except FileNotFoundError:
        return True
    except OSError as error:
        sys.stderr.write(f"rm: can't stat '{{path}}': {{error.strerror}}\\n")
        return False

sys.setrecursionlimit(100000)
sys.exit(not all([remove(path) for path in sys.argv[1:] if not path.startswith("-")]))
"""


@pytest.mark.parametrize(("length", "depth"), [(250, 60), (1, 5000)])
def test_a_tree_too_deep_for_a_path_goes_all_the_same(bench: Bench, length: int, depth: int) -> None:
    # BusyBox's rm, which the steps' image may have, names every file from the top.
    bench.init().assert_succeeded()
    program = bench.cluster.folder / "bin" / "rm"
    program.write_text(RM_THAT_NAMES_WHOLE_PATHS.format(python=sys.executable))
    program.chmod(0o755)
    inside = "import os,sys\nfor _ in range(int(sys.argv[2])):\n    os.mkdir(sys.argv[1])\n    os.chdir(sys.argv[1])\nopen('file', 'w').close()\n"
    for name in ("one", "two"):
        (bench.tree("task-1") / name).mkdir()
        subprocess.run([sys.executable, "-c", inside, "d" * length, str(depth)], cwd=bench.tree("task-1") / name, check=True)
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []


def test_the_tree_itself_made_a_link_is_only_unlinked(bench: Bench, tmp_path: Path) -> None:
    bench.init(1).assert_succeeded()
    bench.init(2).assert_succeeded()
    moved = bench.tree("task-1").rename(tmp_path / "moved")
    bench.tree("task-1").symlink_to(bench.tree("task-2"))
    bench.cleanup(1).assert_succeeded()
    assert not bench.tree("task-1").is_symlink()
    assert bench.status("task-2") == ""
    assert moved.exists()


@SHARED_GIT_FOLDER
@pytest.mark.parametrize("trick", ["unlocked", "renamed", "pipes", "worktrees is a link"])
def test_a_hostile_admin_folder(bench: Bench, trick: str) -> None:
    bench.init(1).assert_succeeded()
    admin = bench.base() / "worktrees" / "task-1"
    if trick == "unlocked":
        (admin / "locked").unlink()
    elif trick == "renamed":
        admin.rename(admin.with_name("x y\nz"))
    elif trick == "pipes":
        for name in ("gitdir", "locked"):
            (admin.parent / "other").mkdir(exist_ok=True)
            os.mkfifo(admin.parent / "other" / name)
    else:
        (bench.trees / "victim").mkdir()
        (bench.trees / "victim" / "locked").write_text(uid(1))
        admin.parent.rename(bench.folder / "away")
        admin.parent.symlink_to(bench.trees)
    bench.cleanup(1).assert_succeeded()
    left = bench.leftovers()
    if trick == "pipes":
        assert left == ["base/exampleorg/sample.git/worktrees/other"]
    elif trick == "worktrees is a link":
        assert "trees/victim" in left
    else:
        assert left == []


@pytest.mark.parametrize("rest", ["..\tsample", "a\t../../x", "a", "\t", "a\tb\tc", "a\tb\t", "a\tb c"])
def test_a_damaged_record_deletes_nothing(bench: Bench, rest: str) -> None:
    bench.init().assert_succeeded()
    before = bench.leftovers()
    (bench.base_root / ".tasks" / "task-1").write_text(f"{uid(1)}\t{rest}\n")
    bench.cleanup().assert_refused("the record", "damaged")
    assert bench.leftovers() == before


@pytest.mark.parametrize("name", ["..", "x..y", "-x", "x y"])
def test_a_record_of_an_impossible_name_deletes_nothing(bench: Bench, name: str) -> None:
    bench.init(2).assert_succeeded()
    record = bench.base_root / ".tasks" / name
    if name != "..":
        record.write_text(f"{uid(1)}\texampleorg\tsample\n")
        bench.cleanup(1).assert_refused("damaged")
    else:
        bench.cleanup(1).assert_succeeded()
    assert bench.status("task-2") == ""


def test_an_unfinished_clone_of_nobody_goes_too(bench: Bench) -> None:
    bench.init().assert_succeeded()
    staging = bench.base().with_name("sample.staging")
    (staging / "objects").mkdir(parents=True)
    with held_lock(bench.base().with_name("sample.fetch.lock")):
        bench.cleanup().assert_succeeded()
        assert staging.exists()
    bench.init().assert_succeeded()
    bench.cleanup().assert_succeeded()
    assert not staging.exists()


def test_a_lock_that_is_never_given_up_keeps_the_record_for_the_next(bench: Bench) -> None:
    bench.init().assert_succeeded()
    bench.cluster.put("persistentvolumeclaims", "run-1-work", labels={"workflow": "run-1"}, owner=uid(1))
    with held_lock(bench.base().with_name("sample.lock")):
        bench.cleanup(LOCK_TIMEOUT_SECONDS="0").assert_refused("lock of the base")
    assert "base/.tasks/task-1" in bench.leftovers()
    # What has nothing to do with that lock is done all the same.
    assert bench.cluster.names("persistentvolumeclaims") == set()
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []


def test_the_agent_is_ended_before_its_tree_goes(bench: Bench) -> None:
    bench.init().assert_succeeded()
    bench.cluster.coderun("run-1", 1)
    bench.cluster.agent_pod("run-1", fake={"goneAfter": 1000})
    step = bench.start("cleanup")
    assert step.process.stdout is not None
    assert "ending CodeRun run-1" in step.process.stdout.readline()
    assert "ending pod run-1-agent" in step.process.stdout.readline()
    assert bench.tree("task-1").exists()
    assert bench.cluster.names("coderuns") == set()
    bench.cluster.remove("pods", "run-1-agent")
    step.outcome().assert_succeeded()
    assert bench.leftovers() == []


def test_an_agent_that_does_not_end_keeps_its_tree(bench: Bench) -> None:
    bench.init().assert_succeeded()
    bench.cluster.agent_pod("run-1", fake={"goneAfter": 1000})
    bench.cluster.coderun("run-1", 1)
    bench.cleanup(CLEANUP_TIMEOUT_SECONDS="1").assert_refused("pod run-1-agent has not ended")
    assert bench.tree("task-1").exists()


def test_the_steps_of_the_run_are_ended_before_all_else(bench: Bench) -> None:
    bench.init().assert_succeeded()
    bench.cluster.coderun("run-1", 1)
    for step in ("create-coderun", "init-worktree", "cleanup"):
        bench.cluster.step_pod("run-1", 1, step=step)
    bench.cluster.step_pod("run-2", 2)
    # The name came again after a deletion: not this run's pod.
    bench.cluster.put(
        "pods",
        "run-1-older",
        labels={"workflows.argoproj.io/workflow": "run-1"},
        annotations={"workflows.argoproj.io/node-name": "run-1.resolve"},
        owner=uid(7),
        status={"phase": "Running"},
    )
    bench.cleanup().assert_succeeded()
    assert bench.cluster.names("pods") == {"run-1-cleanup", "run-2-create-coderun", "run-1-older"}
    assert bench.cluster.deletions() == ["pods/run-1-create-coderun", "pods/run-1-init-worktree", "coderuns/run-1"]


def test_a_coderun_of_another_workflow_of_the_same_name_stays(bench: Bench) -> None:
    bench.cluster.coderun("run-1", 7)
    bench.cluster.agent_pod("run-1")
    bench.cleanup(1).assert_succeeded()
    assert bench.cluster.names("coderuns") == {"run-1"}
    assert bench.cluster.names("pods") == {"run-1-agent"}


def test_removes_its_own_claim_only(bench: Bench) -> None:
    bench.cluster.put("persistentvolumeclaims", "run-1-work", labels={"workflow": "run-1"}, owner=uid(1), fake={"goneAfter": 3})
    bench.cluster.put("persistentvolumeclaims", "run-2-work", labels={"workflow": "run-2"}, owner=uid(7))
    bench.cluster.put("persistentvolumeclaims", "coderun-shared", labels={"workflow": "run-1"}, owner=uid(1))
    bench.cleanup(1).assert_succeeded()
    bench.cleanup(2).assert_succeeded()
    assert bench.cluster.names("persistentvolumeclaims") == {"run-2-work", "coderun-shared"}


def test_an_api_server_that_is_away_for_a_moment(bench: Bench) -> None:
    bench.init().assert_succeeded()
    bench.cluster.coderun("run-1", 1)
    bench.cluster.agent_pod("run-1")
    bench.cluster.fail_calls(3)
    bench.cleanup().assert_succeeded()
    assert bench.leftovers() == []
    assert bench.cluster.names("coderuns") | bench.cluster.names("pods") == set()


def test_an_api_server_that_is_away_is_not_taken_for_a_dead_agent(bench: Bench) -> None:
    bench.init().assert_succeeded()
    bench.cluster.fail_calls(100_000)
    bench.cleanup(CLEANUP_TIMEOUT_SECONDS="1").assert_refused("was refused", "API server")
    assert bench.tree("task-1").exists()


def test_pods_are_looked_up_by_the_configured_label(bench: Bench) -> None:
    bench.cluster.coderun("run-1", 1)
    bench.cleanup().assert_succeeded()
    assert f"{POD_LABEL}=run-1" in bench.cluster.log()

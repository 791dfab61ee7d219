"""The sweep: all of a run that is gone, nothing of one that lives, and each proved and not guessed."""

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.git_server.repositories import git
from tests.payload.steps import (
    BOTH_GIT_FOLDERS,
    CRON_JOB_UID,
    KEY,
    OWNER,
    POD_LABEL,
    REPO,
    SHARED_GIT_FOLDER,
    Bench,
    Outcome,
    held_lock,
    uid,
    wait_until,
)

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/argo/workflows?labelSelector=workflows.argoproj.io%2Fcompleted%21%3Dtrue"
CODERUN_PATH = "/apis/platform.example.io/v1alpha1/namespaces/argo/coderuns/%s"
LOOK_AT_RUN = "workflows.argoproj.io,pods,coderuns.platform.example.io"
NOTHING_KEPT = {"KEPT_MAX_BYTES": "0"}


def of_task(bench: Bench, number: int) -> list[str]:
    """All that a run has on the claim."""
    task = f"task-{number}"
    git_folder = f"base/.private/{task}" if bench.git_folder == "private" else f"base/exampleorg/sample.git/worktrees/{task}"
    return sorted([git_folder, f"base/.tasks/{task}", f"refs/coderun/{task}", f"trees/{task}"])


def live(bench: Bench, number: int) -> None:
    """A run with its workflow, its CodeRun and its agent."""
    bench.init(number).assert_succeeded()
    bench.cluster.workflow(f"run-{number}", number)
    bench.cluster.coderun(f"run-{number}", number, status={"phase": "Running"})
    bench.cluster.agent_pod(f"run-{number}", spec=mounts(f"task-{number}"))
    (bench.tree(f"task-{number}") / "work.txt").write_text("unsaved")


def mounts(task: str) -> dict[str, object]:
    """The spec of a pod that mounts a task's tree."""
    return {"containers": [{"volumeMounts": [{"mountPath": "/work"}, {"subPath": f"trees/{task}"}]}]}


def summary(outcome: Outcome) -> dict[str, int]:
    """The figures of the last line."""
    pattern = r"sweep: (?P<removed>\d+) removed, (?P<kept>\d+) kept, (?P<failed>\d+) failed, "
    pattern += r"claim (?P<used>\d+) of (?P<size>\d+) bytes, (?P<seconds>\d+) s"
    match = re.fullmatch(pattern, outcome.output.splitlines()[-1])
    assert match, outcome.output
    return {name: int(value) for name, value in match.groupdict().items()}


@pytest.mark.parametrize("how", ["deleted", "Failed", "Error", "Succeeded"])
@BOTH_GIT_FOLDERS
def test_nothing_of_a_gone_run_is_left_and_a_live_one_is_unharmed(bench: Bench, how: str) -> None:
    live(bench, 1)
    live(bench, 2)
    bench.cluster.put("persistentvolumeclaims", "run-1-work", labels={"coderun/workflow-uid": uid(1)}, owner=uid(1))
    bench.cluster.put("persistentvolumeclaims", "run-2-work", labels={"coderun/workflow-uid": uid(2)}, owner=uid(2))
    bench.cluster.put("persistentvolumeclaims", "coderun-shared")
    if how == "deleted":
        bench.cluster.remove("workflows", "run-1")
    else:
        bench.cluster.workflow("run-1", 1, phase=how)
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert bench.leftovers() == of_task(bench, 2)
    assert bench.status("task-2") == "?? work.txt\n"
    bench.assert_sound()
    assert bench.cluster.names("coderuns") == {"run-2"}
    assert bench.cluster.names("pods") == {"run-2-agent"}
    assert bench.cluster.names("persistentvolumeclaims") == {"run-2-work", "coderun-shared"}
    why = "no workflow of its UID is there" if how == "deleted" else f"workflow run-1 ended as {how}"
    assert f"sweep: removed task task-1 (exampleorg/sample): {why} ({uid(1)}), no CodeRun and no pod of it lives\n" in outcome.output
    assert summary(outcome) | {"used": 0, "seconds": 0} == {"removed": 3, "kept": 2, "failed": 0, "used": 0, "size": 20 * 2**30, "seconds": 0}
    again = bench.sweep()
    again.assert_succeeded()
    assert summary(again)["removed"] == 0


def test_a_run_whose_init_is_cut_short_leaves_nothing_either(bench: Bench) -> None:
    bench.init(2).assert_succeeded()
    bench.cluster.workflow("run-2", 2)
    (bench.base_root / ".tasks" / "task-1").write_text(f"{uid(1)}\t{OWNER}\t{REPO}\n")
    (bench.base_root / ".tasks" / f".claim-{uid(1)}").write_text("half")
    (bench.base_root / ".tasks" / f".claim-{uid(2)}").write_text("half")
    (bench.base().with_name("sample.staging") / "objects").mkdir(parents=True)
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert bench.leftovers() == sorted([f"base/.tasks/.claim-{uid(2)}", *of_task(bench, 2)])
    assert f"removed marker of run {uid(1)}: no workflow" in outcome.output
    assert "removed an unfinished clone of exampleorg/sample\n" in outcome.output


def test_a_clone_under_way_is_left_alone(bench: Bench) -> None:
    staging = bench.base().with_name("sample.staging")
    (staging / "objects").mkdir(parents=True)
    with held_lock(bench.base().with_name("sample.fetch.lock")):
        bench.sweep().assert_succeeded()
        assert staging.exists()
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert not staging.exists()
    assert "sweep: removed unfinished clone of exampleorg/sample: nobody holds its lock\n" in outcome.output


def test_a_run_that_is_alive_at_the_second_look_keeps_everything(bench: Bench) -> None:
    live(bench, 1)
    before = bench.leftovers()
    bench.cluster.remove("coderuns", "run-1")
    bench.cluster.remove("pods", "run-1-agent")
    # As after `argo retry`, or as an API server that answers from an old state: it is not in the first list.
    bench.cluster.workflow("run-1", 1, fake={"hiddenFor": 1})
    outcome = bench.sweep(**NOTHING_KEPT)
    outcome.assert_succeeded()
    assert bench.leftovers() == before
    assert "sweep: kept task task-1 (exampleorg/sample): Workflow run-1 is there (Running)\n" in outcome.output


@pytest.mark.parametrize("what", ["workflow", "CodeRun", "step pod", "agent's pod", "agent's pod without labels of ours"])
def test_whatever_of_a_run_shows_at_the_second_look_keeps_it(bench: Bench, what: str) -> None:
    bench.init(1).assert_succeeded()
    before = bench.leftovers()
    hidden: dict[str, Any] = {"fake": {"hiddenFor": 1}}
    match what:
        case "workflow":
            bench.cluster.workflow("run-1", 1, **hidden)
        case "CodeRun":
            bench.cluster.coderun("run-1", 1, **hidden)
        case "step pod":
            bench.cluster.step_pod("run-1", 1, **hidden)
        case "agent's pod":
            bench.cluster.put("pods", "x", labels={"coderun/workflow-uid": uid(1)}, status={"phase": "Running"}, **hidden)
        case _:
            bench.cluster.agent_pod("run-1", spec=mounts("task-1"), **hidden)
    outcome = bench.sweep(**NOTHING_KEPT)
    outcome.assert_succeeded()
    assert bench.leftovers() == before
    assert "sweep: kept task task-1" in outcome.output
    assert bench.cluster.deletions() == []


def test_the_second_look_is_taken_under_the_lock_of_the_base(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    lock = bench.base().with_name("sample.lock")
    with bench.cluster.held_call(LOOK_AT_RUN) as reached:
        step = bench.start("sweep", 0, **NOTHING_KEPT)
        reached()
        assert subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode == 1
        assert bench.tree("task-1").exists()
    step.outcome().assert_succeeded()
    assert bench.leftovers() == []


@pytest.mark.parametrize("moment", ["the pods are listed", "the CodeRuns are listed", "the workflows are listed", "a gone run is looked at"])
def test_a_run_that_begins_while_the_sweep_is_at_work_is_unharmed(bench: Bench, moment: str) -> None:
    bench.init(1).assert_succeeded()
    word = {
        "the pods are listed": "pods",
        "the CodeRuns are listed": "coderuns.platform.example.io",
        "the workflows are listed": WORKFLOWS,
        "a gone run is looked at": LOOK_AT_RUN,
    }[moment]
    with bench.cluster.held_call(word) as reached:
        step = bench.start("sweep", 0)
        reached()
        if word in ("pods", "coderuns.platform.example.io"):
            # Its own fence would be held up as well: only what it makes counts here.
            (bench.base_root / ".tasks" / "task-2").write_text(f"{uid(2)}\t{OWNER}\t{REPO}\n")
            (bench.trees / "task-2").mkdir()
            (bench.base_root / ".private" / "task-2").mkdir(parents=True)
            git(bench.base(), "update-ref", "refs/coderun/task-2", "refs/heads/main")
            bench.cluster.workflow("run-2", 2)
            bench.cluster.coderun("run-2", 2)
            bench.cluster.agent_pod("run-2", spec=mounts("task-2"))
            wanted = ["base/.private/task-2", "base/.tasks/task-2", "refs/coderun/task-2", "trees/task-2"]
        else:
            live(bench, 2)
            wanted = of_task(bench, 2)
    step.outcome().assert_succeeded()
    assert bench.leftovers() == wanted
    assert bench.cluster.names("coderuns") == {"run-2"}
    assert bench.cluster.names("pods") == {"run-2-agent"}


def test_the_next_run_of_a_task_id_is_not_hit_by_a_sweep_that_saw_the_one_before(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    (bench.tree("task-1") / "work.txt").write_text("of run 1")
    with bench.cluster.held_call(LOOK_AT_RUN) as reached:
        step = bench.start("sweep", 0)
        reached()
        # The exit handler was only late, and the id is free again.
        bench.cleanup(1).assert_succeeded()
        bench.init(2, TASK_ID="task-1").assert_succeeded()
        bench.cluster.workflow("run-2", 2)
    step.outcome().assert_succeeded()
    assert bench.status("task-1") == ""
    assert (bench.base_root / ".tasks" / "task-1").read_text().startswith(uid(2))
    assert "refs/coderun/task-1" in bench.leftovers()


def test_agents_end_before_their_tree_goes(bench: Bench) -> None:
    live(bench, 1)
    bench.cluster.remove("workflows", "run-1")
    bench.cluster.agent_pod("run-1", spec=mounts("task-1"), fake={"goneAfter": 1000})
    step = bench.start("sweep", 0)
    wait_until(lambda: bench.cluster.deletions() == ["coderuns/run-1", "pods/run-1-agent"], "CodeRun and pod are asked to go")
    assert bench.tree("task-1").exists()
    bench.cluster.remove("pods", "run-1-agent")
    step.outcome().assert_succeeded()
    assert bench.leftovers() == []


def test_steps_of_a_gone_run_end_before_its_coderun_could_come_again(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    bench.cluster.step_pod("run-1", 1)
    bench.cluster.coderun("run-1", 1)
    bench.cluster.step_pod("run-2", 2)
    bench.cluster.workflow("run-2", 2)
    bench.sweep().assert_succeeded()
    assert bench.cluster.deletions() == ["pods/run-1-create-coderun", "coderuns/run-1"]
    assert bench.cluster.names("pods") == {"run-2-create-coderun"}
    assert bench.leftovers() == []


def test_pods_that_outlived_their_coderun_are_ended(bench: Bench) -> None:
    bench.cluster.agent_pod("old", spec=mounts("task-1"))
    bench.cluster.agent_pod("ended", status={"phase": "Succeeded"})
    bench.cluster.put("pods", "stranger", labels={"workflows.argoproj.io/workflow": "nightly"}, owner=uid(9), status={"phase": "Running"})
    bench.cluster.put("pods", "controller", labels={"app": "x"}, status={"phase": "Running"})
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert bench.cluster.names("pods") == {"ended-agent", "stranger", "controller"}
    assert "sweep: removed pod old-agent: it outlived its CodeRun old\n" in outcome.output


def test_coderuns_of_others_are_left_alone(bench: Bench) -> None:
    bench.cluster.put("coderuns", "by-hand", labels={"team": "x"})
    bench.cluster.agent_pod("by-hand")
    bench.sweep().assert_succeeded()
    assert bench.cluster.deletions() == []


@pytest.mark.parametrize("stuck", ["pod", "CodeRun"])
def test_what_does_not_end_keeps_its_tree_and_is_named_and_the_rest_goes(bench: Bench, stuck: str) -> None:
    live(bench, 1)
    live(bench, 2)
    bench.cluster.remove("workflows", "run-1")
    bench.cluster.remove("workflows", "run-2")
    forever: dict[str, Any] = {"fake": {"goneAfter": 100_000}}
    if stuck == "pod":
        bench.cluster.agent_pod("run-1", spec=mounts("task-1"), **forever)
    else:
        bench.cluster.coderun("run-1", 1, **forever)
    outcome = bench.sweep(FENCE_TIMEOUT_SECONDS="1")
    outcome.assert_refused("sweep: failed on: ", f"{stuck} run-1")
    assert "base/.tasks/task-1" in bench.leftovers()
    assert bench.status("task-1") == "?? work.txt\n"
    assert not bench.tree("task-2").exists()
    assert bench.cluster.names("coderuns") == ({"run-1"} if stuck == "CodeRun" else set())


@pytest.mark.parametrize("kind", ["CodeRun", "claim", "step pod", "agent's pod"])
def test_a_name_that_came_again_is_not_hit(bench: Bench, kind: str) -> None:
    cluster = bench.cluster
    name, word = "run-1", CODERUN_PATH % "run-1"
    if kind == "CodeRun":
        resource = "coderuns"
        cluster.coderun("run-1", 1)
    elif kind == "claim":
        resource, name, word = "persistentvolumeclaims", "run-1-work", "/api/v1/namespaces/argo/persistentvolumeclaims/run-1-work"
        cluster.put(resource, name, labels={"coderun/workflow-uid": uid(1)}, owner=uid(1))
    else:
        resource, name = "pods", "run-1-create-coderun" if kind == "step pod" else "run-1-agent"
        word = f"/api/v1/namespaces/argo/pods/{name}"
        if kind == "step pod":
            cluster.step_pod("run-1", 1)
        else:
            cluster.agent_pod("run-1")
    with cluster.held_call(word) as reached:
        step = bench.start("sweep", 0)
        reached()
        # Between the decision and the deletion the name is taken by a run that lives.
        there = cluster.get(resource, name)
        fields = {key: value for key, value in there.items() if key not in ("metadata", "fake")}
        cluster.put(
            resource, name, labels=there["metadata"].get("labels", {}) | {"coderun/workflow-uid": uid(2)}, uid="another", owner=uid(2), **fields
        )
        cluster.workflow("run-1", 2)
        if kind == "agent's pod":
            cluster.coderun("run-1", 2)
    step.outcome().assert_succeeded()
    assert cluster.get(resource, name)["metadata"]["uid"] == "another"


def test_the_pods_of_a_namesake_are_not_hit(bench: Bench) -> None:
    bench.cluster.coderun("run-1", 1, fake={})
    bench.cluster.agent_pod("run-1", uid="old-pod", owner=f"coderun-of-{uid(1)}")
    with bench.cluster.held_call(CODERUN_PATH % "run-1") as reached:
        step = bench.start("sweep", 0)
        reached()
        bench.cluster.workflow("run-1", 2)
        bench.cluster.coderun("run-1", 2)
        bench.cluster.put("pods", "run-1-agent-new", labels={POD_LABEL: "run-1"}, owner=f"coderun-of-{uid(2)}", status={"phase": "Running"})
    step.outcome().assert_succeeded()
    assert bench.cluster.names("pods") == {"run-1-agent-new"}
    assert bench.cluster.names("coderuns") == {"run-1"}


def test_an_api_server_that_is_away_is_not_taken_for_dead_runs(bench: Bench) -> None:
    live(bench, 1)
    before = bench.leftovers()
    bench.cluster.fail_calls(100_000)
    bench.sweep(SWEEP_TIMEOUT_SECONDS="1").assert_refused("was refused", "API server")
    assert bench.leftovers() == before


def test_an_api_server_that_is_away_for_a_moment(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    bench.cluster.fail_calls(4)
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == []


def test_a_list_that_breaks_off_is_not_taken_for_the_whole(bench: Bench) -> None:
    live(bench, 1)
    program = bench.cluster.folder / "bin" / "kubectl"
    whole = program.with_name("whole-kubectl")
    program.rename(whole)
    program.write_text(f'#!/bin/sh\ncase "$*" in *"get --raw"*) printf \'{{"apiVersion":"v1","items":[\' ;; *) exec {whole} "$@" ;; esac\n')
    program.chmod(0o755)
    bench.sweep(SWEEP_TIMEOUT_SECONDS="1").assert_refused("Kubernetes: kubectl get --raw")
    assert bench.tree("task-1").exists()
    assert bench.cluster.deletions() == []


def test_values_of_users_do_not_look_like_fields(bench: Bench) -> None:
    # A workflow's parameters are in the list that is searched for UIDs: a text can't keep a gone run alive, let alone the other way round.
    bench.init(1).assert_succeeded()
    bench.cluster.workflow("run-2", 2, parameter=f'","uid":"{uid(1)}","x":"{{"uid":"{uid(1)}"}}')
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == []


def orphans(bench: Bench) -> dict[str, Path]:
    """One of each thing that has no record, after a run that made the base."""
    bench.init(2).assert_succeeded()
    bench.cluster.workflow("run-2", 2)
    bench.init(1).assert_succeeded()
    (bench.base_root / ".tasks" / "task-1").unlink()
    found = {
        "tree": bench.tree("task-1"),
        "admin folder": bench.admin("task-1"),
        "git folder": bench.base_root / ".private" / "task-1",
        "loose ref": bench.base() / "refs" / "coderun" / "task-1",
        "given up": bench.trees / ".removed.abcdef",
        "given up git folder": bench.base_root / ".private" / ".removed.abcdef",
    }
    for name in ("git folder", "given up", "given up git folder"):
        (found[name] / "objects").mkdir(parents=True, exist_ok=True)
    return found


@BOTH_GIT_FOLDERS
def test_what_has_no_record_goes(bench: Bench) -> None:
    found = orphans(bench)
    git(bench.base(), "update-ref", "refs/coderun/task-3", "refs/heads/main")
    git(bench.base(), "update-ref", "refs/coderun/not/a/task", "refs/heads/main")
    git(bench.base(), "pack-refs", "--all")
    git(bench.base(), "update-ref", "refs/coderun/task-4", "refs/heads/main")
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert [name for name, path in found.items() if path.exists()] == []
    assert bench.leftovers() == of_task(bench, 2)
    assert bench.status("task-2") == ""
    assert "'refs/coderun/task-4': no run has a record of task task-4, and no pod mounts it" in outcome.output
    assert summary(outcome)["removed"] == outcome.output.count("sweep: removed ")


def test_packed_task_refs_go_too(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    git(bench.base(), "pack-refs", "--all")
    (bench.base_root / ".tasks" / "task-1").unlink()
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == []
    assert " refs/heads/main" in (bench.base() / "packed-refs").read_text()


@pytest.mark.parametrize("sign", ["a living pod mounts its tree", "its workflow is unfinished", "a living pod mounts its tree at the second look"])
@SHARED_GIT_FOLDER
def test_what_has_no_record_but_a_live_run_stays(bench: Bench, sign: str) -> None:
    found = orphans(bench)
    wanted = ["tree", "git folder", "loose ref", "admin folder"]
    if sign == "its workflow is unfinished":
        bench.cluster.workflow("run-1", 1)
        wanted = ["admin folder"]
    elif sign.endswith("second look"):
        bench.cluster.agent_pod("run-1", spec=mounts("task-1"), fake={"hiddenFor": 1})
    else:
        bench.cluster.coderun("run-1", 1)
        bench.cluster.workflow("run-1", 1)
        bench.cluster.agent_pod("run-1", spec=mounts("task-1"))
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert [name for name in wanted if not found[name].exists()] == []
    assert "which has no record: " in outcome.output
    assert not (bench.base_root / ".tasks" / "task-1").exists()


def test_nobody_gets_the_task_id_while_its_orphans_are_removed(bench: Bench) -> None:
    (bench.trees / "task-1").mkdir()
    bench.init(2).assert_succeeded()
    bench.cluster.workflow("run-2", 2)
    with bench.cluster.held_call(POD_LABEL) as reached:
        step = bench.start("sweep", 0)
        reached()
        bench.init(1).assert_refused("parameter taskId", "in use by another run")
        assert (bench.trees / "task-1").exists()
    step.outcome().assert_succeeded()
    bench.init(1).assert_succeeded()


@pytest.mark.parametrize("then", ["the next sweep ends it", "a run wants the task id"])
def test_a_sweep_that_was_cut_short_leaves_nothing_for_good(bench: Bench, then: str) -> None:
    (bench.trees / "task-1").mkdir()
    with bench.cluster.held_call(POD_LABEL) as reached:
        step = bench.start("sweep", 0)
        reached()
        step.lose_pod()
    if then == "a run wants the task id":
        bench.init(1).assert_refused("in use by another run")
    else:
        subprocess.run(["rm", "-rf", str(bench.trees / "task-1")], check=True)
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == []


@SHARED_GIT_FOLDER
def test_admin_folders_of_a_live_run_stay_under_any_name(bench: Bench) -> None:
    live(bench, 1)
    admin = bench.base() / "worktrees" / "task-1"
    admin.rename(admin.with_name("task-11"))
    (bench.base() / "worktrees" / "unlocked").mkdir()
    (bench.base() / "worktrees" / "unlocked" / "gitdir").write_text(f"{bench.tree('task-1')}/.git\n")
    (bench.base() / "worktrees" / "no-gitdir").mkdir()
    (bench.base() / "worktrees" / "no-gitdir" / "locked").write_text(uid(1))
    bench.sweep().assert_succeeded()
    assert {path.name for path in (bench.base() / "worktrees").iterdir()} == {"task-11", "unlocked", "no-gitdir"}


HOSTILE_NAMES = ["a\nb", "-rf", "x y", "task-2\n", "$(touch ran)", "`touch ran`", "*", "'", "x.lock", "é"]


@pytest.mark.parametrize("folder", ["trees", "base/.tasks", "base/.private", "base/exampleorg/sample.git/worktrees"])
@pytest.mark.parametrize("sort", ["folder", "file", "link", "pipe"])
def test_hostile_names_are_handled_by_path_only(bench: Bench, folder: str, sort: str) -> None:
    bench.init(2).assert_succeeded()
    bench.cluster.workflow("run-2", 2)
    before = bench.leftovers()
    place = bench.folder / "claim" / folder
    place.mkdir(exist_ok=True, parents=True)
    precious = bench.folder / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    for name in HOSTILE_NAMES:
        if sort == "folder":
            (place / name / "inside").mkdir(parents=True)
        elif sort == "file":
            (place / name).write_text(f"{uid(2)}\t{OWNER}\t{REPO}\n")
        elif sort == "link":
            (place / name).symlink_to(precious)
        else:
            os.mkfifo(place / name)
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == before
    assert (precious / "file").read_text() == "kept"
    assert list(bench.folder.rglob("ran")) == []
    assert bench.status("task-2") == ""


@pytest.mark.parametrize("line", [f"{uid(1)}\t..\tsample", f"{uid(1)}\ta\t../../x", "", "x", f"{uid(1)}\ta\tb\tc", "not a uid\ta\tb"])
def test_a_damaged_record_deletes_nothing_and_is_named(bench: Bench, line: str) -> None:
    bench.init(1).assert_succeeded()
    bench.init(2).assert_succeeded()
    (bench.base_root / ".tasks" / "task-1").write_text(f"{line}\n")
    outcome = bench.sweep()
    outcome.assert_refused("the record", "damaged", "look at it and delete it")
    # The rest goes.
    assert bench.leftovers() == of_task(bench, 1)
    (bench.base_root / ".tasks" / "task-1").unlink()
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == []


@pytest.mark.parametrize("sort", ["link", "folder", "pipe"])
def test_a_record_that_is_no_file_deletes_nothing(bench: Bench, sort: str) -> None:
    bench.init(2).assert_succeeded()
    bench.cluster.workflow("run-2", 2)
    record = bench.base_root / ".tasks" / "task-1"
    if sort == "link":
        record.symlink_to(bench.base_root / ".tasks" / "task-2")
    elif sort == "folder":
        record.mkdir()
    else:
        os.mkfifo(record)
    bench.sweep().assert_refused("the record", "damaged")
    assert [path for path in bench.leftovers() if "task-2" in path] == of_task(bench, 2)


def test_one_thing_that_cannot_be_removed_does_not_keep_the_rest(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    bench.init(2, REPO="private", CREDENTIALS_DIR=str(credentials(bench))).assert_succeeded()
    (bench.trees / "orphan").mkdir()
    with held_lock(bench.base().with_name("sample.lock")):
        outcome = bench.sweep(LOCK_TIMEOUT_SECONDS="0")
    outcome.assert_refused("sweep: failed on: task task-1;", "the next sweep tries again")
    assert "lock of the base" in outcome.errors
    assert bench.leftovers() == of_task(bench, 1)
    assert summary(outcome)["failed"] == 1
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == []


def credentials(bench: Bench) -> Path:
    """The password of the private repository."""
    folder = bench.folder / "credentials"
    folder.mkdir(exist_ok=True)
    (folder / "password").write_text("ghs_notARealToken0123456789")
    return folder


def test_two_sweeps_at_once_are_harmless(bench: Bench) -> None:
    for number in range(1, 6):
        bench.init(number).assert_succeeded()
    live(bench, 6)
    steps = [bench.start("sweep", number) for number in (101, 102)]
    outcomes = [step.outcome(120) for step in steps]
    for outcome in outcomes:
        outcome.assert_succeeded()
    assert bench.leftovers() == of_task(bench, 6)
    assert sorted(summary(outcome)["removed"] for outcome in outcomes) == [0, 5]


def test_a_sweep_that_hangs_is_told_to_the_next(bench: Bench) -> None:
    with held_lock(bench.base_root / ".sweep.lock"):
        bench.sweep(SWEEP_TIMEOUT_SECONDS="1").assert_refused("another sweep has been at work")


def test_the_exit_handler_and_the_sweep_at_once(bench: Bench) -> None:
    for number in range(1, 6):
        bench.init(number).assert_succeeded()
    steps = [bench.start("sweep", 0), *(bench.start("cleanup", number) for number in range(1, 6))]
    for step in steps:
        step.outcome(120).assert_succeeded()
    assert bench.leftovers() == []


def test_a_sweep_without_enough_time_leaves_the_rest_to_the_next(bench: Bench) -> None:
    for number in (1, 2):
        bench.init(number).assert_succeeded()
    program = bench.cluster.folder / "bin" / "date"
    # Time jumps as soon as something was removed.
    program.write_text(
        f'#!/bin/sh\nif [ "$*" = +%s ] && [ ! -e {bench.tree("task-1")} ]; then echo 4000000000; else PATH=${{PATH#*:}} exec date "$@"; fi\n'
    )
    program.chmod(0o755)
    outcome = bench.sweep(**NOTHING_KEPT)
    outcome.assert_refused("task task-2, as the time of the sweep is over", "sweeper.deadlineSeconds")
    program.unlink()
    bench.sweep().assert_succeeded()
    assert bench.leftovers() == []


def set_aside(bench: Bench, kind: str, second: int) -> Path:
    """A base that was set aside at that second."""
    path = bench.base().with_name(f"sample.{kind}.{second}")
    (path / "objects").mkdir(parents=True)
    (path / "objects").chmod(0o500)
    return path


def test_evicted_bases_go_and_broken_ones_once_no_task_is_older(bench: Bench) -> None:
    live(bench, 1)
    record = bench.base_root / ".tasks" / "task-1"
    made = int(record.stat().st_mtime)
    of_then, of_before, evicted = set_aside(bench, "broken", made), set_aside(bench, "broken", made - 1), set_aside(bench, "evicted", made + 5)
    other = bench.base().with_name("other.broken.9999999999")
    other.mkdir()
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert of_then.exists()
    assert not of_before.exists()
    assert not evicted.exists()
    assert not other.exists()
    assert "kept broken base" in outcome.output
    assert "task task-1 is older than it" in outcome.output
    bench.cluster.remove("workflows", "run-1")
    bench.sweep().assert_succeeded()
    assert not of_then.exists()
    assert bench.base().exists()


def test_names_that_only_look_set_aside_stay(bench: Bench) -> None:
    paths = [bench.base().with_name(name) for name in ("a.broken.1.git", "b.evicted.x1", "c.evicted.", "d.broken.1x")]
    for path in paths:
        path.mkdir(parents=True)
    bench.sweep().assert_succeeded()
    assert all(path.exists() for path in paths)


def test_a_claim_that_is_in_use_is_said(bench: Bench) -> None:
    bench.cluster.put("persistentvolumeclaims", "run-1-work", labels={"coderun/workflow-uid": uid(1)}, owner=uid(1), fake={"goneAfter": 100})
    bench.sweep().assert_succeeded()
    outcome = bench.sweep()
    outcome.assert_succeeded()
    assert "sweep: kept claim run-1-work: its deletion was asked for at 2024-01-01T00:00:00Z, and something still uses it\n" in outcome.output
    assert bench.cluster.deletions() == ["persistentvolumeclaims/run-1-work"]


def test_the_report_has_the_figures_and_goes_with_the_cron_job(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    (bench.trees / "orphan").mkdir()
    live(bench, 2)
    outcome = bench.sweep()
    outcome.assert_succeeded()
    report = bench.cluster.get("configmaps", "coderun-sweeper-report")
    (owner,) = report["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("CronJob", "coderun-sweeper", CRON_JOB_UID)
    data, figures = report["data"], summary(outcome)
    assert {name: data[name] for name in ("removed", "kept", "failed", "claimUsedBytes", "claimSizeBytes", "seconds")} == {
        "removed": "2",
        "kept": "1",
        "failed": "0",
        "claimUsedBytes": str(figures["used"]),
        "claimSizeBytes": str(20 * 2**30),
        "seconds": str(figures["seconds"]),
    }
    assert (data["removedTasks"], data["removedOrphans"], data["removedCodeRuns"]) == ("1", "1", "0")
    assert 0 <= time.time() - time.mktime(time.strptime(data["finishedAt"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone < 60
    used = subprocess.run(["du", "-sk", str(bench.base_root), str(bench.trees)], capture_output=True, text=True, check=True).stdout
    assert abs(sum(int(line.split()[0]) for line in used.splitlines()) * 1024 - figures["used"]) < 2**20


def test_a_volume_of_its_own_is_not_counted_file_by_file(bench: Bench) -> None:
    df = bench.cluster.folder / "bin" / "df"
    df.write_text("#!/bin/sh\necho Filesystem\necho /dev/x 20971520 1048576 19922944 5% /work/base\n")
    df.chmod(0o755)
    du = bench.cluster.folder / "bin" / "du"
    du.write_text("#!/bin/sh\nexit 1\n")
    du.chmod(0o755)
    figures = summary(bench.sweep())
    assert (figures["used"], figures["size"]) == (2**30, 20 * 2**30)


def test_a_usage_that_takes_too_long_is_unknown(bench: Bench) -> None:
    du = bench.cluster.folder / "bin" / "du"
    du.write_text("#!/bin/sh\nexec sleep 100\n")
    du.chmod(0o755)
    outcome = bench.sweep(USAGE_TIMEOUT_SECONDS="1")
    outcome.assert_succeeded()
    assert "claim unknown of 21474836480 bytes" in outcome.output


def test_a_report_that_cannot_be_written_is_told_and_nothing_else_suffers(bench: Bench) -> None:
    bench.init(1).assert_succeeded()
    bench.cluster.remove("cronjobs", "coderun-sweeper")
    bench.sweep(LOOK_SECONDS="1").assert_refused("the report coderun-sweeper-report", "Role")
    assert bench.leftovers() == []


def test_hundreds_of_runs_are_not_hundreds_of_calls(bench: Bench) -> None:
    for number in range(300):
        record = bench.base_root / ".tasks" / f"task-{number}"
        record.write_text(f"{uid(number)}\t{OWNER}\t{REPO}\n")
        (bench.trees / f"task-{number}").mkdir()
        bench.cluster.workflow(f"run-{number}", number)
        bench.cluster.coderun(f"run-{number}", number, key=KEY)
    bench.sweep().assert_succeeded()
    # Pods, CodeRuns, claims, workflows; CronJob and ConfigMap of the report.
    assert len(bench.cluster.log().splitlines()) == 6
    bench.cluster.remove("workflows", "run-7")
    bench.cluster.remove("coderuns", "run-7")
    before = len(bench.cluster.log().splitlines())
    bench.sweep().assert_succeeded()
    assert len(bench.cluster.log().splitlines()) - before <= 10
    assert len(list(bench.trees.iterdir())) == 299


def test_the_calls_are_as_kubectl_takes_them(bench: Bench) -> None:
    bench.cluster.coderun("run-1", 1)
    bench.sweep().assert_succeeded()
    (call,) = [json.loads(line) for line in bench.cluster.log().splitlines() if "delete" in json.loads(line)]
    assert call == ["--namespace", "argo", "delete", "--raw", CODERUN_PATH % "run-1", "-f", "-"]

"""What the exit handler can't remove is gone after one sweep, a live run beside it is unharmed, and work of failed runs comes back."""

import base64
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import NAMESPACE, Runs, phase
from tests.e2e.sightings import Sightings
from tests.e2e.stack import PROJECT, STACK_FILE
from tests.e2e.volume import Volume
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, JsonObject

GATE = "c"
GATED = {"ref": f"refs/heads/gate/{GATE}", "baseRef": "refs/heads/main"}
SWEEP_SECONDS = 180
"""For one sweep: a pod's start and the end of a few agents, which have 10 s for it."""

CLAIM_SECONDS = 180.0
"""For a claim whose deletion was asked for: the pods that mounted it are deleted 60 s after their end."""

WORK = """
printf 'a commit that nobody has pushed\\n' >committed.txt
git add committed.txt
git commit --quiet -m 'Add what nobody has pushed'
printf 'not committed\\n' >untracked.txt
printf 'changed\\n' >>README.md
git rev-parse HEAD
"""

PUT_BACK = """
rm -rf /tmp/put-back
mkdir /tmp/put-back
cd /tmp/put-back
git clone --quiet "$1" clone
cd clone
mkdir "$2"
printf %s "$3" | base64 -d >"$2/work.bundle"
printf %s "$4" | base64 -d >"$2/work.patch"
printf %s "$5" | base64 -d >commands
sh -eu commands >/dev/null 2>&1
git rev-parse HEAD
git status --porcelain
cat untracked.txt
"""


@dataclass(frozen=True)
class Kept:
    """A run whose agent had worked, and what was brought back of it."""

    name: str
    head: str
    about: str
    put_back: list[str]


@dataclass(frozen=True)
class Scene:
    """Three runs that no exit handler cleaned up after, and one beside them that lived on."""

    gone: list[str]
    live: str
    live_agent_before: JsonObject
    live_agent_after: JsonObject
    live_status: str
    leftovers_before: frozenset[str]
    leftovers_after_sweep: frozenset[str]
    objects_after_sweep: list[str]
    log: str
    report: JsonObject
    live_workflow: JsonObject
    leftovers_at_the_end: frozenset[str]
    fsck: str
    kept: Kept


def in_agent(runs: Runs, name: str, script: str) -> str:
    """Does something as the run's agent does, in its tree."""
    (pod,) = runs.agent_pods(name)
    return commands.run(["kubectl", "exec", "-n", NAMESPACE, pod["metadata"]["name"], "-c", "agent", "--", "sh", "-euc", script]).strip()


def sweep(api: Api) -> str:
    """Starts a sweep as an operator does, and waits for it; its log."""
    job = f"sweep-{uuid.uuid4().hex[:6]}"
    commands.run(["kubectl", "create", "job", "-n", NAMESPACE, "--from=cronjob/coderun-sweeper", job])
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{job}"

    def ended() -> bool:
        status = api.get(path).get("status", {})
        return bool(status.get("succeeded") or status.get("failed"))

    try:
        wait_for(f"end of {job}", ended, SWEEP_SECONDS, lambda: commands.attempt(["kubectl", "logs", "-n", NAMESPACE, f"job/{job}"]).text)
        log = commands.run(["kubectl", "logs", "-n", NAMESPACE, f"job/{job}"])
        assert api.get(path)["status"].get("succeeded"), log
    finally:
        commands.run(["kubectl", "delete", "job", "-n", NAMESPACE, job, "--wait=false"])
    return log


def kept_work(*arguments: str) -> str:
    """Runs the command that lists and brings kept work, as an operator does."""
    return commands.run([sys.executable, "-m", "operations.kept_work", "--config", str(STACK_FILE), *arguments])


def bring_back(name: str, head: str, volume: Volume, git: GitServerControl, folder: Path) -> Kept:
    """Fetches what was kept of a run and puts it back into a fresh clone by the commands of about.txt."""
    kept_work("get", name, "--to", str(folder))
    (here,) = folder.iterdir()
    about = (here / "about.txt").read_text()
    script = "".join(f"{line}\n" for line in about.splitlines() if line.startswith("  git "))
    parts = [base64.b64encode(data).decode() for data in ((here / "work.bundle").read_bytes(), (here / "work.patch").read_bytes(), script.encode())]
    seen = volume.sh(PUT_BACK, git.repository("sample"), here.name, *parts)
    return Kept(name, head, about, seen.splitlines())


@pytest.fixture(scope="module")
def quiet_cron_job(api: Api) -> Iterator[None]:
    """Holds the scheduled sweeps back, so that the one of the test finds something."""
    patch = ["kubectl", "patch", "cronjob", "coderun-sweeper", "-n", NAMESPACE, "--type=merge", "-p"]
    commands.run([*patch, '{"spec":{"suspend":true}}'])
    wait_for("end of a scheduled sweep", lambda: not sweeper_jobs(api), SWEEP_SECONDS)
    yield
    commands.run([*patch, '{"spec":{"suspend":null}}'])


def sweeper_jobs(api: Api) -> list[str]:
    """Sweeps at work."""
    jobs = api.items(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs")
    return [job["metadata"]["name"] for job in jobs if "sweep" in job["metadata"]["name"] and job.get("status", {}).get("active")]


@pytest.fixture(scope="module")
def scene(
    api: Api,
    runs: Runs,
    git: GitServerControl,
    shared_volume: Volume,
    sightings: Sightings,
    quiet_cron_job: None,  # noqa: ARG001 - a state
    tmp_path_factory: pytest.TempPathFactory,
) -> Scene:
    """Plays it through: terminate, delete, terminate one with a claim of its own, sweep, look, let the live one go on."""
    before = shared_volume.leftovers()
    with git.gate(GATE):
        terminated, deleted, live = (runs.sample(**GATED) for _ in range(3))
        own = runs.sample(**GATED, usePVC="true")
        for name in (terminated, deleted, live, own):
            runs.wait_agent(name)
        head = in_agent(runs, terminated, WORK)
        (agent_before,) = runs.agent_pods(live)
        commands.run(["argo", "terminate", "-n", NAMESPACE, terminated, own])
        runs.wait_ended([terminated, own])
        commands.run(["kubectl", "delete", "workflow", "-n", NAMESPACE, deleted, "--wait=false"])
        log = sweep(api)
        report = api.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/coderun-sweeper-report")
        after = shared_volume.leftovers()
        gone = [terminated, deleted, own]
        wait_for("end of the own claim", lambda: f"{own}-work" not in runs.claims(), CLAIM_SECONDS)
        objects = runs.objects_left(gone)
        (agent_after,) = runs.agent_pods(live)
        status = in_agent(runs, live, "git status --porcelain; git rev-parse --verify HEAD >/dev/null && echo sound")
    workflow = runs.wait_ended([live])[live]
    assert sightings.coderun_seen(live)
    kept = bring_back(terminated, head, shared_volume, git, tmp_path_factory.mktemp("kept"))
    at_the_end = shared_volume.leftovers() - before
    fsck = shared_volume.fsck("exampleorg", "sample")
    shared_volume.sh('rm -rf /work/base/.kept/"$1".*', terminated)
    return Scene(
        gone=gone,
        live=live,
        live_agent_before=agent_before,
        live_agent_after=agent_after,
        live_status=status,
        leftovers_before=before,
        leftovers_after_sweep=after,
        objects_after_sweep=objects,
        log=log,
        report=report,
        live_workflow=workflow,
        leftovers_at_the_end=at_the_end,
        fsck=fsck,
        kept=kept,
    )


def test_nothing_is_left_of_runs_that_were_terminated_or_deleted(scene: Scene) -> None:
    left = [entry for entry in scene.leftovers_after_sweep - scene.leftovers_before if any(name in entry for name in scene.gone)]
    assert left == [], scene.log
    assert scene.objects_after_sweep == [], scene.log


def test_the_live_run_beside_them_is_unharmed(scene: Scene, runs: Runs) -> None:
    assert [entry for entry in scene.leftovers_after_sweep if scene.live in entry] != []
    assert scene.live_agent_after["metadata"]["uid"] == scene.live_agent_before["metadata"]["uid"]
    assert scene.live_agent_after["status"]["phase"] == "Running"
    assert scene.live_status == "sound"
    assert phase(scene.live_workflow) == "Succeeded", runs.explain(scene.live)
    assert scene.leftovers_at_the_end == frozenset()
    assert scene.fsck == ""


def test_each_removal_is_said_with_its_reason(scene: Scene) -> None:
    terminated, deleted, own = scene.gone
    lines = scene.log.splitlines()
    assert any(line.startswith(f"sweep: removed CodeRun {terminated}: ") for line in lines), scene.log
    assert any(line.startswith(f"sweep: removed task {terminated} (exampleorg/sample): workflow {terminated} ended as Failed") for line in lines), (
        scene.log
    )
    assert any(line.startswith(f"sweep: removed task {deleted} (exampleorg/sample): no workflow of its UID is there") for line in lines), scene.log
    assert any(line.startswith(f"sweep: removed claim {own}-work: ") for line in lines), scene.log
    assert lines[-1].startswith("sweep: ")
    assert " 0 failed, claim " in lines[-1]


def test_the_report_has_the_figures(scene: Scene, api: Api) -> None:
    data = scene.report["data"]
    assert int(data["removedTasks"]) >= 2
    assert int(data["claimUsedBytes"]) > 0
    assert int(data["claimSizeBytes"]) >= int(data["claimUsedBytes"])
    (owner,) = scene.report["metadata"]["ownerReferences"]
    assert owner["uid"] == api.get(f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs/coderun-sweeper")["metadata"]["uid"]


def assert_put_back(kept: Kept) -> None:
    """Raises AssertionError unless the commit and both changes are there again."""
    head, *status, untracked = kept.put_back
    assert head == kept.head, kept.about
    assert "?? untracked.txt" in status
    assert " M README.md" in status
    assert untracked == "not committed"


def test_work_of_a_terminated_run_was_kept_by_the_sweep_and_can_be_put_back(scene: Scene) -> None:
    assert "as the sweep found: workflow" in scene.kept.about
    assert_put_back(scene.kept)


@pytest.mark.parametrize("own_claim", ["false", "true"])
def test_work_of_a_failed_run_is_kept_by_its_exit_handler_and_can_be_put_back(
    own_claim: str, runs: Runs, git: GitServerControl, shared_volume: Volume, tmp_path: Path
) -> None:
    before = shared_volume.leftovers()
    with git.gate(GATE):
        name = runs.sample(**GATED, usePVC=own_claim)
        runs.wait_agent(name)
        head = in_agent(runs, name, WORK)
        runs.stop(name)
        workflow = runs.wait_ended([name])[name]
    assert phase(workflow) == "Failed"
    listed = [line for line in kept_work("list").splitlines() if line.startswith(f"{name}.")]
    assert len(listed) == 1
    assert listed[0].split()[1] == "exampleorg/sample"
    assert listed[0].endswith(" work.bundle work.patch")
    kept = bring_back(name, head, shared_volume, git, tmp_path)
    assert f"task        {name}\n" in kept.about
    assert "as the run ended as Failed\n" in kept.about
    assert_put_back(kept)
    assert shared_volume.leftovers() - before == frozenset()
    wait_for("end of the own claim", lambda: runs.objects_left([name]) == [], CLAIM_SECONDS, lambda: "\n".join(runs.objects_left([name])))
    shared_volume.sh('rm -rf /work/base/.kept/"$1".*', name)


def test_nothing_is_kept_of_a_run_that_had_nothing(runs: Runs, shared_volume: Volume) -> None:
    name = runs.sample(ref="refs/heads/fail", baseRef="refs/heads/main")
    assert phase(runs.wait_ended([name])[name]) == "Failed"
    assert shared_volume.sh('ls -A /work/base/.kept | grep -F "$1" || true', name) == ""


def test_a_name_under_which_nothing_was_kept_is_told() -> None:
    command = [sys.executable, "-m", "operations.kept_work", "--config", str(STACK_FILE), "get", "no-such-task"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 1
    assert "nothing was kept under 'no-such-task'. Remedy: " in done.stderr

"""Runs a step's script as Argo does, with a claim on a plain disk and a stand-in for the cluster, and what an agent runs as its pod would."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

import payload
from components import batch_spec
from components.git_maintenance_spec import MAINTENANCE_SCRIPTS
from components.run_manifests import OBJECTS_ROOT, coderun_manifest
from components.sweeper_spec import SWEEP_SCRIPTS
from components.workflow_template_spec import SCRIPTS
from config.settings import GitFolder
from tests.fixtures.coderun_controller.pods import IDENTITY
from tests.fixtures.git_server.repositories import git
from tests.unit.stack_files import config_with

OWNER = "exampleorg"
REPO = "sample"
KEY = "exampleorg-sample-main"
POD_LABEL = "platform.example.io/coderun"
UID = "00000000-0000-4000-8000-%012d"
STEPS = {
    **SCRIPTS,
    **{f"batch-{step}": files for step, files in batch_spec.SCRIPTS.items()},
    "prepare": ("task-messages.sh", "base-lock.sh", "prepare-claim.sh"),
    "sweep": SWEEP_SCRIPTS,
    "maintain": MAINTENANCE_SCRIPTS,
}
CRON_JOB_UID = "cronjobs-coderun-sweeper"

BOTH_GIT_FOLDERS = pytest.mark.parametrize("bench", ["private", "shared"], indirect=True)
"""Runs a test in both settings of coderun.gitFolder."""

SHARED_GIT_FOLDER = pytest.mark.parametrize("bench", ["shared"], indirect=True)
"""Runs a test with coderun.gitFolder=shared."""

UNPRIVILEGED = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--")
"""Root without any capability is a user like others: permissions count, and another user's files are another's."""

AGENT_VIEW = """set -eu
claim=$1 source=$2 folder=$3
shift 3
mkdir -p "$source"
mount --bind "$claim" "$source"
mount -t tmpfs tmpfs "$claim"
while [ "$1" != -- ]; do
    mkdir -p "$claim/$2"
    # The kubelet would make a missing one, for root; here it is an error.
    mount --bind "$source/$1" "$claim/$2"
    [ "$3" = False ] || mount -o remount,bind,ro "$claim/$2"
    shift 3
done
shift
umount "$source"
cd "$claim/$folder"
exec "$@"
"""
"""What the kubelet does for an agent's pod, in a mount namespace. Arguments: CLAIM SOURCE FOLDER (SUBPATH PATH READONLY)… -- COMMAND…
All else of the claim is hidden."""


def uid(number: int) -> str:
    """A workflow's UID."""
    return UID % number


@dataclass(frozen=True)
class Outcome:
    """How a step ended."""

    code: int
    output: str
    errors: str
    message: str
    """What the pod's status would show."""

    def assert_succeeded(self) -> None:
        """Raises AssertionError with the step's words if it failed."""
        assert self.code == 0, f"exit {self.code}\n{self.output}\n{self.errors}"

    def assert_refused(self, *parts: str) -> None:
        """Raises AssertionError unless the step failed with one line that has all parts and a remedy."""
        assert self.code == 1, f"exit {self.code}\n{self.output}\n{self.errors}"
        assert self.message.count("\n") == 1, self.message
        assert "Remedy: " in self.message
        for part in parts:
            assert part in self.message, f"{part!r} is not in {self.message!r}"


class Cluster:
    """The objects that the stand-in for kubectl shows."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder and the program."""
        self.folder = folder
        (folder / "objects").mkdir(parents=True)
        (folder / "bin").mkdir()
        program = folder / "bin" / "kubectl"
        # A stub, so that Python keeps the compiled module; -IS leaves out all that isn't needed, as it is started thousands of times.
        here = str(Path(__file__).parent)
        program.write_text(f"#!{sys.executable} -IS\nimport sys\nsys.path.insert(0, {here!r})\nfrom fake_kubectl import main\nmain()\n")
        program.chmod(0o755)

    def put(self, resource: str, name: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON
        """Adds an object: labels, annotations, uid, made (a time) and owner (a UID) go to its metadata, all else is as given."""
        metadata: dict[str, Any] = {"name": name, "uid": f"{resource}-{name}"}
        for key in ("labels", "annotations", "uid"):
            if key in fields:
                metadata[key] = fields.pop(key)
        if "made" in fields:
            metadata["creationTimestamp"] = fields.pop("made")
        if "owner" in fields:
            metadata["ownerReferences"] = [{"kind": "Workflow", "uid": fields.pop("owner")}]
        path = self.folder / "objects" / resource / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        with self._between_calls():
            path.write_text(json.dumps({"metadata": metadata, **fields}))

    def change(self, resource: str, name: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON
        """Changes an object that is there, as its controller does."""
        path = self.folder / "objects" / resource / f"{name}.json"
        with self._between_calls():
            path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    def remove(self, resource: str, name: str) -> None:
        """Takes an object away, as a controller does."""
        with self._between_calls():
            (self.folder / "objects" / resource / f"{name}.json").unlink()

    @contextmanager
    def _between_calls(self) -> Iterator[None]:
        """Shuts kubectl out, which reads an object and writes it back."""
        with (self.folder / "calls.log").open("a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            yield

    def get(self, resource: str, name: str) -> dict[str, Any]:
        """An object as it is."""
        found: dict[str, Any] = json.loads((self.folder / "objects" / resource / f"{name}.json").read_text())
        return found

    @contextmanager
    def held_call(self, word: str) -> Iterator[Callable[[], None]]:
        """Holds up every call with that word on its command line until the end; what it gives waits for the first such call."""
        (self.folder / "hang-on").write_text(word)
        before = self.log().count(json.dumps(word))
        try:
            yield lambda: wait_until(lambda: self.log().count(json.dumps(word)) > before, f"kubectl {word}")
        finally:
            (self.folder / "hang-on").unlink()

    def names(self, resource: str) -> set[str]:
        """What there is."""
        return {path.stem for path in (self.folder / "objects" / resource).glob("*.json")}

    def fail_calls(self, number: int) -> None:
        """Makes the next calls fail as an API server does that is away."""
        (self.folder / "failures").write_text(str(number))

    def applied_behave(self, **fields: Any) -> None:  # noqa: ANN401 - any JSON
        """What an applied object gets beside what was applied."""
        (self.folder / "applied-behave.json").write_text(json.dumps(fields))

    def deletions(self) -> list[str]:
        """``<plural>/<name>`` of every deletion that was asked for, in order."""
        calls = [json.loads(line) for line in self.log().splitlines()]
        return ["/".join(call[call.index("--raw") + 1].split("/")[-2:]) for call in calls if "delete" in call]

    def log(self) -> str:
        """The calls as they are on the command line."""
        path = self.folder / "calls.log"
        return path.read_text() if path.exists() else ""

    def coderun(self, name: str, number: int, key: str = KEY, **fields: Any) -> None:  # noqa: ANN401 - any JSON
        """Adds a CodeRun of workflow NAME with UID number, and its controller's ways: a deletion ends its pods."""
        self.put(
            "coderuns",
            name,
            labels={"workflow": name, "coderun/workflow-uid": uid(number)},
            annotations={"coderun/semaphore-key": key},
            **{"uid": f"coderun-of-{uid(number)}", "fake": {"endsPods": f"{POD_LABEL}={name}"}, **fields},
        )

    def agent_pod(self, coderun: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON
        """Adds the pod of a CodeRun, as a controller makes it that copies no labels."""
        self.put("pods", f"{coderun}-agent", labels={POD_LABEL: coderun}, **{"status": {"phase": "Running"}, **fields})

    def step_pod(self, workflow: str, number: int, *, step: str = "create-coderun", key: str = KEY, **fields: Any) -> None:  # noqa: ANN401
        """Adds a living pod of a workflow's step."""
        node = f"{workflow}.onExit" if step == "cleanup" else f"{workflow}.locked.{step}"
        self.put(
            "pods",
            f"{workflow}-{step}",
            labels={
                "workflows.argoproj.io/workflow": workflow,
                "workflow": workflow,
                "coderun/workflow-uid": uid(number),
                "coderun/step": step,
                "app.kubernetes.io/part-of": "coderun",
            },
            annotations={"coderun/semaphore-key": key, "workflows.argoproj.io/node-name": node},
            owner=uid(number),
            **{"status": {"phase": "Running"}, **fields},
        )

    def workflow(self, name: str, number: int, *, phase: str = "Running", locked: str | None = "Running", **spec: Any) -> None:  # noqa: ANN401
        """Adds a workflow; ``locked`` is the phase of the node that holds the semaphore."""
        nodes = {name: {"templateName": "coderun-main", "phase": phase}}
        if locked:
            nodes[f"{name}-1"] = {"templateName": "locked", "phase": locked}
        labels = {"workflow": name, "coderun/workflow-uid": uid(number)}
        if phase in ("Succeeded", "Failed", "Error"):
            labels["workflows.argoproj.io/completed"] = "true"
        fake = spec.pop("fake", {})
        self.put("workflows", name, uid=uid(number), labels=labels, spec=spec, status={"phase": phase, "nodes": nodes}, fake=fake)


@dataclass
class Bench:
    """A claim, a cluster and a git server's address: what the steps of several runs share."""

    folder: Path
    server: str
    git_folder: GitFolder = "private"
    unprivileged: bool = False
    """Whether steps run as a user to whom permissions matter, as in their pods."""
    cluster: Cluster = field(init=False)
    scripts: ClassVar[Path] = payload.FOLDER
    """Where the scripts are taken from; changed for a whole session, by --payload."""

    def __post_init__(self) -> None:
        """Makes the claim's folders."""
        self.cluster = Cluster(self.folder / "cluster")
        for name in ("claim/base/.tasks", "claim/base/.kept", "claim/trees", "out", "scripts"):
            (self.folder / name).mkdir(parents=True)
        self.repos_file.write_text("")
        self.cluster.put("cronjobs", "coderun-sweeper", uid=CRON_JOB_UID)

    @property
    def claim(self) -> Path:
        """The claim, which pods of the steps mount at /work."""
        return self.folder / "claim"

    @property
    def repos_file(self) -> Path:
        """The stack's list of repositories."""
        return self.folder / "repos.tsv"

    @property
    def base_root(self) -> Path:
        """The claim's folder of bases."""
        return self.folder / "claim" / "base"

    @property
    def trees(self) -> Path:
        """The claim's folder of trees."""
        return self.folder / "claim" / "trees"

    @property
    def kept(self) -> Path:
        """The claim's folder of kept work."""
        return self.base_root / ".kept"

    def base(self, repo: str = REPO) -> Path:
        """The base of a repository."""
        return self.base_root / OWNER / f"{repo}.git"

    def tree(self, task: str) -> Path:
        """The tree of a task."""
        return self.trees / task

    def private(self, task: str) -> Path:
        """The git folder of a task."""
        return self.base_root / ".private" / task

    def admin(self, task: str, repo: str = REPO) -> Path:
        """The admin folder of a task's tree."""
        return (self.private(task) if self.git_folder == "private" else self.base(repo)) / "worktrees" / task

    def environment(self, step: str, number: int, **variables: str) -> dict[str, str]:
        """A step's environment, for workflow run-NUMBER and task task-NUMBER if nothing else is said."""
        out = self.folder / "out" / f"{step}-{number}"
        (out / "tmp").mkdir(parents=True, exist_ok=True)
        defaults = {
            "NAMESPACE": "argo",
            "KEY": KEY,
            "OWNER": OWNER,
            "REPO": REPO,
            "REF": "refs/heads/main",
            "TASK_ID": f"task-{number}",
            "GIT_SERVER": self.server,
            "WORKFLOW_NAME": f"run-{number}",
            "WORKFLOW_UID": uid(number),
            "BASE_ROOT": str(self.base_root),
            "TREES_ROOT": str(self.trees),
            "OBJECTS_ROOT": str(self.claim / Path(OBJECTS_ROOT).name),
            "GIT_FOLDER": self.git_folder,
            "CLAIM_NAME": "coderun-shared",
            "REPOS_FILE": str(self.repos_file),
            "WORKSPACE_PATH_FILE": str(out / "workspace_path"),
            "COMMIT_FILE": str(out / "commit"),
            "LOCK_TIMEOUT_SECONDS": "60",
            "LOCK_POLL_SECONDS": "0.05",
            "LOW_SPEED_SECONDS": "20",
            "FENCE_TIMEOUT_SECONDS": "20",
            "CLEANUP_TIMEOUT_SECONDS": "20",
            "POLL_SECONDS": "0.05",
            "CODERUN_RESOURCE": "coderuns.platform.example.io",
            "CODERUN_VERSION": "v1alpha1",
            "WORKFLOW_STATUS": "Succeeded",
            "OWN_CLAIM_FILE": str(out / "own-claim"),
            "KEPT_ROOT": str(self.kept),
            "KEPT_MAX_BYTES": str(100 * 2**20),
            "KEPT_DAYS": "7",
            "KEPT_MEMORY_KIB": str(512 * 2**10),
            "KEPT_TIMEOUT_SECONDS": "60",
            "SWEEP_TIMEOUT_SECONDS": "60",
            "CLAIM_SIZE_BYTES": str(20 * 2**30),
            "USAGE_TIMEOUT_SECONDS": "20",
            "CLAIM_TIMEOUT_SECONDS": "300",
            "CRON_JOB": "coderun-sweeper",
            "REPORT": "coderun-sweeper-report",
            "POD_LABEL": POD_LABEL,
            "SUCCEEDED_PHASES": "Succeeded",
            "FAILED_PHASES": "Failed Error Cancelled",
            "RUN_TIMEOUT_SECONDS": "20",
            "TERMINATION_LOG": str(out / "termination-log"),
            "TMPDIR": str(out / "tmp"),
            "HOME": str(out / "tmp"),
            "FAKE_KUBECTL_FOLDER": str(self.cluster.folder),
            "PATH": f"{self.cluster.folder / 'bin'}:{os.environ['PATH']}",
        }
        return defaults | variables

    def script(self, step: str, number: int = 1) -> Path:
        """The file with a step's script."""
        script = self.folder / "scripts" / f"{step}.sh"
        if not script.exists():
            # Whole at once: others may be about to read it.
            fresh = script.with_suffix(f".{number}")
            fresh.write_text(payload.source(*STEPS[step], folder=self.scripts))
            fresh.replace(script)
        return script

    def start(self, step: str, number: int = 1, **variables: str) -> "RunningStep":
        """Starts a step's script; waits for nothing."""
        environment = self.environment(step, number, **variables)
        script = self.script(step, number)
        Path(environment["TERMINATION_LOG"]).unlink(missing_ok=True)
        process = subprocess.Popen(
            # A test run in the background hands SIGINT down ignored, and a shell can't trap what was ignored when it started.
            ["env", "--default-signal=INT", *(UNPRIVILEGED if self.unprivileged else ()), "sh", str(script)],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        return RunningStep(process, environment)

    def run(self, step: str, number: int = 1, **variables: str) -> Outcome:
        """Runs a step's script to its end."""
        return self.start(step, number, **variables).outcome()

    def init(self, number: int = 1, **variables: str) -> Outcome:
        """Runs init-worktree."""
        return self.run("init-worktree", number, **variables)

    def cleanup(self, number: int = 1, **variables: str) -> Outcome:
        """Runs cleanup."""
        return self.run("cleanup", number, **variables)

    def sweep(self, **variables: str) -> Outcome:
        """Runs a sweep."""
        return self.run("sweep", 0, **variables)

    def head(self, task: str, repo: str = REPO) -> str:
        """The commit that a task's tree is at."""
        return self.agent(task, "git", "rev-parse", "HEAD", repo=repo).strip()

    def status(self, task: str, repo: str = REPO) -> str:
        """What differs between a task's tree and its commit."""
        return self.agent(task, "git", "status", "--porcelain", repo=repo)

    def agent(self, task: str, *command: str, repo: str = REPO) -> str:
        """Runs a command as a task's agent: in its tree, with the mounts and the environment of its CodeRun and nothing else of the claim.

        Returns:
            What it printed.

        Raises:
            subprocess.CalledProcessError: It failed.
        """
        return self.attempt(task, *command, repo=repo, check=True).stdout

    def attempt(self, task: str, *command: str, repo: str = REPO, check: bool = False) -> "subprocess.CompletedProcess[str]":
        """As agent, whatever the command's exit code."""
        arguments, environment = self.agent_command(task, *command, repo=repo)
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=check)

    def agent_command(self, task: str, *command: str, repo: str = REPO) -> tuple[list[str], dict[str, str]]:
        """What runs a command as a task's agent, and its environment."""
        given = {"owner": OWNER, "repo": repo, "task-id": task}
        text = json.dumps(coderun_manifest(config_with(), self.git_folder)["spec"]["workspace"])
        for name, value in given.items():
            text = text.replace(f"{{{{inputs.parameters.{name}}}}}", value)
        workspace = json.loads(text.replace('"/work/', f'"{self.claim}/'))
        mounts = [
            word
            for mount in workspace["mounts"]
            for word in (mount["subPath"], str(Path(mount["mountPath"]).relative_to(self.claim)), str(mount["readOnly"]))
        ]
        arguments = [
            *("unshare", "--mount", "sh", "-c", AGENT_VIEW, "sh"),
            *(str(self.claim), str(self.folder / "source"), f"trees/{task}", *mounts, "--", *UNPRIVILEGED, *command),
        ]
        return arguments, {"PATH": os.environ["PATH"], **IDENTITY, **{variable["name"]: variable["value"] for variable in workspace["env"]}}

    def stand_in(self, program: str, script: str) -> None:
        """Puts a shell script before a program on the steps' PATH; ``real`` in it is the program itself."""
        path = self.cluster.folder / "bin" / program
        path.write_text(f'#!/bin/sh\nreal() {{ PATH=${{PATH#*:}} command {program} "$@"; }}\n{script}\n')
        path.chmod(0o755)

    def assert_sound(self, repo: str = REPO) -> None:
        """Raises AssertionError if git finds anything wrong in a base."""
        command = ["git", "--git-dir", str(self.base(repo)), "fsck", "--strict", "--no-dangling"]
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")

    def leftovers(self) -> list[str]:
        """Whatever of tasks is on the claim: records, trees, git folders, admin folders, task refs, unfinished clones."""
        patterns = ("base/.tasks/*", "trees/*", "base/.private/*", "base/*/*.staging", "base/*/*.git/worktrees/*")
        found = [str(path.relative_to(self.claim)) for pattern in patterns for path in self.claim.glob(pattern)]
        for base in self.base_root.glob("*/*.git"):
            found += git(base, "for-each-ref", "--format=%(refname)", "refs/coderun").split()
        return sorted(found)


@dataclass(frozen=True)
class RunningStep:
    """A step's script under way."""

    process: subprocess.Popen[str]
    environment: dict[str, str]

    def lose_pod(self) -> None:
        """Kills everything that the step runs, as the loss of its pod does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.outcome()

    def outcome(self, seconds: float = 60) -> Outcome:
        """Waits for its end."""
        try:
            output, errors = self.process.communicate(timeout=seconds)
        finally:
            self.process.kill()
        log = Path(self.environment["TERMINATION_LOG"])
        return Outcome(self.process.returncode, output, errors, log.read_text() if log.exists() else "")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Waits for a condition.

    Raises:
        TimeoutError: It doesn't come.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not after {seconds} s")
        time.sleep(0.02)


@contextmanager
def held_lock(path: Path) -> Iterator[None]:
    """Holds a lock as another pod would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(["flock", "-x", str(path), "sh", "-c", "echo held; read -r line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            holder.stdin.close()

"""Lists work that was kept of runs that did not succeed, and brings it to this machine."""

import argparse
import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.names import PART_OF, PART_OF_LABEL
from components.workflow_template_spec import KEPT_SUB_PATH, container_security_context, pod_security_context
from config.errors import ConfigError
from config.settings import StackConfig
from config.stack_file import load_stack_file

START_SECONDS = 120
"""How long the pod on the claim may take to start."""

LIFE_SECONDS = 1800
"""After so long the pod ends by itself, should this program not get to it. A limit of size gets through in it on any network."""

FILES = ("about.txt", "work.bundle", "work.patch")
_FOLDER = "/kept"


class KeptWorkError(Exception):
    """It can't be brought; the message has the remedy."""


def _kubectl(config: StackConfig, *arguments: str, given: str | None = None) -> bytes:
    command = ["kubectl", "--namespace", config.namespace, *arguments]
    done = subprocess.run(command, input=given.encode() if given else None, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise KeptWorkError(f"`{' '.join(command[:5])} …` failed: {said}. Remedy: check the context, and that you may create pods there.")
    return done.stdout


def pod_manifest(config: StackConfig, name: str) -> dict[str, Any]:
    """Make a pod that sees the folder of kept work, read-only, and does nothing."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {PART_OF_LABEL: PART_OF}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "activeDeadlineSeconds": LIFE_SECONDS,
            "securityContext": pod_security_context(config),
            "containers": [
                {
                    "name": "main",
                    "image": config.images.workspace,
                    "imagePullPolicy": config.image_pull_policy,
                    "command": ["sh", "-c", f"trap 'exit 0' TERM; sleep {LIFE_SECONDS} & wait"],
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
                    "securityContext": container_security_context(),
                    "volumeMounts": [{"name": "claim", "mountPath": _FOLDER, "subPath": KEPT_SUB_PATH, "readOnly": True}],
                }
            ],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": config.storage.shared.claim_name}}],
        },
    }


class KeptWork:
    """The folder of kept work, seen from a pod; made by `open_kept_work`."""

    def __init__(self, config: StackConfig, pod: str) -> None:
        """Takes the pod, which runs."""
        self._config = config
        self._pod = pod

    def _sh(self, script: str, *arguments: str) -> bytes:
        return _kubectl(self._config, "exec", self._pod, "--", "sh", "-euc", script, "kept-work", *arguments)

    def folders(self) -> list[str]:
        """Names of the folders, TASKID.UID each."""
        return self._sh('cd "$1"; for folder in *; do if [ -f "$folder/about.txt" ]; then echo "$folder"; fi; done', _FOLDER).decode().split()

    def about(self, folder: str) -> str:
        """What about.txt says."""
        return self._sh('cat "$1"', f"{_FOLDER}/{folder}/about.txt").decode("utf-8", "replace")

    def fetch(self, folder: str, target: Path) -> None:
        """Copy a folder's files; raises KeptWorkError for a copy that is not complete."""
        target.mkdir(parents=True, exist_ok=True)
        sums = self._sh('cd "$1"; for file in $2; do if [ -f "$file" ]; then sha256sum "$file"; fi; done', f"{_FOLDER}/{folder}", " ".join(FILES))
        for line in sums.decode().splitlines():
            digest, name = line.split()
            content = self._sh('cat "$1"', f"{_FOLDER}/{folder}/{name}")
            if hashlib.sha256(content).hexdigest() != digest:
                raise KeptWorkError(f"{name} of {folder} did not arrive whole. Remedy: try again.")
            (target / name).write_bytes(content)


@contextmanager
def open_kept_work(config: StackConfig) -> Iterator[KeptWork]:
    """Start a pod on the shared claim, and take it away at the end; raises KeptWorkError."""
    pod = f"coderun-kept-work-{secrets.token_hex(3)}"
    _kubectl(config, "create", "--filename=-", given=json.dumps(pod_manifest(config, pod)))
    try:
        _kubectl(config, "wait", f"pod/{pod}", "--for=condition=Ready", f"--timeout={START_SECONDS}s")
        yield KeptWork(config, pod)
    finally:
        subprocess.run(["kubectl", "--namespace", config.namespace, "delete", "pod", pod, "--wait=false"], capture_output=True, check=False)


def chosen(folders: list[str], wanted: str) -> str:
    """Pick a folder by its name or by its task id; raises KeptWorkError when there is none or several."""
    found = [name for name in folders if wanted in (name, name.rpartition(".")[0])]
    if len(found) != 1:
        seen = f"work of {len(found)} runs" if found else "nothing"
        listed = ", ".join(found or folders) or "none at all"
        raise KeptWorkError(f"{seen} was kept under {wanted!r}. Remedy: name one of these: {listed}.")
    return found[0]


def _table(work: KeptWork) -> Iterator[str]:
    yield f"{'NAME':<80} {'REPOSITORY':<30} {'UNTIL':<22} KEPT"
    for folder in work.folders():
        words = (line.partition(" ") for line in work.about(folder).splitlines())
        fields = {name: value.strip() for name, _, value in words if name}
        kept = " ".join(name for name in FILES[1:] if name in fields) or "nothing, see about.txt"
        yield f"{folder:<80} {fields.get('repository', '?'):<30} {fields.get('until', '?'):<22} {kept}"


def main() -> int:
    """Parse the command line; list, or bring one."""
    parser = argparse.ArgumentParser(prog="python -m operations.kept_work", description=__doc__)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the stack file, for the namespace and the claim")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="one line for each run whose work was kept")
    get = commands.add_parser("get", help="copy one to this machine and print how to put it back")
    get.add_argument("task", metavar="TASK", help="a task id, or TASKID.UID as listed")
    get.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="folder in which TASKID.UID is made (default: here)")
    options = parser.parse_args()
    try:
        with open_kept_work(load_stack_file(options.config)) as work:
            if options.command == "list":
                sys.stdout.writelines(f"{line}\n" for line in _table(work))
                return 0
            folder = chosen(work.folders(), options.task)
            work.fetch(folder, options.to / folder)
            sys.stdout.write(f"{work.about(folder)}\n==> copied to {options.to / folder}\n")
    except (KeptWorkError, ConfigError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

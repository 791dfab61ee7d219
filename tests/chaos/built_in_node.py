"""What only the built-in node allows: its programs and containers are processes of this machine, its volumes folders of it."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from node import processes, worker
from node.locations import kubeconfig, state_folder
from tests.e2e.volume import CLAIM
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, JsonObject

READY_SECONDS = 120.0
"""How long the node may take to be Ready after a restart of the kubelet; 10 s are usual."""


class BuiltInNode:
    """The built-in node of this machine."""

    def __init__(self, api: Api, claim: Path) -> None:
        """Takes the cluster and the folder of its shared claim."""
        self._api = api
        self.base_root = claim / "base"
        self.trees_root = claim / "trees"

    @classmethod
    def find(cls, api: Api) -> Self:
        """The node, if KUBECONFIG is the built-in node's; fails the test otherwise."""
        if os.environ.get("KUBECONFIG") != str(kubeconfig()) or not processes.running("kubelet"):
            pytest.fail("chaos is played on the built-in node only. Remedy: `make up`, then `make chaos` with CLUSTER=node", pytrace=False)
        claim = api.get(f"/api/v1/namespaces/argo/persistentvolumeclaims/{CLAIM}")
        source = api.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")["spec"]
        folder = Path((source.get("hostPath") or source.get("local"))["path"])
        assert state_folder() in folder.parents, f"{folder} is not a folder of the node"
        return cls(api, folder)

    def base(self, repo: str) -> Path:
        """The base of exampleorg/REPO."""
        return self.base_root / "exampleorg" / f"{repo}.git"

    @contextmanager
    def lock(self, path: Path) -> Iterator[None]:
        """Holds one of the claim's locks, as another pod would."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            owner = path.parent.stat()
            os.chown(descriptor, owner.st_uid, owner.st_gid)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def first_process(self, pod: JsonObject, container: str) -> int:
        """The first process of a container; with it all the others of the container end. Fails if the container doesn't run."""
        (status,) = [s for s in pod["status"].get("containerStatuses") or [] if s["name"] == container]
        wanted = str(status.get("containerID", "")).removeprefix("containerd://")
        listed = subprocess.run(worker.ctr("tasks", "list"), capture_output=True, text=True, check=True).stdout
        (pid,) = [int(line.split()[1]) for line in listed.splitlines() if line.startswith(wanted)]
        return pid

    def kill_when(self, pid: int, condition: Callable[[], bool], seconds: float) -> bool:
        """Kills a process as soon as a condition holds, within less than a millisecond. False: the process ended before.

        Raises AssertionError if the condition doesn't come.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if not Path(f"/proc/{pid}").exists():
                return False
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: the moment of a kill"
            time.sleep(0.0002)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def kill_kubelet(self) -> None:
        """Kills the kubelet and starts it again; returns when the node is Ready and kept so by the new one."""
        beat = self._heartbeat()
        processes.kill("kubelet")
        worker.start_kubelet()
        wait_for("the node is Ready under the new kubelet", lambda: self._heartbeat() > beat, READY_SECONDS)

    def kill_containerd(self) -> None:
        """Kills containerd, whose containers go on without it, and starts it again; returns when it answers and the node is Ready."""
        processes.kill("containerd")
        worker.start_containerd()
        beat = self._heartbeat()
        wait_for("the node is Ready with the new containerd", lambda: self._heartbeat() > beat, READY_SECONDS)

    def _heartbeat(self) -> str:
        """When the node last renewed its lease while it was Ready; empty if it isn't."""
        (node,) = self._api.items("/api/v1/nodes")
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
        lease = self._api.get(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node['metadata']['name']}")
        return str(lease["spec"]["renewTime"]) if ready else ""

"""What a cluster has before the stack comes: DNS, a storage class, Argo Workflows, Argo Events."""

import hashlib
import string
import subprocess
import time
from pathlib import Path

from node import images, network, worker
from node.binaries import family, module_folder, program
from node.locations import kubeconfig, state_folder

_ADDONS = Path(__file__).resolve().parent / "addons"
_ARGO = "github.com/argoproj/argo-workflows/v3"
_ARGO_EVENTS = "github.com/argoproj/argo-events"
READY_SECONDS = 180


class AddonError(Exception):
    """An addon was not applied or does not get ready; the message has kubectl's words."""


def kubectl(*arguments: str, given: str | None = None) -> str:
    """Run kubectl against the node; AddonError with its output if it fails."""
    done = subprocess.run(
        [str(program("kubectl")), f"--kubeconfig={kubeconfig()}", *arguments],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AddonError(f"`kubectl {' '.join(arguments)}` failed:\n{done.stdout}")
    return done.stdout


def crd_folder(size: str) -> Path:
    """Argo Workflows' CRDs: "minimal", as installs use them, or "full", with schemas to check against."""
    return module_folder(family("argo-workflows"), _ARGO) / "manifests" / "base" / "crds" / size


def events_crd_folder() -> Path:
    """Argo Events' CRDs, which say nothing of what an object holds."""
    return module_folder(family("argo-events"), _ARGO_EVENTS) / "manifests" / "base" / "crds"


def _manifests() -> list[str]:
    """Every addon, in the order of application: kinds first, as the controller ends itself where its own are missing."""
    values = {
        "DNS_ADDRESS": network.DNS_ADDRESS,
        "VOLUMES": str(state_folder() / "volumes"),
        "SANDBOX_IMAGE": worker.SANDBOX_IMAGE,
        "ARGO_EVENTS_IMAGE": images.ARGO_EVENTS,
    }
    kinds = [
        definition.read_text() for folder in (crd_folder("minimal"), events_crd_folder()) for definition in sorted(folder.glob("argoproj.io_*.yaml"))
    ]
    return kinds + [string.Template(manifest.read_text()).substitute(values) for manifest in sorted(_ADDONS.glob("*.yaml"))]


def apply() -> None:
    """Apply every addon, unless these very manifests were applied to this node, and wait until all run; raises AddonError."""
    manifests = _manifests()
    mark = state_folder() / f"addons-{hashlib.sha256(repr(manifests).encode()).hexdigest()[:16]}"
    if not mark.exists():
        for manifest in manifests:
            kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", given=manifest)
        mark.touch()
    for namespace, deployment in (
        ("kube-system", "coredns"),
        ("local-path-storage", "local-path-provisioner"),
        ("argo", "workflow-controller"),
        ("argo-events", "controller-manager"),
    ):
        kubectl("--namespace", namespace, "rollout", "status", f"deployment/{deployment}", f"--timeout={READY_SECONDS}s")


def wait_for_node() -> None:
    """Wait until the node is Ready and a default service account lets pods start."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=5s")
            kubectl("get", "serviceaccount", "default")
        except AddonError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def probe() -> None:
    """Wait until pods really start: for half a minute after its start the kubelet may refuse them.

    It says 'services have not yet been read at least once' then, and gives a pod up for good if
    that pod is never restarted.
    """
    name = "startup-probe"
    deadline = time.monotonic() + READY_SECONDS
    while True:
        kubectl("delete", "pod", name, "--ignore-not-found", "--wait=true")
        kubectl(
            *("run", name, "--restart=Never", f"--image={worker.SANDBOX_IMAGE}"),
            *("--image-pull-policy=Never", "--command", "--", "/bin/sh", "-c", "exit 0"),
        )
        try:
            kubectl(*("wait", "pod", name, "--for=jsonpath={.status.phase}=Succeeded"), "--timeout=20s")
        except AddonError:
            if time.monotonic() > deadline:
                raise
        else:
            kubectl("delete", "pod", name, "--wait=false")
            return

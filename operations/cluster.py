"""Runs a command against one named cluster of the user's, or a kind cluster made for the purpose.

Never the kubeconfig's current context: what is used is a copy that holds the named one alone.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

KIND_CLUSTER = "coderun"
ARGO_VERSION = "v3.7.17"
ARGO_MANIFEST = f"https://github.com/argoproj/argo-workflows/releases/download/{ARGO_VERSION}/install.yaml"
EVENTS_VERSION = "v1.9.10"
EVENTS_MANIFEST = f"https://raw.githubusercontent.com/argoproj/argo-events/{EVENTS_VERSION}/manifests/namespace-install.yaml"
IMAGES = {"coderun.local/workspace:dev": "images/workspace", "coderun.local/fixtures:dev": "images/fixtures"}
"""Image -> the folder of its Containerfile; kind cannot pull what no registry has."""

_COPIES = Path("build") / "kubeconfigs"


class ClusterError(Exception):
    """The cluster cannot be used as asked; the message has the remedy."""


def _program(name: str, path: str | None = None) -> str:
    found = shutil.which(name, path=path)
    if found is None:
        raise ClusterError(f"`{name}` is not on PATH. Remedy: install it; docs/setup.md says which versions.")
    return found


def _call(*command: str) -> str:
    _program(command[0])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


def kubeconfig_of(context: str) -> Path:
    """Write a kubeconfig with that one context as the current one, and return its path.

    Raises ClusterError if there is no such context.
    """
    known = _call("kubectl", "config", "get-contexts", "--output=name").split()
    if context not in known:
        fault = f"there is no context {context!r}" if context else "no context was named"
        raise ClusterError(f"{fault}. Remedy: `make … CLUSTER=current CONTEXT=name` with one of: {', '.join(known) or '(the kubeconfig has none)'}.")
    text = _call("kubectl", "config", "view", "--minify", "--flatten", f"--context={context}")
    _COPIES.mkdir(parents=True, exist_ok=True)
    target = _COPIES / f"{context.replace('/', '_')}.yaml"
    target.touch(mode=0o600)
    target.write_text(text)
    _call("kubectl", "config", f"--kubeconfig={target}", "use-context", context)
    return target.resolve()


def prepare_kind() -> None:
    """Make the kind cluster with Argo Workflows, Argo Events and this project's images; nothing that is there."""
    if KIND_CLUSTER not in _call("kind", "get", "clusters").split():
        _call("kind", "create", "cluster", "--name", KIND_CLUSTER)
    for image, folder in IMAGES.items():
        _call("docker", "build", "--quiet", "--tag", image, "--file", f"{folder}/Containerfile", ".")
        _call("kind", "load", "docker-image", image, "--name", KIND_CLUSTER)
    _install("argo", ARGO_MANIFEST, "workflow-controller")
    _install("argo-events", EVENTS_MANIFEST, "controller-manager", "IMAGE_PULL_POLICY=IfNotPresent")


def _install(namespace: str, manifest: str, controller: str, *environment: str) -> None:
    """Apply a manifest in a namespace of its own, set its controller's environment, and wait for the controller."""
    kubectl = ("kubectl", f"--context=kind-{KIND_CLUSTER}", f"--namespace={namespace}")
    if namespace not in _call(*kubectl, "get", "namespaces", "--output=jsonpath={.items[*].metadata.name}").split():
        _call(*kubectl, "create", "namespace", namespace)
    _call(*kubectl, "apply", "--server-side", f"--filename={manifest}")
    if environment:
        _call(*kubectl, "set", "env", f"deployment/{controller}", *environment)
    _call(*kubectl, "rollout", "status", f"deployment/{controller}", "--timeout=300s")


def main() -> int:
    """Parse the command line; prepare the cluster, or become the command that is to run against it."""
    parser = argparse.ArgumentParser(prog="python -m operations.cluster", description=__doc__)
    parser.add_argument("--cluster", required=True, choices=("kind", "current"))
    parser.add_argument("--context", default="", metavar="NAME", help="a context of your kubeconfig, for --cluster current")
    parser.add_argument("--prepare", action="store_true", help="make what the cluster lacks and stop")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    try:
        if options.cluster == "kind" and options.prepare:
            prepare_kind()
        context = f"kind-{KIND_CLUSTER}" if options.cluster == "kind" else options.context
        copy = kubeconfig_of(context)
        if options.prepare:
            _call("pulumi", "version")
            return 0
        variables = {**os.environ, "KUBECONFIG": str(copy), "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
        program = _program(command[0], variables["PATH"])
    except ClusterError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return subprocess.run([program, *command[1:]], env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

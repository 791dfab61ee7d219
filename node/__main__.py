"""`python -m node`: starts, stops and describes the built-in single-node cluster."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from node import (
    addons,
    binaries,
    control_plane,
    debian,
    environment,
    images,
    network,
    processes,
    worker,
)
from node.locations import cache_folder, kubeconfig, state_folder
from node.progress import say, step

_ERRORS = (
    addons.AddonError,
    binaries.BuildError,
    debian.PackageError,
    images.ImageError,
    processes.ProcessError,
)


def up() -> None:
    """Build what is missing, start what does not run, and wait until pods start."""
    if os.geteuid() != 0:
        raise debian.PackageError(
            "the built-in node starts containers and a network namespace and needs root. Remedy:"
            " run `sudo make up`, or use your own cluster: `make up CLUSTER=current CONTEXT=name`."
        )
    debian.install()
    images.fetch_debian_layers()
    binaries.build()
    images.build()
    environment.write_programs()
    with step("starting the node"):
        network.create()
        control_plane.start()
        worker.start_containerd()
        images.load()
        fresh = not processes.running("kubelet")
        worker.start_kubelet()
        addons.wait_for_node()
    with step("starting DNS, the storage class, Argo Workflows and Argo Events"):
        if fresh:
            addons.probe()
        addons.apply()
    say(f"==> the node runs. Its kubeconfig: {kubeconfig()}")


def _processes_inside() -> list[int]:
    """Every process that still lives in the node's namespace or under its containerd."""
    marks = (str(state_folder()).encode(), str(worker.socket()).encode())
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"containerd-shim" in command and any(mark in command for mark in marks):
                found.append(int(entry.name))
    return found


def down() -> None:
    """Stop the node and remove everything that it made; the cache stays."""
    with step("stopping the node"):
        processes.stop("kubelet")
        if processes.running("containerd"):
            _remove_containers()
        for name in (*worker.PROGRAMS, *control_plane.PROGRAMS):
            processes.stop(name)
        for pid in _processes_inside():
            os.kill(pid, 9)
        _unmount()
        network.delete()
        shutil.rmtree(state_folder(), ignore_errors=True)
    if state_folder().exists():
        raise processes.ProcessError(
            f"{state_folder()} could not be removed whole. Remedy: `mount | grep coderun-node`, unmount what is left, then `make down` again."
        )


def _pod_networks() -> set[str]:
    """The names of the network namespaces of the node's pods, as containerd's containers refer to them."""
    listed = subprocess.run(worker.ctr("containers", "list", "--quiet"), capture_output=True, text=True, check=False)
    found: set[str] = set()
    for container in listed.stdout.split():
        told = subprocess.run(worker.ctr("containers", "info", container), capture_output=True, text=True, check=False)
        found.update(re.findall(r"/run/netns/(cni-[0-9a-f-]+)", told.stdout))
    return found


def _remove_containers() -> None:
    networks = _pod_networks()
    listed = subprocess.run(worker.ctr("tasks", "list", "--quiet"), capture_output=True, text=True, check=False)
    for task in listed.stdout.split():
        subprocess.run(worker.ctr("tasks", "delete", "--force", task), capture_output=True, check=False)
    for name in networks:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _unmount() -> None:
    """Unmount what the kubelet and containerd left below the state folder, deepest first."""
    prefix = str(state_folder()) + "/"
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for target in sorted((m for m in mounted if m.startswith(prefix)), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", target], check=False, capture_output=True)


def status() -> None:
    """Print which of the node's programs run."""
    for name in (*reversed(control_plane.PROGRAMS), *reversed(worker.PROGRAMS)):
        pid = processes.running(name)
        say(f"{name:<24} {'pid ' + str(pid) if pid else 'not running'}")


def print_environment() -> None:
    """Print shell lines that make pulumi, kubectl and argo use the node."""
    for name, value in environment.variables().items():
        say(f"export {name}={shlex.quote(value)}")


def run(command: list[str]) -> None:
    """Replace this process by the command, with the node's environment."""
    if not kubeconfig().exists():
        raise processes.ProcessError("the built-in node does not run. Remedy: `make up`.")
    variables = {**os.environ, **environment.variables()}
    program = shutil.which(command[0], path=variables["PATH"])
    if program is None:
        raise processes.ProcessError(f"no program `{command[0]}`. Remedy: `make up`.")
    os.execve(program, command, variables)  # noqa: S606 - becoming the command is the point


def clean_cache() -> None:
    """Remove every program and image that was built."""
    shutil.rmtree(cache_folder(), ignore_errors=True)


def main() -> int:
    """Parse the command line and do what it says; 1 and a remedy on a known error."""
    parser = argparse.ArgumentParser(prog="python -m node", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    actions = {
        "up": up,
        "down": down,
        "status": status,
        "env": print_environment,
        "clean-cache": clean_cache,
    }
    for name, action in actions.items():
        commands.add_parser(name, help=(action.__doc__ or "").splitlines()[0])
    runner = commands.add_parser("run", help="run a command with the node's environment")
    runner.add_argument("arguments", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args()
    try:
        if options.command == "run":
            given = options.arguments
            run(given[1:] if given[:1] == ["--"] else given)
        else:
            actions[options.command]()
    except _ERRORS as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

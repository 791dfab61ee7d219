"""The node's own network namespace, so that the machine's routes and iptables stay as they were.

The namespace has one link: a veth pair over which the machine reaches the API server. It has no
default route: a pod that tries to reach the outside is told so at once instead of hanging.
"""

import shutil
import subprocess
from pathlib import Path

NAMESPACE = "coderun-node"
HOST_ADDRESS = "10.211.0.1"
NODE_ADDRESS = "10.211.0.2"
POD_CIDR = "10.212.0.0/16"
SERVICE_CIDR = "10.213.0.0/16"
API_SERVICE_ADDRESS = "10.213.0.1"
DNS_ADDRESS = "10.213.0.10"
_HOST_LINK = "coderun0"
_NODE_LINK = "uplink"


def run(*command: str) -> None:
    """Run a command of the machine; CalledProcessError carries its output."""
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def inside(*command: str) -> list[str]:
    """The command, made to run in the node's network namespace.

    nsenter and not `ip netns exec`: that one gives every process a mount namespace of its own, and
    containerd would not see the volumes that the kubelet mounts.
    """
    return ["nsenter", f"--net=/run/netns/{NAMESPACE}", *command]


def exists() -> bool:
    """Whether the namespace is there."""
    return Path(f"/run/netns/{NAMESPACE}").exists()


def create() -> None:
    """Make the namespace and its link, whole or not at all; nothing where they are there."""
    if exists():
        return
    try:
        _create()
    except BaseException:
        delete()
        raise


def _create() -> None:
    run("ip", "netns", "add", NAMESPACE)
    run("ip", "link", "add", _HOST_LINK, "type", "veth", "peer", "name", _NODE_LINK)
    run("ip", "link", "set", _NODE_LINK, "netns", NAMESPACE)
    run("ip", "addr", "add", f"{HOST_ADDRESS}/30", "dev", _HOST_LINK)
    run("ip", "link", "set", _HOST_LINK, "up")
    for command in (
        ("ip", "link", "set", "lo", "up"),
        ("ip", "addr", "add", f"{NODE_ADDRESS}/30", "dev", _NODE_LINK),
        ("ip", "link", "set", _NODE_LINK, "up"),
        # Service addresses need some route before kube-proxy's rules can rewrite them.
        ("ip", "route", "add", SERVICE_CIDR, "dev", _NODE_LINK),
        ("sysctl", "-q", "-w", "net.ipv4.ip_forward=1"),
    ):
        run(*inside(*command))
    # A module in some kernels, built in in others, and then there may be no modprobe.
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "br_netfilter"], check=False, capture_output=True)
    bridge = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    if Path(bridge).exists():
        run(*inside("sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1"))


def delete() -> None:
    """Take the namespace and its link away."""
    subprocess.run(["ip", "link", "del", _HOST_LINK], check=False, capture_output=True)
    if exists():
        run("ip", "netns", "del", NAMESPACE)

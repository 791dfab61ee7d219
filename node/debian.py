"""The Debian packages that the node runs on, installed where they are missing."""

import os
import shutil
import subprocess
from pathlib import Path

from node.progress import say, step

PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables",
    "iproute2": "ip",
    "conntrack": "conntrack",
    "socat": "socat",
    "shellcheck": "shellcheck",
    "git": "git",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
    "busybox-static": "/bin/busybox",
    "procps": "sysctl",
    "mount": "mount",
}
"""Package -> a program or file that shows it is there."""


class PackageError(Exception):
    """Packages are missing and could not be installed."""


def _missing() -> list[str]:
    return [package for package, sign in PACKAGES.items() if not (Path(sign).exists() if sign.startswith("/") else shutil.which(sign))]


def install() -> None:
    """Install what is missing with apt-get; raises PackageError with the remedy."""
    missing = _missing()
    if not missing:
        say("==> Debian packages: all there")
        return
    remedy = f"Remedy: `apt-get install --no-install-recommends {' '.join(missing)}` as root."
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise PackageError(f"the built-in node needs {', '.join(missing)}. {remedy}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing Debian packages: {', '.join(missing)}"):
        for command in (
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise PackageError(f"`{' '.join(command)}` failed:\n{done.stderr}\n{remedy}")

"""Where the built-in node keeps what it builds and what it runs.

Two places: a cache that outlives everything (keyed by hashes, safe to delete at any time) and a
state folder that `make down` removes. Both lie outside the checkout, so that a fresh clone finds
what an earlier one built.
"""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout."""


def cache_folder() -> Path:
    """The folder for built binaries and images; CODERUN_CACHE overrides the XDG default."""
    override = os.environ.get("CODERUN_CACHE")
    if override:
        return Path(override)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "coderun-workspaces"


def state_folder() -> Path:
    """The folder of the running node: keys, sockets, logs, volumes; CODERUN_STATE overrides."""
    return Path(os.environ.get("CODERUN_STATE") or "/var/lib/coderun-node")


def kubeconfig() -> Path:
    """The administrator's kubeconfig of the built-in node."""
    return state_folder() / "admin.kubeconfig"

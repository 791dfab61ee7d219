"""Puts the stand-in where the engine finds it, and tells whether it is needed at all."""

import os
import shlex
import sys
from pathlib import Path

from node.locations import PROJECT

PROGRAM = "pulumi-resource-kubernetes"
"""The name by which the engine looks for the plugin on PATH."""


def official_plugin_installed() -> bool:
    """Whether the engine has the official plugin in its own folder ($PULUMI_HOME)."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    return any(home.glob(f"plugins/resource-kubernetes-*/{PROGRAM}*"))


def write_launcher(folder: Path) -> Path:
    """Write the program that the engine starts into `folder`, and return its path.

    The engine prefers what it finds on PATH to its own plugins: put the folder on PATH only if
    not `official_plugin_installed()`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    launcher = folder / PROGRAM
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(PROJECT))} exec {shlex.quote(sys.executable)} -m node.plugin "$@"\n')
    launcher.chmod(0o755)
    return launcher

"""The environment in which pulumi, kubectl and argo work on the built-in node."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from node.binaries import family, module_folder, program
from node.locations import PROJECT, kubeconfig, state_folder
from node.plugin.launcher import official_plugin_installed, write_launcher

_ENGINE = "github.com/pulumi/pulumi/sdk/v3"
_INTERPRETER = "python-of-the-language-host"


def programs_folder() -> Path:
    """The folder of links to the programs that a person calls."""
    return state_folder() / "bin"


def write_programs() -> None:
    """Link kubectl, argo and pulumi into the programs folder, the stand-in plugin where needed."""
    folder = programs_folder()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("kubectl", "argo", "pulumi"):
        (folder / name).symlink_to(program(name))
    # The language host starts a script that lies beside it, wherever a link to it may be, and that belongs to the engine's own version.
    shutil.copy(program("pulumi-language-python"), folder)
    executor = Path("python") / "cmd" / "pulumi-language-python-exec"
    target = folder / executor.name
    shutil.copyfile(module_folder(family("pulumi"), _ENGINE) / executor, target)
    target.chmod(0o755)
    _write_interpreter(folder / _INTERPRETER)
    if not official_plugin_installed():
        write_launcher(folder)


def _write_interpreter(target: Path) -> None:
    """Write the command that the language host runs as Python.

    The host is older than the engine (there is no newer one in a registry) and runs a policy pack as if it were a program without a
    name: its first argument is empty then, the second is the engine's address. Such a call is turned into the start of the pack.
    """
    python = shlex.quote(sys.executable)
    policies = shlex.quote(str(PROJECT / "policies"))
    target.write_text(
        f"""#!/bin/sh
if [ $# -gt 1 ] && [ -z "$1" ]; then
    exec {python} -u -m pulumi.policy "$2" {policies}
fi
exec {python} "$@"
""",
    )
    target.chmod(0o755)


def variables() -> dict[str, str]:
    """What has to be set, and nothing else.

    The dev stack holds no secret, so its passphrase is empty and its state lies with the node.
    """
    state = state_folder() / "pulumi"
    state.mkdir(parents=True, exist_ok=True)
    # As called, not resolved: a virtual environment's python is a link to the system's.
    interpreter = Path(sys.executable).parent
    path = [str(interpreter), str(programs_folder()), os.environ.get("PATH", "")]
    return {
        "PATH": os.pathsep.join(path),
        "KUBECONFIG": str(kubeconfig()),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": os.environ.get("PULUMI_CONFIG_PASSPHRASE", ""),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_PYTHON_CMD": str(programs_folder() / _INTERPRETER),
    }

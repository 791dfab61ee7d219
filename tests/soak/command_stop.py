"""Stops a step for ever before a chosen one of the commands that it calls, so that it can be killed there and nowhere else."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

COMMANDS: Final = ("chmod", "cp", "find", "flock", "git", "kubectl", "ln", "mkdir", "mv", "rm", "touch")
"""What the steps call that reads or changes a claim or the cluster."""

_PROGRAM: Final = """#!/bin/sh
printf . >>"$STOP_FOLDER/calls"
if [ "$(wc -c <"$STOP_FOLDER/calls")" -eq "$STOP_AT" ]; then
    : >"$STOP_FOLDER/reached"
    read -r never <"$STOP_FOLDER/pipe"
fi
PATH=${PATH#*:} exec "${0##*/}" "$@"
"""


@dataclass(frozen=True)
class CommandStop:
    """Programs that are put in front of the real ones, for one step."""

    folder: Path
    """Made by :func:`command_stop`."""
    at: int
    """The number of the command that is never begun; 0 for none."""

    def variables(self, path: str) -> dict[str, str]:
        """Environment of the step, whose PATH would be PATH."""
        return {"PATH": f"{self.folder / 'bin'}:{path}", "STOP_FOLDER": str(self.folder), "STOP_AT": str(self.at)}

    def reached(self) -> bool:
        """Whether the step stands there."""
        return (self.folder / "reached").exists()

    def calls(self) -> int:
        """Commands that were called so far, the one that is stopped included."""
        calls = self.folder / "calls"
        return calls.stat().st_size if calls.exists() else 0


def command_stop(folder: Path, at: int) -> CommandStop:
    """Make the programs in a folder, which must not be there yet."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "program"
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    for name in COMMANDS:
        (folder / "bin" / name).symlink_to(program)
    os.mkfifo(folder / "pipe")
    return CommandStop(folder, at)

"""Running the command line tools that users run: argo, kubectl, pulumi."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COMMAND_SECONDS = 300.0
"""Far above any command here; only a hanging one gets there."""


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.out + self.err


class CommandFailedError(AssertionError):
    """A command ended with another exit code than 0."""


def attempt(command: Sequence[str], stdin: str | None = None, env: Mapping[str, str] | None = None, cwd: str | None = None) -> Done:
    """Runs a command, whatever its exit code."""
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
        env=env,
        cwd=cwd,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def run(command: Sequence[str], stdin: str | None = None) -> str:
    """Runs a command and returns what it printed. Raises CommandFailedError with its error output."""
    done = attempt(command, stdin)
    if done.code != 0:
        raise CommandFailedError(f"{' '.join(command)}: exit code {done.code}\n{done.text}")
    return done.out

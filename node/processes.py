"""Long-running programs of the node: started once, found again by their pid file, stopped."""

import os
import signal
import subprocess
import time
from pathlib import Path

from node.locations import state_folder


class ProcessError(Exception):
    """A program of the node did not start or stop; the message names its log."""


def log_file(name: str) -> Path:
    """Where the program of that name writes."""
    return state_folder() / "logs" / f"{name}.log"


def _pid_file(name: str) -> Path:
    return state_folder() / "run" / f"{name}.pid"


def _identity(pid: int) -> str | None:
    """The start time of a process in clock ticks since boot (proc(5), field 22), None if gone.

    A pid alone may belong to another process after a restart of the machine.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def running(name: str) -> int | None:
    """The pid of the running program of that name, or None."""
    try:
        pid, started = _pid_file(name).read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if _identity(int(pid)) == started else None


def start(name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
    """Start the program, detached from this one, unless it runs already."""
    if running(name):
        return
    for path in (_pid_file(name), log_file(name)):
        path.parent.mkdir(parents=True, exist_ok=True)
    with log_file(name).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    _pid_file(name).write_text(f"{process.pid} {_identity(process.pid)}\n")


def write_settings(name: str, path: Path, text: str) -> Path:
    """Write the settings file of a program, for `start`; a running program with others is stopped first.

    A file that says the same already is not touched: kube-proxy ends itself when its own is written.
    """
    if not path.exists() or path.read_text() != text:
        stop(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


def stop(name: str, seconds: float = 20.0) -> None:
    """End the program: SIGTERM, and SIGKILL after that many seconds."""
    pid = running(name)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while running(name):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
    _pid_file(name).unlink(missing_ok=True)


def kill(name: str) -> None:
    """End the program as a crash does: it is told nothing, and its pid file stays. Nothing where it does not run."""
    pid = running(name)
    if pid is None:
        return
    os.kill(pid, signal.SIGKILL)
    while running(name):
        time.sleep(0.02)


def last_lines(name: str, count: int = 15) -> str:
    """The end of the program's log, for an error message."""
    try:
        return "\n".join(log_file(name).read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return "(no log)"

"""Time and CPU of a shell script."""

import os
import subprocess
import time


def timed(script: str, environment: dict[str, str]) -> tuple[float, float]:
    """Run a script; its wall time and its CPU time with that of all it started, in seconds.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    began = time.monotonic()
    process = subprocess.Popen(["sh", "-euc", script], env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status:
        raise subprocess.CalledProcessError(status, script)
    process.returncode = 0
    return wall, usage.ru_utime + usage.ru_stime

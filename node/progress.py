"""Lines that tell a person what a long command is doing and how long it has been at it."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT_SECONDS = 30.0
"""How often a running step says that it is still alive."""


def say(message: str) -> None:
    """Print one line at once, whatever standard output is."""
    sys.stdout.write(message + "\n")
    sys.stdout.flush()


@contextmanager
def step(message: str) -> Iterator[None]:
    """Announce a step, repeat its name while it lasts, and print its duration at the end."""
    say(f"==> {message}")
    started = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"    … {message}: {time.monotonic() - started:.0f} s so far")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    say(f"    done in {time.monotonic() - started:.1f} s")

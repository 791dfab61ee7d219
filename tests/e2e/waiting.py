"""Waiting for conditions, with a deadline and a reason when it passes."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

POLL_SECONDS = 0.3


class DeadlinePassedError(AssertionError):
    """What a test waited for did not come about in time."""


def wait_for(what: str, probe: Callable[[], Found | None], seconds: float, on_failure: Callable[[], str] = str) -> Found:
    """Asks until the probe answers with something true.

    Raises DeadlinePassedError after so many seconds, with `on_failure`'s text as the explanation.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise DeadlinePassedError(f"not within {seconds:.0f} s: {what}\n{on_failure()}")
        time.sleep(POLL_SECONDS)

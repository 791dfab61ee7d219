"""How fast pull-request events may start runs: the numbers that Argo Events and the runs are given, from those that people set.

Argo Events' trigger limiter is go.uber.org/ratelimit with its fixed slack of 10. It delays and never drops. At R requests a minute it lets
one through every 60/R s, and what it saved up while idle, at most 10, at once on top. So in 60 s, both ends counted, there can be R + 11.
Each restart of the sensor begins with a limiter that lets one through at once: one restart in those 60 s makes it R + 12.

Time per pull request. The sensor's filter lets one event of a pull request pass and drops those within the window after it. The run of the one
that passed waits for longer than the window before anything looks up the pull request's head, so it has what the dropped ones pushed:

* the filter counts whole seconds, so what it drops came less than window + 1 s after the one that passed;
* Argo notes the beginning of a wait in whole seconds, so a wait of H s lasts more than H - 1 s; hence H >= window + 2 at least;
* the limiter may delay a workflow by one interval, 60/R s, after its event has passed the filter. Two workflows of a pull request could then be
  closer together than two events: the window is longer than the debounce time by one interval.

After the loss of the sensor's container an event that had passed, and whose workflow wasn't made, comes again 30 s later and must pass again,
while the file with the windows is still there: so a window has to be shorter than that.
"""

import math
from typing import Final

SLACK_REQUESTS: Final = 10
"""Requests that the limiter saves up (go.uber.org/ratelimit v0.3.1, ``buildConfig``; Argo Events 1.9.10 sets no other)."""

RESTARTS: Final = 1
"""Restarts of the sensor in one minute that still keep the limit."""

REDELIVERY_SECONDS: Final = 30
"""After so long the event bus delivers an event again that a lost sensor hadn't finished (NATS' default AckWait)."""

_EDGES: Final = 1  # a window of 60 s holds one more point of a grid than fits between its ends
_HOLD_MARGIN_SECONDS: Final = 5  # 2 s by the rule above; the rest is for clocks that differ and a git server that is late
_REDELIVERY_MARGIN_SECONDS: Final = 2


def requests_per_minute(max_per_minute: int) -> int:
    """Set the limiter so that no 60 s ever hold more than ``max_per_minute`` workflows.

    Raises:
        ValueError: The limiter's slack alone is as much as that.
    """
    spent = SLACK_REQUESTS + RESTARTS + _EDGES
    if max_per_minute <= spent:
        raise ValueError(f"must be at least {spent + 1}: Argo Events lets {SLACK_REQUESTS + 1} through at once. Remedy: give {spent + 1} or more")
    return max_per_minute - spent


def window_seconds(debounce_seconds: int, max_per_minute: int) -> int:
    """Say for how long the filter drops further events of a pull request.

    Raises:
        ValueError: The window is so long that an event could be lost with the sensor's container.
    """
    interval = math.ceil(60 / requests_per_minute(max_per_minute))
    window = debounce_seconds + interval
    longest = REDELIVERY_SECONDS - _REDELIVERY_MARGIN_SECONDS
    if window > longest:
        raise ValueError(
            f"debounceSeconds and the {interval} s that maxPerMinute puts between two workflows make {window} s, more than {longest}. "
            "Remedy: lower debounceSeconds or raise maxPerMinute"
        )
    return window


def hold_seconds(debounce_seconds: int, max_per_minute: int) -> int:
    """Say for how long an event's run waits before it looks up the pull request's head."""
    return window_seconds(debounce_seconds, max_per_minute) + _HOLD_MARGIN_SECONDS

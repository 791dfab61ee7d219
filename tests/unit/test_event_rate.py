"""No minute ever holds more workflows than people set: told by a model of Argo Events' limiter, as its source has it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.event_rate import (
    REDELIVERY_SECONDS,
    RESTARTS,
    SLACK_REQUESTS,
    hold_seconds,
    requests_per_minute,
    window_seconds,
)

DEFAULTS = (15, 30)
"""debounceSeconds and maxPerMinute."""


class Limiter:
    """go.uber.org/ratelimit 0.3.1, ``limiter_atomic_int64.go``, in microseconds: it delays, and saves up ten requests while idle."""

    def __init__(self, per_minute: int) -> None:
        """Begins as after a start of the sensor."""
        self._interval = 60_000_000 // per_minute
        self._slack = SLACK_REQUESTS * self._interval
        self._next = 0

    def take(self, now: int) -> int:
        """When a request that comes at this moment is let through."""
        if self._next == 0:
            self._next = now
        elif now - self._next > self._slack + self._interval:
            self._next = now - self._slack
        else:
            self._next += self._interval
        return max(self._next, now)


def started(per_minute: int, pauses: list[float], restarts: frozenset[int]) -> list[int]:
    """When the workflows of events are made that come with these pauses, in seconds; before some of them the sensor starts anew."""
    limiter, arrives, free, made = Limiter(per_minute), 1_000_000_000, 0, list[int]()
    for position, pause in enumerate(pauses):
        arrives += round(pause * 1_000_000)
        if position in restarts:
            limiter = Limiter(per_minute)
        # One event at a time: the next one is looked at when the workflow of the one before is there.
        free = limiter.take(max(arrives, free))
        made.append(free)
    return made


def most_in_a_minute(times: list[int]) -> int:
    """The most that any 60 s hold, both ends counted."""
    return max((sum(1 for other in times if 0 <= other - time <= 60_000_000) for time in times), default=0)


@settings(max_examples=300, deadline=None)
@given(
    maximum=st.integers(SLACK_REQUESTS + RESTARTS + 2, 80),
    pauses=st.lists(st.one_of(st.just(0.0), st.floats(0, 5), st.floats(0, 90)), min_size=1, max_size=150),
    restart=st.integers(0, 150),
)
@example(maximum=30, pauses=[0.0, 300.0, *[0.0] * 60], restart=200)
@example(maximum=30, pauses=[0.0, 300.0, *[0.0] * 60], restart=30)
@example(maximum=13, pauses=[0.0, 700.0, *[0.0] * 30], restart=12)
def test_no_minute_holds_more_than_the_maximum(maximum: int, pauses: list[float], restart: int) -> None:
    made = started(requests_per_minute(maximum), pauses, frozenset({restart}))
    assert most_in_a_minute(made) <= maximum
    assert made == sorted(made)
    assert len(made) == len(pauses), "it delays, and drops none"


def test_the_limit_is_not_far_below_what_was_set() -> None:
    """After an idle time and with a restart in the minute the model comes up to the maximum, so the margin is no larger than it has to be."""
    made = started(requests_per_minute(30), [0.0, 300.0, *[0.0] * 60], frozenset({20}))
    assert most_in_a_minute(made) == 30
    assert most_in_a_minute(started(30, [0.0, 300.0, *[0.0] * 60], frozenset())) == 41, "set to the maximum itself the limiter lets more through"


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.integers(1, 300))
def test_windows_are_long_enough_and_end_before_an_event_comes_again(debounce: int, maximum: int) -> None:
    if _is_refused(debounce, maximum):
        return
    window = window_seconds(debounce, maximum)
    interval = 60 / requests_per_minute(maximum)
    # Two events that pass are more than `window` apart; the workflow of the first may be made an interval after its event.
    assert window - interval >= debounce
    assert window < REDELIVERY_SECONDS
    # The filter drops less than window + 1 s after an event, and a wait of H s lasts more than H - 1 s.
    assert hold_seconds(debounce, maximum) - 1 >= window + 1


def test_the_defaults() -> None:
    debounce, maximum = DEFAULTS
    assert requests_per_minute(maximum) == 18
    assert window_seconds(debounce, maximum) == 19
    assert hold_seconds(debounce, maximum) == 24


@pytest.mark.parametrize("maximum", [1, 11, 12])
def test_a_maximum_below_the_slack_is_refused(maximum: int) -> None:
    with pytest.raises(ValueError, match=r"must be at least 13: .*Remedy: give 13 or more"):
        requests_per_minute(maximum)


def test_a_longer_debounce_time_needs_more_workflows_a_minute() -> None:
    refused = [maximum for maximum in range(13, 200) if _is_refused(24, maximum)]
    assert refused == list(range(13, 13 + len(refused))), "raising maxPerMinute is a remedy"


def _is_refused(debounce: int, maximum: int) -> bool:
    try:
        window_seconds(debounce, maximum)
    except ValueError:
        return True
    return False

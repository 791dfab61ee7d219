"""Which events start a run: what is refused and why, and that of a burst one run is left which sees the last push."""

import itertools
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.event_rate import hold_seconds
from tests.payload.event_filter import DELIVERY, EventFilter, pull_request

DEBOUNCE, MOST = 15, 30
HOLD = hold_seconds(DEBOUNCE, MOST)


@pytest.fixture
def sensor(tmp_path: Path) -> EventFilter:
    """A sensor's pod without any window."""
    return EventFilter(tmp_path)


def test_a_push_to_a_pull_request_passes(sensor: EventFilter) -> None:
    found = sensor.decide(pull_request())
    assert found.passed
    assert found.line == f"event-filter: passed delivery={DELIVERY} repo=exampleorg/sample pr=7 action=synchronize: a run is started"


@pytest.mark.parametrize("action", ["opened", "reopened", "synchronize"])
def test_actions_that_start_a_run(sensor: EventFilter, action: str) -> None:
    assert sensor.decide(pull_request(action=action)).passed


def test_names_are_matched_whatever_their_case(sensor: EventFilter) -> None:
    changes: dict[str, Any] = {"repository__owner__login": "OTHER-org", "repository__name": "some.repo_1"}
    assert sensor.decide(pull_request(**changes, pull_request__head__repo__full_name="Other-Org/Some.Repo_1")).passed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"action": "closed"}, "its action is not opened, synchronize or reopened"),
        ({"action": "opened\n"}, "its action is not"),
        ({"action": None}, "its action is not"),
        ({"action": ["opened"]}, "its action is not"),
        ({"X-GitHub-Event": "ping"}, "it is a ping, not a pull_request"),
        ({"X-GitHub-Event": "pull_request_review"}, "it is a pull_request_review, not a pull_request"),
        ({"X-GitHub-Event": None}, "it is a nil, not a pull_request"),
        ({"X-GitHub-Delivery": "x"}, "its delivery id is not a UUID"),
        ({"X-GitHub-Delivery": DELIVERY + "-{{=1}}"}, "its delivery id is not a UUID"),
        ({"X-GitHub-Delivery": "{{=1+1}}"}, "its delivery id is not a UUID"),
        ({"repository": None}, "repository.owner.login is not an owner's name"),
        ({"repository": "text"}, "repository.owner.login is not an owner's name"),
        ({"repository__owner__login": "a/b"}, "repository.owner.login is not an owner's name"),
        ({"repository__owner__login": "exampleorg\n"}, "repository.owner.login is not an owner's name"),
        ({"repository__owner__login": "a" * 40}, "repository.owner.login is not an owner's name"),
        ({"repository__owner__login": {"x": 1}}, "repository.owner.login is not an owner's name"),
        ({"repository__name": "sample\tactive"}, "repository.name is not a repository's name"),
        ({"repository__name": "$(touch x)"}, "repository.name is not a repository's name"),
        ({"repository__name": "other"}, "the repository is not in the stack's list (coderun-workspaces:repos)"),
        ({"repository__name": "sampl"}, "the repository is not in the stack's list"),
        ({"repository__owner__login": "xampleorg"}, "the repository is not in the stack's list"),
        ({"repository__name": "."}, "the repository is not in the stack's list"),
        ({"number": 1.5}, "number is not a pull request's number"),
        ({"number": 0}, "number is not a pull request's number"),
        ({"number": -1}, "number is not a pull request's number"),
        ({"number": 1e10}, "number is not a pull request's number"),
        ({"number": float("inf")}, "number is not a pull request's number"),
        ({"number": "7"}, "number is not a pull request's number"),
        ({"number": None}, "number is not a pull request's number"),
        ({"number": True}, "number is not a pull request's number"),
        ({"pull_request__head__sha": "0123"}, "pull_request.head.sha is not a commit"),
        ({"pull_request__head__sha": "0" * 39 + "x"}, "pull_request.head.sha is not a commit"),
        ({"pull_request__head__sha": "0" * 41}, "pull_request.head.sha is not a commit"),
        ({"pull_request": None}, "pull_request.head.sha is not a commit"),
        ({"pull_request__head__repo": None}, "it comes from a fork (coderun-workspaces:events.forks)"),
        ({"pull_request__head__repo__full_name": "stranger/sample"}, "it comes from a fork"),
        ({"pull_request__head__repo__full_name": "exampleorg/sample2"}, "it comes from a fork"),
        ({"pull_request__base": None}, "the name of its base branch"),
        ({"pull_request__base__ref": ""}, "the name of its base branch"),
        ({"pull_request__base__ref": "main'; touch x; '"}, "the name of its base branch"),
        ({"pull_request__base__ref": "$(touch x)"}, "the name of its base branch"),
        ({"pull_request__base__ref": "{{=1+1}}"}, "the name of its base branch"),
        ({"pull_request__base__ref": 'a"b'}, "the name of its base branch"),
        ({"pull_request__base__ref": "main\n"}, "the name of its base branch"),
        ({"pull_request__base__ref": "b" * 255}, "the name of its base branch has characters that are not allowed, or more than 240"),
        ({"pull_request__base__ref": "naïve"}, "the name of its base branch"),
    ],
)
def test_refusals_and_their_reasons(sensor: EventFilter, changes: dict[str, Any], reason: str) -> None:
    found = sensor.decide(pull_request(**changes))
    assert not found.passed
    assert f": {reason}" in found.line
    assert found.line.isascii()
    assert found.line.isprintable()
    assert not sensor.state.exists(), "a refused event opens no window"


@pytest.mark.parametrize("body", [None, "text", 5, [], {}, [1, 2]])
def test_bodies_that_are_none(sensor: EventFilter, body: object) -> None:
    assert sensor.decide(body).line.startswith("event-filter: dropped ")


def test_evil_titles_and_logins_have_no_effect(sensor: EventFilter) -> None:
    evil = "{{=1+1}} $(touch x) '\"\n\x1b[31m" + "x" * 300
    changes: dict[str, Any] = {"pull_request__title": evil, "pull_request__head__ref": evil, "sender": {"login": evil}}
    found = sensor.decide(pull_request(**changes))
    assert found.passed
    assert "touch" not in found.line


BODY_KEYS = ["X-GitHub-Event", "X-GitHub-Delivery", "action", "number", "repository", "owner", "login", "name", "pull_request", "head", "sha"]
BODIES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=20)),
    lambda inner: st.dictionaries(st.sampled_from(BODY_KEYS), inner),
)


@given(body=BODIES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_breaks_it(sensor: EventFilter, body: object) -> None:
    found = sensor.decide(body)
    assert not found.passed
    assert "can't be read" not in found.line
    assert found.line.isascii()
    assert found.line.isprintable()


BASES = st.text(st.sampled_from(string.printable + "é{}$"), min_size=1, max_size=8)


@given(base=BASES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_passes_is_what_a_run_takes(sensor: EventFilter, base: str) -> None:
    sensor.lose_state()
    allowed = set(string.ascii_letters + string.digits + "._/+@#=,-")
    assert sensor.decide(pull_request(pull_request__base__ref=base)).passed == (set(base) <= allowed)


def test_forks_run_where_they_are_let(tmp_path: Path) -> None:
    sensor = EventFilter(tmp_path, variables={"FORKS": "run"})
    assert sensor.decide(pull_request(pull_request__head__repo__full_name="stranger/sample")).passed
    assert not sensor.decide(pull_request(8, pull_request__head__repo=None, repository__name="other")).passed


def test_a_list_that_cannot_be_read_lets_nothing_pass(sensor: EventFilter) -> None:
    sensor.variables["REPOS_FILE"] = "/nowhere"
    assert "can't be read (ConfigMap coderun-repos)" in sensor.decide(pull_request()).line


def test_a_repository_that_is_added_passes_from_then_on(sensor: EventFilter) -> None:
    added = pull_request(repository__name="added", pull_request__head__repo__full_name="exampleorg/added")
    assert not sensor.decide(added).passed
    repos = sensor.folder / "repos.tsv"
    repos.write_text(repos.read_text() + "repo\texampleorg\tadded\tactive\tk\n")
    assert sensor.decide(added).passed


def test_one_event_a_window_and_pull_request(sensor: EventFilter) -> None:
    start = 1_700_000_000
    passed = [second for second in range(60) if sensor.decide(pull_request(), start + second).passed]
    assert passed == [0, 20, 40]
    assert sensor.decide(pull_request(8), start + 41).passed
    assert not sensor.decide(pull_request(), start + 59).passed
    dropped = sensor.decide(pull_request(8), start + 43)
    assert dropped.line.endswith("pr=8 action=synchronize: the run that was started for this pull request 2 s ago looks up its head later than this")


def test_windows_that_have_ended_are_forgotten(sensor: EventFilter) -> None:
    for number in range(1, 40):
        sensor.decide(pull_request(number), 1_700_000_000 + number)
    assert len(sensor.state.read_text().splitlines()) == 20
    sensor.decide(pull_request(1), 1_700_001_000)
    assert sensor.state.read_text() == "exampleorg/sample#1\t1700001000\n"


@pytest.mark.parametrize("content", ["", "nonsense", "exampleorg/sample#7\t99999999999999\n", "exampleorg/sample#7\tx\n", "\x00\n\n\t\n"])
def test_damaged_windows_mean_a_run_too_many_and_not_a_lost_push(sensor: EventFilter, content: str) -> None:
    sensor.state.write_text(content)
    assert sensor.decide(pull_request()).passed


def test_windows_that_cannot_be_kept_mean_that_every_event_passes(sensor: EventFilter) -> None:
    sensor.variables["STATE_FILE"] = "/nowhere/windows.tsv"
    assert sensor.decide(pull_request()).passed
    del sensor.variables["STATE_FILE"]
    found = sensor.decide(pull_request())
    assert found.passed
    assert "windows can't be kept" in found.line


def test_a_clock_that_is_set_back_loses_no_push(sensor: EventFilter) -> None:
    assert sensor.decide(pull_request(), 1_700_000_000).passed
    assert sensor.decide(pull_request(), 1_699_999_000).passed
    assert not sensor.decide(pull_request(), 1_699_999_005).passed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(st.tuples(st.floats(0, 25), st.integers(1, 3)), min_size=1, max_size=30),
    restart=st.integers(0, 30),
)
def test_every_push_is_seen_by_a_run_and_no_window_has_two(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[float, int]], restart: int
) -> None:
    """Events of three pull requests at any times; before one of them the sensor's pod is replaced."""
    sensor = EventFilter(tmp_path_factory.mktemp("sensor"))
    now = 1_700_000_000.5
    passed: dict[int, list[float]] = {}
    seen: dict[int, list[float]] = {}
    lost_at = None
    for position, (pause, number) in enumerate(events):
        now += pause
        if position == restart:
            sensor.lose_state()
            lost_at = now
        seen.setdefault(number, []).append(now)
        if sensor.decide(pull_request(number), now).passed:
            passed.setdefault(number, []).append(now)
    for number, pushes in seen.items():
        runs = passed[number]
        for push in pushes:
            # The run of an event is made at that moment or later, and its wait of HOLD whole seconds lasts more than HOLD - 1 s.
            assert any(run <= push < run + HOLD - 1 for run in runs) or push in runs
        gaps = [later - earlier for earlier, later in itertools.pairwise(runs) if lost_at is None or not earlier < lost_at <= later]
        assert all(gap > sensor.window for gap in gaps)


@pytest.mark.parametrize("every", [1, 5, 14])
def test_a_steady_stream_still_runs(sensor: EventFilter, every: int) -> None:
    runs = [second for second in range(0, 600, every) if sensor.decide(pull_request(), 1_700_000_000 + second).passed]
    gaps = [later - earlier for earlier, later in itertools.pairwise(runs)]
    assert len(runs) > 600 / (sensor.window + 1 + every)
    assert max(gaps) <= sensor.window + every


def test_every_delivery_sent_twice_starts_one_run(sensor: EventFilter) -> None:
    assert [sensor.decide(pull_request(), 1_700_000_000 + delay).passed for delay in (0, 0, 3, 3)] == [True, False, False, False]

"""From a signed webhook to exactly the right number of runs, on the stack's own bus, receiver and sensor."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from tests.e2e import commands
from tests.e2e.event_runs import (
    ARRIVAL_SECONDS,
    BUS,
    CORE,
    DEBOUNCE_SECONDS,
    HOLD_SECONDS,
    MOST_A_MINUTE,
    SENSOR,
    WINDOW_SECONDS,
    EventRuns,
    Sent,
    gaps,
    made,
    most_in_a_minute,
    parameter,
)
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import FINISHED, RUN_SECONDS, Runs, messages, node, output, phase
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, JsonObject
from tests.fixtures.webhooks import EVIL_STRINGS, Delivery, PullRequest, paced

GATE = "a"
REPOS_LINE = "repo\texampleorg\tadded\tactive\texampleorg-added\n"
START_SECONDS = 180.0
"""For a pod of events to be made anew on a busy machine."""


@pytest.fixture(scope="module")
def events(api: Api, git: GitServerControl) -> Iterator[EventRuns]:
    """The stack's events; the sensor has subscribed before the first test, and no run is left after the last."""
    known = EventRuns(api, git)

    def is_heard() -> bool:
        sent = known.send(PullRequest(known.number(), "0" * 40), "closed")
        return sent.answer.status == 200 and known.decision(sent.delivery) is not None

    wait_for("the sensor hears the receiver", is_heard, START_SECONDS, known.explain)
    yield known
    known.end_all()


def commit_of(workflow: JsonObject) -> str:
    """The commit that a run worked on."""
    return output(workflow, "init-worktree", "commit")


def test_a_signed_webhook_starts_a_run_at_the_pull_requests_head(events: EventRuns, runs: Runs) -> None:
    pull_request = events.pushed(events.number())
    sent = events.take(pull_request, "opened")
    (workflow,) = events.wait_made(pull_request.number)
    name, number = workflow["metadata"]["name"], pull_request.number
    ended = runs.wait_succeeded([name])[name]
    assert commit_of(ended) == pull_request.head
    given = {wanted: parameter(ended, wanted) for wanted in ("owner", "repo", "ref", "baseRef", "prNumber", "taskId")}
    assert given == {
        "owner": "exampleorg",
        "repo": "sample",
        "ref": f"refs/pull/{number}/head",
        "baseRef": "refs/heads/main",
        "prNumber": str(number),
        "taskId": f"pr-{number}-{sent.delivery.id}",
    }
    told = [(one["state"], one["context"]) for one in events.statuses(pull_request.head)]
    assert told == [("pending", "coderun"), ("pending", "coderun"), ("success", "coderun")]


def test_a_person_finds_the_run_by_labels(events: EventRuns, runs: Runs) -> None:
    pull_request = events.pushed(events.number(), base="limited")
    sent = events.take(pull_request)
    (workflow,) = events.wait_made(pull_request.number)
    name = workflow["metadata"]["name"]
    ended = runs.wait_ended([name])[name]
    labels, annotations = ended["metadata"]["labels"], ended["metadata"]["annotations"]
    assert labels["coderun/repo"] == "exampleorg.sample"
    assert labels["coderun/base"] == "limited"
    assert labels["coderun/delivery"] == sent.delivery.id
    assert (annotations["coderun/repo"], annotations["coderun/head"]) == ("exampleorg/sample", pull_request.head)
    outputs = {one["name"]: one["value"] for one in ended["status"]["outputs"]["parameters"]}
    assert (outputs["semaphore-key"], outputs["commit"]) == ("exampleorg-sample-limited", pull_request.head)
    listed = commands.run(["argo", "list", "-n", "argo", "-l", f"coderun/pr={pull_request.number}", "-o", "name"])
    assert listed.split() == [name]


@pytest.mark.parametrize("secret", ["wrong", None])
def test_a_wrong_or_missing_signature_gets_400(events: EventRuns, secret: str | None) -> None:
    pull_request = events.pushed(events.number())
    assert events.deliver(Delivery.of(pull_request.payload("opened"), secret)).answer.status == 400
    events.settle()
    assert events.of(pull_request.number) == []


@pytest.mark.parametrize(
    ("changes", "action", "reason"),
    [
        ({"repo": "nowhere"}, "opened", "the repository is not in the stack's list"),
        ({"head_owner": "stranger"}, "opened", "it comes from a fork"),
        ({"head_owner": None}, "synchronize", "it comes from a fork"),
        ({}, "closed", "its action is not opened, synchronize or reopened"),
        ({}, "edited", "its action is not opened, synchronize or reopened"),
    ],
)
def test_what_starts_no_run_is_told_in_the_log(events: EventRuns, changes: dict[str, str], action: str, reason: str) -> None:
    pull_request = replace(PullRequest(events.number(), "0" * 40), **changes)  # type: ignore[arg-type]
    sent = events.take(pull_request, action)
    line = events.decided(sent.delivery)
    assert line.startswith("event-filter: dropped")
    assert reason in line
    assert events.of(pull_request.number) == []


def test_evil_titles_logins_and_branches_of_the_head_have_no_effect(events: EventRuns, runs: Runs) -> None:
    """All at once in one event: what a stranger writes beside the base branch goes nowhere."""
    number = events.number()
    head = events.pushed(number).head
    evil = " ".join(EVIL_STRINGS.values())
    events.take(PullRequest(number, head, author=evil[:255], title=evil, body=evil, branch=evil))
    (workflow,) = events.wait_made(number)
    name = workflow["metadata"]["name"]
    assert commit_of(runs.wait_succeeded([name])[name]) == head


def test_evil_base_branches_start_nothing_that_hangs(events: EventRuns, runs: Runs) -> None:
    numbers = {events.number(): text for text in EVIL_STRINGS.values()}
    sent = {number: events.take(PullRequest(number, "0" * 40, base=text)) for number, text in numbers.items()}
    events.settle(ARRIVAL_SECONDS + 60 * len(numbers) / 18)
    for number, text in numbers.items():
        line, found = events.decided(sent[number].delivery), events.of(number)
        if "event-filter: dropped" in line:
            assert "the name of its base branch" in line
            assert found == []
            continue
        # What git would take as a name goes on to resolve, which has the last word.
        (workflow,) = found
        name = workflow["metadata"]["name"]
        ended = runs.wait_ended([name])[name]
        assert phase(ended) in FINISHED
        assert phase(ended) == "Succeeded" or "Remedy: " in messages(ended), text


def test_a_burst_ends_in_a_run_of_the_last_head(events: EventRuns, runs: Runs) -> None:
    number = events.number()
    pull_request = events.pushed(number)
    for _ in paced(50, 0.2):
        pull_request = events.pushed(number)
        events.take(pull_request)
    events.settle()
    found = events.of(number)
    assert found
    assert all(gap >= DEBOUNCE_SECONDS for gap in gaps(found))
    last = found[-1]["metadata"]["name"]
    ended = runs.wait_succeeded([last], RUN_SECONDS + HOLD_SECONDS)[last]
    assert commit_of(ended) == pull_request.head


def test_three_pull_requests_do_not_wait_for_each_other(events: EventRuns) -> None:
    numbers = [events.number() for _ in range(3)]
    for number in numbers:
        events.take(events.pushed(number))
        events.take(events.pushed(number))
    events.settle()
    found = {number: events.of(number) for number in numbers}
    events.end(*(one for several in found.values() for one in several))
    assert [len(one) for one in found.values()] == [1, 1, 1]
    times = [made(several[0]) for several in found.values()]
    assert (max(times) - min(times)).total_seconds() < DEBOUNCE_SECONDS


def test_a_steady_stream_keeps_starting_runs(events: EventRuns, request: pytest.FixtureRequest) -> None:
    number, count = events.number(), 36 if request.config.getoption("--plan") == "long" else 18
    for _ in paced(count, 5):
        events.take(events.pushed(number))
        events.end(*events.of(number))
    events.settle()
    found = events.of(number)
    events.end(*found)
    assert all(DEBOUNCE_SECONDS <= gap <= WINDOW_SECONDS + 5 + 5 for gap in gaps(found)), [made(one) for one in found]
    assert len(found) >= count * 5 / (WINDOW_SECONDS + 10)


def test_every_delivery_sent_twice_makes_nothing_twice(events: EventRuns) -> None:
    numbers = [events.number() for _ in range(5)]
    for number in numbers:
        first = events.take(events.pushed(number))
        again = events.deliver(first.delivery)
        assert again.answer.status == 200
    events.settle()
    found = [events.of(number) for number in numbers]
    events.end(*(one for several in found for one in several))
    assert [len(one) for one in found] == [1] * len(numbers)


def test_a_sensor_that_loses_its_pod_loses_no_push(events: EventRuns, api: Api, runs: Runs) -> None:
    numbers = [events.number() for _ in range(3)]
    heads = {}
    for turn in paced(12, 1.0):
        for number in numbers:
            pull_request = events.pushed(number)
            events.take(pull_request)
            heads[number] = pull_request.head
        if turn == 5:
            (pod,) = events.pods(f"sensor-name={SENSOR}")
            api.delete(f"{CORE}/pods/{pod['metadata']['name']}")
    events.settle(START_SECONDS)
    for number in numbers:
        found = events.of(number)
        # One in the window of the lost pod, one in that of the new one.
        assert 1 <= len(found) <= 2 + (12 // WINDOW_SECONDS)
        last = found[-1]["metadata"]["name"]
        ended = runs.wait_succeeded([last], RUN_SECONDS + HOLD_SECONDS)[last]
        assert commit_of(ended) == heads[number]


def test_a_storm_is_run_in_order_at_the_rate_and_none_is_lost(events: EventRuns, request: pytest.FixtureRequest) -> None:
    count = 200 if request.config.getoption("--plan") == "long" else 61
    numbers = [events.number() for _ in range(count)]
    for number in numbers:
        # The head is looked up by the run, which is ended before that.
        events.take(PullRequest(number, "0" * 39 + "1"))

    def all_made() -> bool:
        found = events.of(*numbers)
        events.end(*found)
        return len(found) == count

    wait_for("a workflow for each", all_made, 60 + count * 60 / 18 * 1.5, events.explain)
    found = events.of(*numbers)
    assert most_in_a_minute(found) <= MOST_A_MINUTE
    order = [int(one["metadata"]["labels"]["coderun/pr"]) for one in found]
    # Within one second of creation nobody can tell the order.
    assert [made(one) for one in found] == sorted(made(one) for one in found)
    assert sorted(order) == sorted(numbers)
    positions = {number: made(one) for number, one in zip(order, found, strict=True)}
    assert all(positions[earlier] <= positions[later] for earlier, later in itertools.pairwise(numbers))


def test_a_repo_is_added_while_events_are_queued(events: EventRuns, api: Api) -> None:
    """Its line comes into the mounted list; the Sensor's spec stays, so nothing that is queued is dropped."""
    sensor = f"/apis/argoproj.io/v1alpha1/namespaces/argo-events/sensors/{SENSOR}"
    before = api.get(sensor)["metadata"]["generation"]
    path = f"{CORE}/configmaps/coderun-repos"
    listed = api.get(path)["data"]["repos.tsv"]
    numbers = [events.number() for _ in range(4)]
    added = events.number()
    try:
        events.scale_sensor(0)
        for number in numbers:
            events.take(events.pushed(number))
        events.take(PullRequest(added, "0" * 39 + "1", repo="added"))
        api.merge(path, {"data": {"repos.tsv": listed + REPOS_LINE}})
        events.scale_sensor(1)
        events.settle(START_SECONDS)
        found = {number: events.of(number) for number in (*numbers, added)}
    finally:
        events.scale_sensor(1)
        api.merge(path, {"data": {"repos.tsv": listed}})
    events.end(*(one for several in found.values() for one in several))
    assert {number: len(several) for number, several in found.items()} == dict.fromkeys([*numbers, added], 1)
    assert api.get(sensor)["metadata"]["generation"] == before


def is_taken(events: EventRuns, delivery: Delivery) -> bool:
    """Whether a delivery, sent once more, is taken in."""
    return events.deliver(delivery).answer.status == 200


def test_what_was_taken_in_survives_the_loss_of_the_bus(events: EventRuns, api: Api) -> None:
    (pod,) = events.pods(f"eventbus-name={BUS}")
    taken: list[tuple[int, Sent]] = []
    refused: list[tuple[int, Sent]] = []
    for turn in paced(30, 1.0):
        number = events.number()
        sent = events.send(PullRequest(number, "0" * 39 + "1"))
        (taken if sent.answer.status == 200 else refused).append((number, sent))
        if turn == 5:
            api.delete(f"{CORE}/pods/{pod['metadata']['name']}")
    print(f"answers while the bus was away: {events.sender.answers}")
    for _, sent in refused:
        # As GitHub's button "Redeliver": the same bytes again, once the receiver answers (docs/events.md).
        wait_for(f"{sent.delivery.id} is taken in", partial(is_taken, events, sent.delivery), START_SECONDS, events.explain)
    numbers = [number for number, _ in (*taken, *refused)]

    def all_made() -> bool:
        found = events.of(*numbers)
        events.end(*found)
        return {int(one["metadata"]["labels"]["coderun/pr"]) for one in found} == set(numbers)

    wait_for("a workflow for each that was taken in", all_made, START_SECONDS + len(numbers) * 60 / 18, events.explain)


def test_a_newer_run_of_a_pull_request_takes_the_place_of_the_older(events: EventRuns, git: GitServerControl, runs: Runs) -> None:
    number = events.number()
    with git.gate(GATE):
        events.take(events.pushed(number, base=f"gate/{GATE}"))
        (older,) = events.wait_made(number)
        name = older["metadata"]["name"]
        runs.wait_agent(name, RUN_SECONDS + HOLD_SECONDS)
        pull_request = events.pushed(number, base=f"gate/{GATE}")
        events.take(pull_request)
        newer = events.wait_made(number, 2, ARRIVAL_SECONDS + HOLD_SECONDS)[-1]["metadata"]["name"]
        ended = runs.wait_ended([name], RUN_SECONDS + HOLD_SECONDS)[name]
        assert f"superseded: run {newer} works on a newer head" in messages(ended)
        assert runs.objects_left([name]) == []
        runs.wait_agent(newer, RUN_SECONDS + HOLD_SECONDS)
    done = runs.wait_succeeded([newer], RUN_SECONDS + HOLD_SECONDS)[newer]
    assert commit_of(done) == pull_request.head


def test_a_run_of_an_event_waits_before_anything_looks_up_the_head(events: EventRuns, runs: Runs) -> None:
    """What is pushed within the window, and of which the event is dropped, is what that run works on."""
    number = events.number()
    events.take(events.pushed(number))
    (workflow,) = events.wait_made(number)
    later = events.pushed(number)
    dropped = events.take(later)
    assert "event-filter: dropped" in events.decided(dropped.delivery)
    name = workflow["metadata"]["name"]
    ended = runs.wait_succeeded([name], RUN_SECONDS + HOLD_SECONDS)[name]
    assert commit_of(ended) == later.head
    resolve = node(ended, "resolve")
    assert resolve is not None
    assert len(events.of(number)) == 1

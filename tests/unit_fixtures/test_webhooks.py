"""The sender of web hooks: what GitHub's receivers check holds for what it sends, bytes and headers arrive, answers are counted."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.fixtures.webhooks import EVIL_STRINGS, Delivery, PullRequest, Sender, http_post, paced, signature
from tests.fixtures.webhooks import sender as sender_module

SECRET = "It's a Secret to Everybody"
PULL_REQUEST = PullRequest(7, "0123456789abcdef0123456789abcdef01234567")


class _Server(ThreadingHTTPServer):
    # A burst of connections is more than the five that wait by default; the kernel resets the others.
    request_queue_size = 128


class Receiver:
    """Checks signatures as a receiver does, and keeps what came."""

    def __init__(self) -> None:
        """Listens at a free port."""
        self.came: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.came.append((dict(self.headers), body))
                wanted = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
                self.send_response(200 if self.headers.get("X-Hub-Signature-256") == wanted else 400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server declares it
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/github"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield running
    running.server.shutdown()
    thread.join()
    running.server.server_close()


def test_the_signature_is_the_one_that_github_documents() -> None:
    # The example of GitHub's page on validating deliveries.
    assert signature(SECRET, b"Hello, World!") == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_a_signed_delivery_is_taken_a_wrong_or_missing_signature_is_not(receiver: Receiver) -> None:
    sender = Sender(http_post(receiver.url))
    payload = PULL_REQUEST.payload("opened")
    assert [sender.send(Delivery.of(payload, secret)).status for secret in (SECRET, "wrong", None)] == [200, 400, 400]
    assert sender.answers == {200: 1, 400: 2}
    headers, body = receiver.came[0]
    assert json.loads(body) == payload
    assert headers["X-GitHub-Event"] == "pull_request"
    assert headers["Content-Type"] == "application/json"


def test_every_delivery_has_an_id_of_its_own_and_keeps_it_when_sent_again(receiver: Receiver) -> None:
    sender = Sender(http_post(receiver.url))
    first, second = (Delivery.of(PULL_REQUEST.payload("opened"), SECRET) for _ in range(2))
    sender.send_all([first, second, first], at_once=1)
    assert [headers["X-GitHub-Delivery"] for headers, _ in receiver.came] == [first.id, second.id, first.id]
    assert first.id != second.id


@pytest.mark.parametrize("text", EVIL_STRINGS.values(), ids=EVIL_STRINGS)
def test_evil_text_arrives_as_it_is(receiver: Receiver, text: str) -> None:
    evil = replace(PULL_REQUEST, title=text, body=text, author=text, branch=text, base=text, owner=text, repo=text)
    assert Sender(http_post(receiver.url)).send(Delivery.of(evil.payload("opened"), SECRET)).status == 200
    body = json.loads(receiver.came[0][1])
    request = body["pull_request"]
    assert [request["title"], request["body"], request["user"]["login"], request["head"]["ref"], request["base"]["ref"]] == [text] * 5
    assert body["repository"]["full_name"] == f"{text}/{text}"


def test_only_a_push_tells_the_commits_before_and_after() -> None:
    pushed = PULL_REQUEST.payload("synchronize", before="f" * 40)
    assert (pushed["before"], pushed["after"]) == ("f" * 40, PULL_REQUEST.head)
    assert "before" not in PULL_REQUEST.payload("reopened")


def test_a_closed_pull_request_says_so() -> None:
    assert PULL_REQUEST.payload("closed")["pull_request"]["state"] == "closed"
    assert PULL_REQUEST.payload("opened")["pull_request"]["state"] == "open"


def test_a_fork_shows_in_the_head_alone() -> None:
    fork = replace(PULL_REQUEST, head_owner="stranger").payload("opened")["pull_request"]
    assert (fork["head"]["repo"]["full_name"], fork["head"]["repo"]["fork"]) == ("stranger/sample", True)
    assert (fork["base"]["repo"]["full_name"], fork["base"]["repo"]["fork"]) == ("exampleorg/sample", False)
    assert replace(PULL_REQUEST, head_owner=None).payload("opened")["pull_request"]["head"]["repo"] is None


def test_many_at_once_are_all_answered_in_their_order(receiver: Receiver) -> None:
    sender = Sender(http_post(receiver.url))
    deliveries = [Delivery.of(PULL_REQUEST.payload("opened"), SECRET if number % 2 else "wrong") for number in range(60)]
    assert [answer.status for answer in sender.send_all(deliveries)] == [400, 200] * 30
    assert sender.answers == {200: 30, 400: 30}
    assert {headers["X-GitHub-Delivery"] for headers, _ in receiver.came} == {delivery.id for delivery in deliveries}


def test_a_receiver_that_is_not_there_counts_as_no_answer() -> None:
    sender = Sender(http_post("http://127.0.0.1:9/github"))
    assert sender.send(Delivery.of(PULL_REQUEST.payload("opened"), SECRET)).status == 0
    assert sender.answers == {0: 1}


def test_a_pace_is_kept_and_a_late_one_puts_none_off(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(sender_module, "time", clock)
    seen = []
    for number in paced(4, 10):
        seen.append((number, clock.now))
        if number == 1:
            clock.now += 14
    assert seen == [(0, 0), (1, 10), (2, 24), (3, 30)]


class FakeClock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        """Begins at 0."""
        self.now = 0.0

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Lets it pass."""
        self.now += seconds

"""Events sent to the stack's own receiver as GitHub sends them, and the workflows that come of them."""

import base64
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import WORKFLOWS
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, JsonObject
from tests.fixtures.webhooks import Answer, Delivery, PullRequest, Sender, proxied_post

NAMESPACE: Final = "argo-events"
CORE: Final = f"/api/v1/namespaces/{NAMESPACE}"
SENSOR: Final = "repo-workflow-sensor"
SOURCE: Final = "github"
BUS: Final = "default"
GITHUB_API: Final = "/api/v1/namespaces/coderun-fixtures/services/github-api:80/proxy/_control"

DEBOUNCE_SECONDS: Final = 15
MOST_A_MINUTE: Final = 30
WINDOW_SECONDS: Final = 19
HOLD_SECONDS: Final = 24
"""The dev stack's, which are the defaults (tests/unit/test_event_rate.py)."""

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""What the API server is asked to leave out: spec and status."""

ARRIVAL_SECONDS: Final = 120.0
"""For an event to reach the sensor on a busy machine; also for a pod of events to start."""


@dataclass(frozen=True)
class Sent:
    """A delivery and its answer."""

    delivery: Delivery
    answer: Answer


class EventRuns:
    """Sends events, and finds what came of them."""

    def __init__(self, api: Api, git: GitServerControl) -> None:
        """Takes the cluster; the secret for signatures is read from it."""
        self.api = api
        self._git = git
        secret = api.get(f"{CORE}/secrets/github-webhook")["data"]["secret"]
        self._secret = base64.b64decode(secret).decode()
        self.sender = Sender(proxied_post(api, NAMESPACE, "github-webhook", 12000, "/github"))
        # New with every session: windows and refs of an earlier one are still there.
        self._numbers = iter(range(int(time.time()) % 10**8 * 10, 10**9 * 2))
        self.used: list[int] = []

    def number(self) -> int:
        """The number of a pull request that nobody has used."""
        number = next(self._numbers)
        self.used.append(number)
        return number

    def pushed(self, number: int, repo: str = "sample", base: str = "main") -> PullRequest:
        """A pull request after one push more to it."""
        return PullRequest(number, self._git.push(repo, [number], base)[number], repo=repo, base=base)

    def send(self, pull_request: PullRequest, action: str = "synchronize") -> Sent:
        """Sends one event."""
        return self.deliver(Delivery.of(pull_request.payload(action), self._secret))

    def deliver(self, delivery: Delivery) -> Sent:
        """Sends a delivery as it is."""
        return Sent(delivery, self.sender.send(delivery))

    def take(self, pull_request: PullRequest, action: str = "synchronize") -> Sent:
        """Sends one event, which has to be taken in."""
        sent = self.send(pull_request, action)
        assert sent.answer.status == 200, sent.answer
        return sent

    def decision(self, delivery: Delivery) -> str | None:
        """What the sensor's filter said of a delivery, if it has come to it."""
        return next((line for line in self._log().splitlines() if f"delivery={delivery.id} " in line), None)

    def decided(self, delivery: Delivery) -> str:
        """What the filter says of a delivery, once it has come to it."""
        return wait_for(f"the filter's word on {delivery.id}", lambda: self.decision(delivery), ARRIVAL_SECONDS, self.explain)

    def settle(self, seconds: float = ARRIVAL_SECONDS) -> None:
        """Waits until the sensor is through with all that was sent: it does one event after the other, so the last one tells."""
        marker = PullRequest(self.number(), "0" * 40)

        def taken() -> Sent | None:
            sent = self.send(marker, "closed")
            return sent if sent.answer.status == 200 else None

        last = wait_for("the receiver answers", taken, ARRIVAL_SECONDS, self.explain)
        wait_for("the sensor is through", lambda: self.decision(last.delivery), seconds, self.explain)

    def of(self, *numbers: int) -> list[JsonObject]:
        """The workflows of pull requests, in the order in which they were made; their metadata only, as each takes 300 KB."""
        query = urlencode({"labelSelector": f"coderun/delivery,coderun/pr in ({','.join(map(str, numbers))})"})
        status, answer = self.api.exchange("GET", f"{WORKFLOWS}?{query}", b"", {"Accept": METADATA_ONLY}, ARRIVAL_SECONDS)
        assert status == 200, answer
        found: list[JsonObject] = json.loads(answer)["items"]
        return sorted(found, key=lambda one: (made(one), one["metadata"]["name"]))

    def wait_made(self, number: int, count: int = 1, seconds: float = ARRIVAL_SECONDS) -> list[JsonObject]:
        """The workflows of a pull request, once there are so many."""
        return wait_for(
            f"{count} workflows of pull request {number}",
            lambda: found if len(found := self.of(number)) >= count else None,
            seconds,
            self.explain,
        )

    def end(self, *workflows: JsonObject) -> None:
        """Terminates workflows that only wait so far: nothing of theirs is there, and no pod of theirs is needed."""
        for one in workflows:
            if not has_ended(one):
                self.api.merge(f"{WORKFLOWS}/{one['metadata']['name']}", {"spec": {"shutdown": "Terminate"}})

    def end_all(self) -> None:
        """Stops what still runs of this session's pull requests and deletes the rest."""
        found = self.of(*self.used) if self.used else []
        for one in found:
            if not has_ended(one):
                self.api.merge(f"{WORKFLOWS}/{one['metadata']['name']}", {"spec": {"shutdown": "Stop"}})

        def all_ended() -> bool:
            return all(has_ended(one) for one in self.of(*self.used))

        if found:
            wait_for("the runs of events have ended", all_ended, 300, self.explain)
            commands.run(["kubectl", "-n", "argo", "delete", "workflows", "--wait=false", *(one["metadata"]["name"] for one in found)])

    def pods(self, label: str) -> list[JsonObject]:
        """Pods of one part of events that don't go away: ``sensor-name``, ``eventsource-name`` or ``eventbus-name``."""
        return [pod for pod in self.api.items(f"{CORE}/pods", label) if "deletionTimestamp" not in pod["metadata"]]

    def scale_sensor(self, replicas: int) -> None:
        """Sets the number of the sensor's pods, and waits for it."""
        (deployment,) = self.api.items(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", f"sensor-name={SENSOR}")
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{deployment['metadata']['name']}/scale"
        self.api.merge(path, {"spec": {"replicas": replicas}})
        label = f"sensor-name={SENSOR}"
        wait_for(f"{replicas} pods of the sensor", lambda: len(self.api.items(f"{CORE}/pods", label)) == replicas, ARRIVAL_SECONDS, self.explain)

    def statuses(self, commit: str) -> list[JsonObject]:
        """Commit statuses that GitHub's API was sent for a commit, oldest first."""
        requests = self.api.get(f"{GITHUB_API}/requests")["requests"]
        return [one["body"] for one in requests if one["path"].endswith(f"/statuses/{commit}")]

    def explain(self) -> str:
        """What the parts of events say."""
        lines = [f"answers so far: {self.sender.answers}"]
        lines += [f"{pod['metadata']['name']}: {json.dumps(pod['status'].get('containerStatuses'))}" for pod in self.api.items(f"{CORE}/pods")]
        labels = (f"eventsource-name={SOURCE}", f"sensor-name={SENSOR}")
        lines += [commands.attempt(["kubectl", "-n", NAMESPACE, "logs", "-l", label, "--tail=20"]).text for label in labels]
        return "\n".join(lines)

    def _log(self) -> str:
        return commands.attempt(["kubectl", "-n", NAMESPACE, "logs", "-l", f"sensor-name={SENSOR}", "--tail=-1"]).out


def has_ended(workflow: JsonObject) -> bool:
    """Whether the controller has marked it as ended."""
    return bool(workflow["metadata"]["labels"].get("workflows.argoproj.io/completed") == "true")


def made(workflow: JsonObject) -> datetime:
    """When it was made, to the second."""
    return datetime.fromisoformat(workflow["metadata"]["creationTimestamp"])


def parameter(workflow: JsonObject, name: str) -> str:
    """A parameter as the event gave it."""
    return next(str(one["value"]) for one in workflow["spec"]["arguments"]["parameters"] if one["name"] == name)


def gaps(workflows: list[JsonObject]) -> Iterator[float]:
    """Seconds between one and the next."""
    times = [made(one) for one in workflows]
    yield from ((later - earlier).total_seconds() for earlier, later in itertools.pairwise(times))


def most_in_a_minute(workflows: list[JsonObject]) -> int:
    """The most that any 60 s hold."""
    times = [made(one).timestamp() for one in workflows]
    return max(sum(1 for other in times if 0 <= other - time < 60) for time in times)

"""Argo Events itself on this cluster, with objects of the tests' own: events arrive whole, and a bus that loses its pod keeps what it took."""

import json
import secrets
import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.e2e import commands
from tests.e2e.events_node_objects import ENDPOINT, MANIFEST, NAME, NAMESPACE, PART_OF, PORT
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, JsonObject
from tests.fixtures.webhooks import EVIL_STRINGS, Delivery, PullRequest, Sender, proxied_post

START_SECONDS = 180.0
"""For a pod to start on a busy machine: a bus alone has a probe that waits 10 s."""

SECRET = secrets.token_hex(16)
CORE = f"/api/v1/namespaces/{NAMESPACE}"
EVENTS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}"
OBJECTS = (f"{EVENTS}/sensors/{NAME}", f"{EVENTS}/eventsources/{NAME}", f"{EVENTS}/eventbus/{NAME}")
"""In the order in which they can go: a bus stays while somebody uses it."""


def config_map(api: Api, number: int) -> JsonObject | None:
    """What the sensor made of the event of pull request `number`."""
    return api.find(f"{CORE}/configmaps/{NAME}-{number}")


def pull_request(number: int, title: str = "Change something") -> PullRequest:
    return PullRequest(number, secrets.token_hex(20), title=title)


def delivery(number: int, title: str = "Change something", secret: str = SECRET) -> Delivery:
    return Delivery.of(pull_request(number, title).payload("opened"), secret)


def bus_pod(api: Api) -> JsonObject:
    """The pod of the bus; waits for one that is ready."""

    def ready() -> JsonObject | None:
        for pod in api.items(f"{CORE}/pods", f"eventbus-name={NAME}"):
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions") or []}
            if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
                return pod
        return None

    return wait_for("a ready pod of the bus", ready, START_SECONDS, lambda: explain(api))


def explain(api: Api) -> str:
    """The state of all that may be at fault."""
    lines = [json.dumps(api.get(path).get("status", {})) for path in OBJECTS if api.find(path)]
    lines += [f"{pod['metadata']['name']}: {json.dumps(pod['status'])}" for pod in api.items(f"{CORE}/pods")]
    for label in ("eventsource-name", "sensor-name"):
        lines.append(commands.attempt(["kubectl", "-n", NAMESPACE, "logs", "-l", f"{label}={NAME}", "--tail=20"]).text)
    return "\n".join(lines)


def _is_gone(api: Api, path: str) -> bool:
    return api.find(path) is None


def _has_none(api: Api, collection: str) -> bool:
    return not api.items(collection, f"eventbus-name={NAME}")


def remove(api: Api) -> None:
    """Takes everything of the tests away and waits until it is gone, the bus's claim too."""
    for path in OBJECTS:
        api.delete(path)
        wait_for(f"{path} is gone", partial(_is_gone, api, path), START_SECONDS, lambda: explain(api))
    commands.run(["kubectl", "-n", NAMESPACE, "delete", "serviceaccount,role,rolebinding,secret", NAME, "--ignore-not-found"])
    commands.run(["kubectl", "-n", NAMESPACE, "delete", "configmaps", "-l", PART_OF])
    for kind in ("pods", "persistentvolumeclaims"):
        wait_for(f"{kind} of the bus are gone", partial(_has_none, api, f"{CORE}/{kind}"), START_SECONDS)


@pytest.fixture(scope="module")
def sender(api: Api) -> Iterator[Sender]:
    """Sends to the event source; bus, source and sensor work before the first test and are gone after the last."""
    remove(api)
    commands.run(["kubectl", "apply", "-f", "-"], stdin=MANIFEST.replace("SECRET", SECRET))
    begin = time.monotonic()
    bus_pod(api)
    sender = Sender(proxied_post(api, NAMESPACE, f"{NAME}-eventsource-svc", PORT, ENDPOINT))
    numbers = iter(range(1, 1000))

    def arrives() -> bool:
        # A sensor that has never subscribed does not see what was sent before: one event more each time.
        number = next(numbers)
        return sender.send(delivery(number)).status == 200 and any(config_map(api, earlier) for earlier in range(1, number + 1))

    wait_for("the first event becomes a ConfigMap", arrives, START_SECONDS, lambda: explain(api))
    print(f"the first event arrived {time.monotonic() - begin:.0f} s after the objects were made")
    yield sender
    remove(api)


def test_an_event_arrives_with_every_letter_and_its_delivery_id(api: Api, sender: Sender) -> None:
    sent = {number: delivery(number, title) for number, title in enumerate(EVIL_STRINGS.values(), start=1001)}
    assert {sender.send(each).status for each in sent.values()} == {200}
    for number, each in sent.items():
        data = wait_for(f"the ConfigMap of {number}", partial(config_map, api, number), 60, lambda: explain(api))["data"]
        assert (data["title"], data["delivery"]) == (pull_request_title(each), each.id)


def pull_request_title(sent: Delivery) -> str:
    return str(json.loads(sent.body)["pull_request"]["title"])


def test_a_wrong_or_missing_signature_is_refused(api: Api, sender: Sender) -> None:
    answers = [sender.send(delivery(2001, secret="wrong")), sender.send(Delivery.of(pull_request(2002).payload("opened"), None))]
    assert [answer.status for answer in answers] == [400, 400]
    assert sender.send(delivery(2003)).status == 200
    wait_for("the ConfigMap of the event after them", lambda: config_map(api, 2003), 60, lambda: explain(api))
    assert config_map(api, 2001) is config_map(api, 2002) is None


def test_a_bus_that_loses_its_pod_keeps_what_it_took(api: Api, sender: Sender) -> None:
    before = bus_pod(api)["metadata"]
    (deployment,) = api.items(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", f"sensor-name={NAME}")
    scale = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{deployment['metadata']['name']}/scale"
    api.merge(scale, {"spec": {"replicas": 0}})
    wait_for("the sensor's pod is gone", lambda: not api.items(f"{CORE}/pods", f"sensor-name={NAME}"), START_SECONDS, lambda: explain(api))
    kept = range(3001, 3011)
    assert {sender.send(delivery(number)).status for number in kept} == {200}

    begin = time.monotonic()
    api.delete(f"{CORE}/pods/{before['name']}")
    wait_for("another pod of the bus", lambda: bus_pod(api)["metadata"]["uid"] != before["uid"], START_SECONDS, lambda: explain(api))
    numbers = iter(range(4001, 4999))
    wait_for("the event source is heard again", lambda: sender.send(delivery(next(numbers))).status == 200, START_SECONDS, lambda: explain(api))
    print(f"no event was taken for {time.monotonic() - begin:.0f} s; answers so far: {sender.answers}")

    api.merge(scale, {"spec": {"replicas": 1}})
    for number in kept:
        wait_for(f"the ConfigMap of {number}", partial(config_map, api, number), START_SECONDS, lambda: explain(api))

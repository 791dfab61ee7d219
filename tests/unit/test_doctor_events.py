"""What doctor says of Argo Events, from what kubectl shows it."""

import json
import subprocess
from typing import Any

import pytest

from config.settings import Events
from operations import doctor
from operations.doctor import Finding
from tests.unit.stack_files import config_with

KIND = {"metadata": {"name": "kind"}}
CONFIG = "eventBus: {jetstream: {versions: [{version: latest}, {version: 2.10.29}]}}"


def controller(image: str = "example.org/argo-events:v1.9.10", available: int = 1) -> dict[str, Any]:
    container = {"env": [{"name": "NAMESPACE", "valueFrom": {}}, {"name": "ARGO_EVENTS_IMAGE", "value": image}]}
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": "events-config"}}]
    return {
        "metadata": {"name": "controller-manager", "labels": {}},
        "spec": {"template": {"spec": {"containers": [container], "volumes": volumes}}},
        "status": {"availableReplicas": available},
    }


EVENTS = Events.model_validate({"webhookSecret": {"secure": "v1:made-up"}})
OTHER = {"metadata": {"name": "other"}, "spec": {"template": {"spec": {"containers": [{"name": "main"}]}}}}


class Cluster:
    """Stands for kubectl: objects by the words that `kubectl get` is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *deployments: dict[str, Any], config: str = CONFIG) -> None:
        """Puts itself in kubectl's place."""
        self.objects: dict[str, Any] = {f"customresourcedefinition {kind}": KIND for kind in doctor.EVENTS_KINDS}
        self.objects["deployments --namespace argo-events"] = {"items": list(deployments)}
        self.objects["configmap events-config --namespace argo-events"] = {"data": {"controller-config.yaml": config}}
        monkeypatch.setattr(doctor, "_kubectl", self.kubectl)

    def kubectl(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Answers `get … --output=json`."""
        assert (arguments[0], arguments[-1]) == ("get", "--output=json")
        found = self.objects.get(" ".join(arguments[1:-1]))
        return subprocess.CompletedProcess(arguments, 1 if found is None else 0, json.dumps(found), "")


def wrong() -> list[Finding]:
    return [finding for finding in (doctor.events_kinds(), *doctor.events_controller(EVENTS)) if not finding.right]


def test_a_controller_as_it_should_be_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch, OTHER, controller())
    assert wrong() == []
    assert "Argo Events v1.9.10" in [finding.seen for finding in doctor.events_controller(EVENTS)]


def test_missing_kinds_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    del Cluster(monkeypatch, controller()).objects["customresourcedefinition sensors.argoproj.io"]
    (finding,) = wrong()
    assert finding.seen.endswith("kinds sensors.argoproj.io")
    assert "1.9.10" in finding.remedy


@pytest.mark.parametrize("namespace_is_there", [True, False])
def test_no_controller_is_told(monkeypatch: pytest.MonkeyPatch, *, namespace_is_there: bool) -> None:
    cluster = Cluster(monkeypatch, OTHER)
    if not namespace_is_there:
        del cluster.objects["deployments --namespace argo-events"]
    (finding,) = wrong()
    assert finding.seen == "no controller of Argo Events in the namespace argo-events"


@pytest.mark.parametrize(
    ("image", "right"),
    [
        ("example.org:5000/argo-events:v1.9.9", False),
        ("example.org:5000/argo-events:v1.9.10@sha256:0123", True),
        ("argo-events:1.10.0", True),
        ("argo-events:v2.0.1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(monkeypatch: pytest.MonkeyPatch, image: str, *, right: bool) -> None:
    Cluster(monkeypatch, controller(image))
    assert (wrong() == []) is right


def test_a_version_that_the_image_does_not_tell_is_taken_from_the_label(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = "example.org:5000/argo-events@sha256:9109109109"
    Cluster(monkeypatch, controller(digest))
    assert "can't be told" in wrong()[0].seen
    labelled = controller(digest)
    labelled["metadata"]["labels"]["app.kubernetes.io/version"] = "v1.9.10"
    Cluster(monkeypatch, labelled)
    assert wrong() == []


def test_a_controller_without_a_pod_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(monkeypatch, controller(available=0))
    (finding,) = wrong()
    assert finding.seen == "the controller of Argo Events, controller-manager, has no pod that is ready"


@pytest.mark.parametrize("config", ["eventBus: {jetstream: {versions: [{version: 2.9.16}]}}", "eventBus: {}", ""])
def test_a_bus_version_that_the_controller_lacks_is_told(monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    Cluster(monkeypatch, controller(), config=config)
    (finding,) = wrong()
    assert "2.10.29" in finding.seen


def asked(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> set[str]:  # noqa: ANN401 - any JSON
    """What doctor asks the cluster for, of a stack with these settings."""
    calls: list[str] = []

    def kubectl(*arguments: str, **_given: str | None) -> subprocess.CompletedProcess[str]:
        calls.append(" ".join(arguments))
        return subprocess.CompletedProcess(arguments, 0 if arguments[0] == "version" else 1, '{"serverVersion": {"gitVersion": "v1.34.3"}}', "")

    monkeypatch.setattr(doctor, "_kubectl", kubectl)
    list(doctor.findings(config_with(**settings)))
    return {call for call in calls if "events" in call or "sensors" in call}


def test_argo_events_is_asked_for_only_where_the_stack_has_events(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch) == set()
    events = {"webhookSecret": {"secure": "v1:made-up"}, "namespace": "webhooks"}
    told = asked(monkeypatch, events=events)
    assert "get customresourcedefinition sensors.argoproj.io --output=json" in told
    assert "auth can-i create sensors.argoproj.io --namespace webhooks --quiet" in told

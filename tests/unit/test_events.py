"""What the program makes of event settings: nothing by default, and with them a way from a signed webhook to a run and no other way."""

import base64
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.event_bus_spec import event_bus_spec
from components.event_network_spec import event_network_specs
from components.event_source import strong_secret
from components.event_source_spec import event_source_spec, receiver_labels
from components.render import Registered, render, run_program
from components.sensor_spec import sensor_labels, sensor_spec
from components.workflow_template_spec import workflow_deadline_seconds, workflow_template_spec
from config.errors import ConfigError
from config.event_rate import hold_seconds
from config.settings import Events, StackConfig
from tests.unit.stack_files import config_with, write_stack_file

SECRET: dict[str, Any] = {"secure": "v1:bWFkZQ==:dXA="}
PLAIN: dict[str, Any] = {"webhookSecret": SECRET}
FULL: dict[str, Any] = {
    **PLAIN,
    "namespace": "webhooks",
    "forks": True,
    "supersede": False,
    "maxPerMinute": 60,
    "debounceSeconds": 5,
    "apiUrl": "https://github.example.com/api/v3",
    "bus": {"replicas": 3, "storageClass": "fast", "size": "2Gi"},
    "hooks": {"organizations": ["exampleorg"], "url": "https://hooks.example.com", "token": SECRET},
    "ingress": {"host": "hooks.example.com", "className": "nginx", "tlsSecretName": "hooks-tls"},
    "commitStatus": {"token": SECRET, "link": "https://argo.example.com/workflows/argo/"},
}


def settings(events: dict[str, Any] = PLAIN, **others: Any) -> tuple[StackConfig, Events]:  # noqa: ANN401 - any setting
    config = config_with(events=events, **others)
    assert config.events
    return config, config.events


def objects(registered: list[Registered]) -> dict[str, dict[str, Any]]:
    return {
        f"{manifest['kind']}/{manifest['metadata'].get('namespace', '')}/{manifest['metadata']['name']}": manifest
        for one in registered
        if (manifest := one.manifest)
    }


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return objects(run_program(write_stack_file(tmp_path_factory.mktemp("full"), events=FULL)))


def test_no_event_settings_no_objects_of_events(tmp_path: Path) -> None:
    found = objects(run_program(write_stack_file(tmp_path)))
    assert [name for name in found if "argo-events" in name or name.partition("/")[0] in {"Sensor", "EventSource", "EventBus"}] == []
    template = found["WorkflowTemplate/argo/coderun-template"]["spec"]
    assert "coderun-event" not in {one["name"] for one in template["templates"]}


def test_what_event_settings_make(tmp_path: Path) -> None:
    without, found = objects(run_program(write_stack_file(tmp_path))), objects(run_program(write_stack_file(tmp_path, events=PLAIN)))
    assert sorted(found.keys() - without.keys()) == [
        "ConfigMap/argo-events/coderun-repos",
        "EventBus/argo-events/default",
        "EventSource/argo-events/github",
        "NetworkPolicy/argo-events/coderun-event-bus",
        "NetworkPolicy/argo-events/coderun-event-source",
        "NetworkPolicy/argo-events/coderun-sensor",
        "Role/argo/repo-workflow-sensor",
        "RoleBinding/argo/repo-workflow-sensor",
        "Secret/argo-events/github-webhook",
        "Sensor/argo-events/repo-workflow-sensor",
        "Service/argo-events/github-webhook",
        "ServiceAccount/argo-events/coderun-eventbus-default",
        "ServiceAccount/argo-events/coderun-eventsource-github",
        "ServiceAccount/argo-events/repo-workflow-sensor",
    ]


def test_what_full_event_settings_make_beside_that(full: dict[str, dict[str, Any]]) -> None:
    assert {"Secret/webhooks/github-hooks", "Ingress/webhooks/github-webhook", "Secret/argo/coderun-commit-status"} <= full.keys()


def test_the_repo_list_is_the_same_file_in_both_namespaces(full: dict[str, dict[str, Any]]) -> None:
    assert full["ConfigMap/webhooks/coderun-repos"]["data"] == full["ConfigMap/argo/coderun-repos"]["data"]


def test_no_spec_changes_with_the_repo_list() -> None:
    """A changed Sensor drops what is queued for it (Argo Events makes a new consumer for a changed dependency)."""
    repos = [{"owner": "a", "name": "b", "branches": {"release/*": 2}}]
    (before, events), (after, _) = settings(FULL), settings(FULL, repos=repos)
    for build in (sensor_spec, event_source_spec, event_bus_spec):
        assert build(before, events) == build(after, events)
    assert workflow_template_spec(before, "test") == workflow_template_spec(after, "test")


def test_what_is_tuned_reaches_the_filter_by_its_environment() -> None:
    """Else tuning would drop what is queued."""
    (plain, one), (tuned, other) = settings(), settings({**PLAIN, "forks": True, "debounceSeconds": 8, "maxPerMinute": 40})
    assert sensor_spec(plain, one)["dependencies"] == sensor_spec(tuned, other)["dependencies"]
    environments = [
        {variable["name"]: variable["value"] for variable in sensor_spec(config, events)["template"]["container"]["env"]}
        for config, events in ((plain, one), (tuned, other))
    ]
    assert [(one["WINDOW_SECONDS"], one["FORKS"]) for one in environments] == [("19", "ignore"), ("11", "run")]


def test_the_sensor_fits_into_the_variable_that_it_travels_in() -> None:
    """In base64, and Linux takes no variable above 128 KiB; a half of that leaves room for what Argo Events adds."""
    assert len(base64.b64encode(json.dumps(sensor_spec(*settings(FULL))).encode())) < 64 * 1024


def test_the_limit_holds_for_the_one_trigger_of_the_one_sensor() -> None:
    spec = sensor_spec(*settings())
    (trigger,) = spec["triggers"]
    assert spec["replicas"] == 1
    assert trigger["rateLimit"] == {"unit": "Minute", "requestsPerUnit": 18}
    assert trigger["atLeastOnce"] is True
    assert len(spec["dependencies"]) == 1


def test_the_sensor_may_create_workflows_and_nothing_else(full: dict[str, dict[str, Any]]) -> None:
    role, binding = full["Role/argo/repo-workflow-sensor"], full["RoleBinding/argo/repo-workflow-sensor"]
    assert role["rules"] == [{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]}]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "repo-workflow-sensor", "namespace": "webhooks"}]


def test_only_the_sensor_has_a_token(full: dict[str, dict[str, Any]]) -> None:
    given = {
        name.rpartition("/")[2]: one.get("automountServiceAccountToken", True) for name, one in full.items() if "ServiceAccount/webhooks" in name
    }
    assert given == {"coderun-eventbus-default": False, "coderun-eventsource-github": False, "repo-workflow-sensor": True}


def test_every_pod_of_events_is_confined() -> None:
    config, events = settings(FULL)
    bus, source, sensor = event_bus_spec(config, events)["jetstream"], event_source_spec(config, events), sensor_spec(config, events)
    for pod in (bus, source["template"], sensor["template"]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    containers = (
        bus["containerTemplate"],
        bus["reloaderContainerTemplate"],
        bus["metricsContainerTemplate"],
        source["template"]["container"],
        sensor["template"]["container"],
    )
    for container in containers:
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"], context["capabilities"]) == (False, True, {"drop": ["ALL"]})
        assert container["resources"]["limits"]["memory"]


def allowed(specs: dict[str, Any], to: str, direction: str) -> list[tuple[set[str], set[int]]]:
    """Peers (names of pods, or "any pod", or "anyone") and ports of a policy's rules in one direction."""
    names = {json.dumps(labels, sort_keys=True): name for name, labels in LABELS.items()}
    rules: list[tuple[set[str], set[int]]] = []
    for rule in specs[to][direction]:
        peers = rule.get("from" if direction == "ingress" else "to")
        said = {names[json.dumps(peer["podSelector"]["matchLabels"], sort_keys=True)] if "podSelector" in peer else "any pod" for peer in peers or ()}
        rules.append((said if peers else {"anyone"}, {port["port"] for port in rule["ports"]}))
    return rules


LABELS = {
    "bus": {"controller": "eventbus-controller", "eventbus-name": "default"},
    "source": {"controller": "eventsource-controller", "eventsource-name": "github"},
    "sensor": {"controller": "sensor-controller", "sensor-name": "repo-workflow-sensor"},
}
"""As Argo Events 1.9.10 sets them (pkg/reconciler: installer.go, sensor/controller.go, eventsource/controller.go)."""


def test_who_may_talk_to_whom() -> None:
    _, events = settings()
    assert (receiver_labels(), sensor_labels()) == (LABELS["source"], LABELS["sensor"])
    specs = event_network_specs(events)
    metrics, dns = ({"any pod"}, {7777}), ({"any pod"}, {53})
    assert allowed(specs, "coderun-event-bus", "ingress") == [({"source", "sensor"}, {4222}), ({"bus"}, {6222}), metrics]
    assert allowed(specs, "coderun-event-bus", "egress") == [dns, ({"bus"}, {6222})]
    assert allowed(specs, "coderun-event-source", "ingress") == [({"anyone"}, {12000}), metrics]
    assert allowed(specs, "coderun-event-source", "egress") == [dns, ({"bus"}, {4222})]
    assert allowed(specs, "coderun-sensor", "ingress") == [metrics]
    assert allowed(specs, "coderun-sensor", "egress") == [dns, ({"bus"}, {4222}), ({"anyone"}, {443, 6443})]
    assert all(spec["policyTypes"] == ["Ingress", "Egress"] for spec in specs.values())


def test_the_receiver_talks_to_github_only_where_it_makes_hooks() -> None:
    _, events = settings(FULL)
    assert ({"anyone"}, {443}) in allowed(event_network_specs(events), "coderun-event-source", "egress")


def test_an_unsigned_webhook_can_not_be_let_in() -> None:
    """Without a secret Argo Events would check no signature."""
    source = event_source_spec(*settings())["github"]["pull-request"]
    assert source["webhookSecret"] == {"name": "github-webhook", "key": "secret"}
    assert source["contentType"] == "json"
    assert ("apiToken" in source, "githubApp" in source, source["webhook"]["url"]) == (False, False, "")


@pytest.mark.parametrize("secret", ["", " " * 40, "fifteen letters"])
def test_an_empty_or_short_webhook_secret_is_refused(secret: str) -> None:
    with pytest.raises(pulumi.RunError, match=r"events\.webhookSecret: has fewer than 16 characters\. Remedy: ") as raised:
        strong_secret(secret)
    assert not secret.strip() or secret not in str(raised.value)


def test_a_long_webhook_secret_is_taken() -> None:
    assert strong_secret("x" * 16) == "x" * 16


def test_hooks_are_made_only_where_they_are_asked_for() -> None:
    source = event_source_spec(*settings(FULL))["github"]["pull-request"]
    assert source["webhook"]["url"] == "https://hooks.example.com"
    assert source["apiToken"] == {"name": "github-hooks", "key": "token"}
    assert source["organizations"] == ["exampleorg"]
    assert source["githubBaseURL"] == source["githubUploadURL"] == "https://github.example.com/api/v3/"


def test_secrets_of_events_are_marked_and_in_no_other_object(tmp_path: Path) -> None:
    path = write_stack_file(tmp_path, events=FULL)
    found = objects(run_program(path))
    secrets = {name: one for name, one in found.items() if name.startswith("Secret/")}
    assert sorted(secrets) == ["Secret/argo/coderun-commit-status", "Secret/webhooks/github-hooks", "Secret/webhooks/github-webhook"]
    for one in secrets.values():
        assert one["stringData"][pulumi.runtime.rpc._special_sig_key] == pulumi.runtime.rpc._special_secret_sig  # noqa: SLF001 - what the engine reads
    assert "withheld" not in json.dumps({name: one for name, one in found.items() if name not in secrets})
    files, needed = render(path)
    assert needed == {"argo/coderun-commit-status": "password", "webhooks/github-hooks": "token", "webhooks/github-webhook": "secret"}
    assert not any("withheld" in text for text in files.values())


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ({}, "events.webhookSecret: field required"),
        ({"webhookSecret": "in-clear-0123456789"}, "events.webhookSecret: a secret stands here in clear. Remedy: pulumi config set --secret"),
        ({**PLAIN, "maxPerMinute": 12}, "events.maxPerMinute: must be at least 13"),
        ({**PLAIN, "maxPerMinute": 13}, "debounceSeconds and the 60 s that maxPerMinute puts between two workflows"),
        ({**PLAIN, "debounceSeconds": 26}, "Remedy: lower debounceSeconds or raise maxPerMinute"),
        ({**PLAIN, "bus": {"replicas": 2}}, "events.bus.replicas: 2 servers can't outvote each other"),
        ({**PLAIN, "hooks": {"organizations": ["a"], "url": "https://x.example"}}, "events.hooks: exactly one of token and app is needed"),
        ({**PLAIN, "hooks": {"organizations": ["a"], "url": "http://x.example", "token": SECRET}}, "events.hooks.url: "),
        ({**PLAIN, "ingress": {"host": "x.example"}}, "events.ingress.tlsSecretName: field required"),
        ({**PLAIN, "commitStatus": {}}, "events.commitStatus: exactly one of secretName and token is needed"),
        ({**PLAIN, "commitStatus": {"token": "in-clear-0123456789"}}, "events.commitStatus.token: a secret stands here in clear"),
        ({**PLAIN, "webhooksecret": SECRET}, "there is no such setting. Remedy: did you mean 'webhookSecret'?"),
    ],
)
def test_wrong_event_settings_are_refused(events: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config_with(events=events)
    assert problem in str(raised.value)
    assert "in-clear-0123456789" not in str(raised.value)


def test_waiting_after_an_event_is_no_work() -> None:
    config, events = settings()
    wait = hold_seconds(events.debounce_seconds, events.max_per_minute)
    assert workflow_deadline_seconds(config) == workflow_deadline_seconds(config_with()) + wait
    templates = {template["name"]: template for template in workflow_template_spec(config, "test")["templates"]}
    assert templates["hold"] == {"name": "hold", "suspend": {"duration": f"{wait}s"}}
    tasks = {task["name"]: task for task in templates["coderun-event"]["dag"]["tasks"]}
    assert tasks["resolve"]["depends"] == "hold.Succeeded"
    assert tasks["locked"] == templates["coderun-main"]["dag"]["tasks"][1], "but for the wait it is a run like any other"


def test_a_run_of_an_event_tells_its_status_with_a_token_in_a_file() -> None:
    config, _ = settings(FULL)
    for template in workflow_template_spec(config, "test")["templates"]:
        if template["name"] in {"resolve", "init-worktree", "init-worktree-own-claim", "cleanup"}:
            variables = {one["name"]: one["value"] for one in template["script"]["env"]}
            assert variables["STATUS_TOKEN_FILE"] == "/etc/coderun/status/password"
            assert variables["STATUS_API"] == "https://github.example.com/api/v3"
            assert {"name": "status-token", "mountPath": "/etc/coderun/status", "readOnly": True} in template["script"]["volumeMounts"]
        elif "script" in template:
            assert all(mount["name"] != "status-token" for mount in template["script"]["volumeMounts"]), template["name"]

"""The spec of the Sensor ``repo-workflow-sensor``: one dependency, one trigger.

The filter judges every event (payload/event-filter.lua) and reads the repo list from a mounted file, so the spec doesn't change with that list.
A changed filter would drop what is queued, so what can be tuned reaches it by the environment. Of an event only what the filter has checked
goes into a run, and as a JSON text each: nothing of a payload is ever read as a template, a command or YAML.
"""

from typing import Final

import payload
from components.argo_events_types import EventWorkflow, PodTemplate, SensorSpec, TriggerParameter
from components.argo_types import Parameter
from components.names import (
    DELIVERY_LABEL,
    EVENT_BUS,
    EVENT_NAME,
    EVENT_SOURCE,
    HEAD_ANNOTATION,
    MANAGED_LABELS,
    PR_LABEL,
    REPO_ANNOTATION,
    REPOS_CONFIG_MAP,
    SENSOR,
    WORKFLOW_TEMPLATE,
)
from components.workflow_template_spec import EVENT_ENTRYPOINT, HEAD_PARAMETER, container_security_context, environment, pod_security_context
from config.event_rate import requests_per_minute, window_seconds
from config.repos import REPOS_FILE
from config.settings import Events, StackConfig

FILTER: Final = "event-filter.lua"
"""File of payload/ that is the filter."""

_DEPENDENCY: Final = "pull-request"
_REPOS_FOLDER: Final = "/etc/coderun/repos"
_WINDOWS_FOLDER: Final = "/var/coderun/windows"

_NUMBER: Final = "{{ .Input.body.number | int64 }}"
_DELIVERY: Final = '{{ index .Input.body "X-GitHub-Delivery" }}'
_OWNER: Final = "body.repository.owner.login"
_REPO: Final = "body.repository.name"
_HEAD: Final = "body.pull_request.head.sha"


def sensor_spec(config: StackConfig, events: Events) -> SensorSpec:
    """Build the spec.

    Args:
        config: The stack's settings.
        events: Their part on events.

    Raises:
        ValueError: The filter contains ``{{``.
    """
    return {
        "eventBusName": EVENT_BUS,
        # Each sensor has a limiter and windows of its own: two would be twice as many runs.
        "replicas": 1,
        "template": _pod(config, events),
        "dependencies": [
            {
                "name": _DEPENDENCY,
                "eventSourceName": EVENT_SOURCE,
                "eventName": EVENT_NAME,
                "filters": {"script": payload.source(FILTER)},
            }
        ],
        "triggers": [
            {
                # An event is only done with when its workflow is there. Without this the limiter keeps events in memory, and retries are off.
                "atLeastOnce": True,
                "rateLimit": {"unit": "Minute", "requestsPerUnit": requests_per_minute(events.max_per_minute)},
                # 31 s in all. Each attempt takes one of the limiter's requests.
                "retryStrategy": {"steps": 6, "duration": "1s", "factor": 2, "jitter": 0},
                "template": {
                    "name": "run",
                    "k8s": {"operation": "create", "source": {"resource": _workflow(config)}, "parameters": _from_event()},
                },
            }
        ],
    }


def sensor_labels() -> dict[str, str]:
    """Labels of the sensor's pods, as Argo Events sets them."""
    return {"controller": "sensor-controller", "sensor-name": SENSOR}


def _pod(config: StackConfig, events: Events) -> PodTemplate:
    variables = {
        "REPOS_FILE": f"{_REPOS_FOLDER}/{REPOS_FILE}",
        "STATE_FILE": f"{_WINDOWS_FOLDER}/windows.tsv",
        "WINDOW_SECONDS": str(window_seconds(events.debounce_seconds, events.max_per_minute)),
        "FORKS": "run" if events.forks else "ignore",
    }
    return {
        "metadata": {"labels": MANAGED_LABELS},
        "serviceAccountName": SENSOR,
        "securityContext": pod_security_context(config),
        "container": {
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
            "securityContext": container_security_context(),
            "env": environment(variables),
            "volumeMounts": [
                # The folder, not one file of it by subPath: only then a change reaches a sensor that runs.
                {"name": "repos", "mountPath": _REPOS_FOLDER, "readOnly": True},
                # Outlives the container, not the pod.
                {"name": "windows", "mountPath": _WINDOWS_FOLDER},
            ],
        },
        "volumes": [
            {"name": "repos", "configMap": {"name": REPOS_CONFIG_MAP}},
            {"name": "windows", "emptyDir": {"sizeLimit": "16Mi"}},
        ],
    }


_PARAMETERS: Final = ("owner", "repo", "ref", "taskId", "prNumber", "baseRef", HEAD_PARAMETER)


def _workflow(config: StackConfig) -> EventWorkflow:
    empty: list[Parameter] = [{"name": name, "value": ""} for name in _PARAMETERS]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": "",
            "namespace": config.namespace,
            "labels": {PR_LABEL: "", DELIVERY_LABEL: ""},
            "annotations": {REPO_ANNOTATION: "", HEAD_ANNOTATION: ""},
        },
        "spec": {
            "entrypoint": EVENT_ENTRYPOINT,
            "workflowTemplateRef": {"name": WORKFLOW_TEMPLATE},
            "arguments": {"parameters": empty},
        },
    }


def _from_event() -> list[TriggerParameter]:
    def value(name: str) -> str:
        return f"spec.arguments.parameters.{_PARAMETERS.index(name)}.value"

    return [
        # New for every event that passes, and the same when one is delivered again: no second workflow for one event, and never none.
        _template(f"pr-{_NUMBER}-", "metadata.name"),
        {"src": {"dependencyName": _DEPENDENCY, "contextTemplate": "{{ .Input.id }}"}, "dest": "metadata.name", "operation": "append"},
        _template(_NUMBER, f"metadata.labels.{PR_LABEL}"),
        _template(_DELIVERY, f"metadata.labels.{DELIVERY_LABEL}"),
        _template("{{ .Input.body.repository.owner.login }}/{{ .Input.body.repository.name }}", f"metadata.annotations.{REPO_ANNOTATION}"),
        _part(_HEAD, f"metadata.annotations.{HEAD_ANNOTATION}"),
        _part(_OWNER, value("owner")),
        _part(_REPO, value("repo")),
        _template(f"refs/pull/{_NUMBER}/head", value("ref")),
        _template(f"pr-{_NUMBER}-{_DELIVERY}", value("taskId")),
        _template(_NUMBER, value("prNumber")),
        _template("refs/heads/{{ .Input.body.pull_request.base.ref }}", value("baseRef")),
        _part(_HEAD, value(HEAD_PARAMETER)),
    ]


def _part(path: str, destination: str) -> TriggerParameter:
    return {"src": {"dependencyName": _DEPENDENCY, "dataKey": path}, "dest": destination}


def _template(text: str, destination: str) -> TriggerParameter:
    return {"src": {"dependencyName": _DEPENDENCY, "dataTemplate": text}, "dest": destination}

"""The spec of the EventSource ``github``: takes in GitHub's webhooks, checks their signatures, and hands them to the event bus.

Everything that GitHub sends passes, of any repository: the sensor's filter judges. So the spec doesn't change with the repo list.
"""

from typing import Any, Final

from components.argo_events_types import EventSourceSpec, GithubSource
from components.names import (
    EVENT_BUS,
    EVENT_NAME,
    EVENT_SOURCE,
    HOOKS_SECRET,
    MANAGED_LABELS,
    WEBHOOK_PATH,
    WEBHOOK_PORT,
    WEBHOOK_SECRET,
)
from components.workflow_template_spec import container_security_context, pod_security_context
from config.settings import Events, StackConfig

SOURCE_ACCOUNT: Final = "coderun-eventsource-github"
"""Service account of the receiver's pods, which gives them no token: they ask the API server nothing."""

SECRET_KEY: Final = "secret"  # noqa: S105 - the name of a key
TOKEN_KEY: Final = "token"  # noqa: S105 - the name of a key
PRIVATE_KEY_KEY: Final = "privateKey"

_PUBLIC_API: Final = "https://api.github.com"


def event_source_spec(config: StackConfig, events: Events) -> EventSourceSpec:
    """Build the spec.

    Args:
        config: The stack's settings.
        events: Their part on events.
    """
    return {
        "eventBusName": EVENT_BUS,
        # Receivers share nothing, so two of them take in webhooks while one is replaced.
        "replicas": 2 if events.bus.replicas > 1 else 1,
        "template": {
            "metadata": {"labels": MANAGED_LABELS},
            "serviceAccountName": SOURCE_ACCOUNT,
            "securityContext": pod_security_context(config),
            "container": {
                "resources": {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": container_security_context(),
            },
        },
        "github": {EVENT_NAME: _source(events)},
    }


def receiver_labels() -> dict[str, str]:
    """Labels of the receiver's pods, as Argo Events sets them."""
    return {"controller": "eventsource-controller", "eventsource-name": EVENT_SOURCE}


def service_spec() -> dict[str, Any]:
    """Build the spec of the Service before the receiver: the one that Argo Events could make is for tests, it says."""
    return {
        "type": "ClusterIP",
        "selector": receiver_labels(),
        "ports": [{"name": "webhook", "port": WEBHOOK_PORT, "targetPort": WEBHOOK_PORT, "protocol": "TCP"}],
    }


def _source(events: Events) -> GithubSource:
    source: GithubSource = {
        # Used only where hooks are made, and yet required.
        "organizations": list(events.hooks.organizations) if events.hooks else ["none"],
        "webhook": {"endpoint": WEBHOOK_PATH, "port": str(WEBHOOK_PORT), "method": "POST", "url": events.hooks.url if events.hooks else ""},
        "events": ["pull_request"],
        "webhookSecret": {"name": WEBHOOK_SECRET, "key": SECRET_KEY},
        "contentType": "json",
        "insecure": False,
        "active": True,
    }
    hooks = events.hooks
    if hooks is None:
        return source
    if hooks.app:
        source["githubApp"] = {
            "privateKey": {"name": HOOKS_SECRET, "key": PRIVATE_KEY_KEY},
            "appID": hooks.app.app_id,
            "installationID": hooks.app.installation_id,
        }
    else:
        source["apiToken"] = {"name": HOOKS_SECRET, "key": TOKEN_KEY}
    if events.api_url != _PUBLIC_API:
        source["githubBaseURL"] = source["githubUploadURL"] = f"{events.api_url}/"
    return source

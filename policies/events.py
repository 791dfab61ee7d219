"""Policies on what starts runs from outside: event sources and sensors."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, items, mapping, text, texts_in, whole_number

SENSOR: Final = "argoproj.io/Sensor"
EVENT_SOURCE: Final = "argoproj.io/EventSource"

SLACK: Final = 10
"""Events that Argo Events' limiter lets through at once after a pause, on top of its rate (go.uber.org/ratelimit, not configurable)."""

_PER_MINUTE: Final = {"Second": 60.0, "Minute": 1.0, "Hour": 1 / 60}
_SIGNED_SOURCES: Final = ("github", "gitlab")


class _RateSettings(PolicySettings):
    maximum_per_minute: Annotated[int, Field(ge=1)] = Field(
        default=30, description="Most Workflows that one Sensor makes in any 60 seconds, all its triggers together."
    )


class _FilterSettings(PolicySettings):
    required: tuple[str, ...] = Field(
        default=("action", "repository"), description="Parts of an event that the filters of every dependency have to look at."
    )


def starts_workflows(trigger: object) -> bool:
    """Whether a Sensor's trigger makes Workflows."""
    template = mapping(at(trigger, "template"))
    if template.get("argoWorkflow") is not None:
        return True
    k8s = mapping(template.get("k8s"))
    return at(k8s, "source", "resource", "kind") == "Workflow" and (text(k8s.get("operation")) or "create") in {"create", "patch"}


def _rate_faults(resource: Resource, settings: _RateSettings) -> Iterator[str]:
    total = 0
    for trigger in items(at(resource.props, "spec", "triggers")):
        if not starts_workflows(trigger):
            continue
        path = f"spec.triggers[{text(at(trigger, 'template', 'name'))}]"
        limit = _most_per_minute(mapping(at(trigger, "rateLimit")))
        if limit is None:
            yield f"{path}.rateLimit is missing or has no requestsPerUnit from 1 up: nothing limits what events start. Remedy: set unit and number"
        else:
            total += limit
        if at(trigger, "atLeastOnce") is not True:
            yield f"{path}.atLeastOnce isn't true: what waits for the limiter is lost with the pod, and nothing is tried again. Remedy: set it"
        steps = whole_number(at(trigger, "retryStrategy", "steps"))
        if steps is None or steps <= 1:
            yield f"{path}.retryStrategy.steps isn't above 1: one refused request loses an event. Remedy: set it, for example to 6"
        for field in ("factor", "jitter"):
            if isinstance(at(trigger, "retryStrategy", field), str):
                yield f"{path}.retryStrategy.{field} is a text: the trigger then never fires. Remedy: write the number without quotes"
    if total > settings.maximum_per_minute:
        yield (
            f"spec.triggers can make {total} Workflows in one minute, {SLACK} of slack a trigger counted, more than the maximum "
            f"{settings.maximum_per_minute}. Remedy: lower rateLimit.requestsPerUnit"
        )


def _most_per_minute(rate_limit: Mapping[str, Any]) -> int | None:
    requests = whole_number(rate_limit.get("requestsPerUnit"))
    factor = _PER_MINUTE.get(text(rate_limit.get("unit")))
    # A unit that is missing or unknown counts as a second, and no number makes the sensor panic.
    return None if requests is None or requests < 1 else math.ceil(requests * (factor or _PER_MINUTE["Second"])) + SLACK


def _filter_faults(resource: Resource, settings: _FilterSettings) -> Iterator[str]:
    for dependency in items(at(resource.props, "spec", "dependencies")):
        path = f"spec.dependencies[{text(at(dependency, 'name'))}].filters"
        filters = mapping(at(dependency, "filters"))
        # A script is a text like a path is: what it never names it can't look at.
        words = "\n".join(texts_in(filters))
        missing = [part for part in settings.required if part not in words]
        if missing:
            yield f"{path} doesn't look at {', '.join(missing)}: events of any kind start runs. Remedy: filter by it, in data or script"
        for condition in items(filters.get("data")):
            for value in items(at(condition, "value")) if at(condition, "type") == "string" else ():
                if isinstance(value, str) and not (value.startswith("^") and value.endswith("$")):
                    yield (
                        f"{path}.data[{text(at(condition, 'path'))}] has {value!r}, which also matches longer texts: opened matches reopened. "
                        f"Remedy: write ^{value.strip('^$')}$"
                    )


def _signature_faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    spec = mapping(resource.props.get("spec"))
    for kind in _SIGNED_SOURCES:
        sources = mapping(spec.get(kind))
        for name in sources:
            path, source = f"spec.{kind}.{name}", mapping(sources[name])
            # GitLab has a token in the place of a signature.
            secret = mapping(source.get("webhookSecret" if kind == "github" else "secretToken"))
            field = "webhookSecret" if kind == "github" else "secretToken"
            if not (text(secret.get("name")) and text(secret.get("key"))):
                yield f"{path}.{field} names no Secret: anybody who reaches the address starts runs. Remedy: set name and key"
            if source.get("insecure") is True:
                yield f"{path}.insecure is true: the forge sends without checking who it sends to. Remedy: leave it out, and use TLS"


TRIGGER_RATE: Final = resource_rule(
    About(
        name="trigger-rate",
        description="No minute holds more Workflows from events than the maximum, slack counted, and no event is lost on the way.",
        remediation="Set rateLimit, atLeastOnce: true and retryStrategy on every trigger that makes Workflows.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo-events", "capacity"),
    ),
    _RateSettings,
    (SENSOR,),
    _rate_faults,
)

SENSOR_FILTERS: Final = resource_rule(
    About(
        name="sensor-filters",
        description="A Sensor's dependencies filter by action and repository, with patterns that match whole values.",
        remediation="Filter body.action and body.repository, with ^ and $ around every value.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo-events", "security"),
    ),
    _FilterSettings,
    (SENSOR,),
    _filter_faults,
)

WEBHOOK_SECRET: Final = resource_rule(
    About(
        name="webhook-secret",
        description="An EventSource that takes webhooks checks who sent them.",
        remediation="Name the Secret with the webhook's secret.",
        severity=Severity.CRITICAL,
        framework=OPERATIONS,
        tags=("argo-events", "security"),
    ),
    PolicySettings,
    (EVENT_SOURCE,),
    _signature_faults,
)

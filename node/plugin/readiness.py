"""When an object counts as ready: decisions over objects, without asking anybody."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from node.plugin.kinds import UnsupportedError
from node.plugin.values import Object, Value

SKIP_AWAIT = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"
PATCH_FORCE = "pulumi.com/patchForce"
FIELD_MANAGER = "pulumi.com/patchFieldManager"
DELETION_PROPAGATION = "pulumi.com/deletionPropagationPolicy"

KNOWN_ANNOTATIONS = frozenset(
    {
        SKIP_AWAIT,
        WAIT_FOR,
        TIMEOUT_SECONDS,
        PATCH_FORCE,
        FIELD_MANAGER,
        DELETION_PROPAGATION,
    }
)

DEFAULT_TIMEOUT_SECONDS = 600.0
"""How long an object may take to become ready or to go: the official plugin's ten minutes."""


class NeverReadyError(Exception):
    """The object will not become ready by itself."""


@dataclass(frozen=True)
class Readiness:
    """What an object lacks to be ready: nothing, if the message is empty."""

    message: str = ""

    @property
    def ready(self) -> bool:
        """Whether the object lacks nothing."""
        return not self.message


READY = Readiness()

Rule = Callable[[Object], Readiness]


def annotation(obj: Object, name: str) -> str:
    """The value of an annotation, or an empty string."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(name, ""))


def timeout_seconds(requested: float, inputs: Object) -> float:
    """The timeout: of the resource's custom_timeouts, else its annotation, else ten minutes."""
    text = annotation(inputs, TIMEOUT_SECONDS)
    if requested:
        return requested
    return float(text) if text.isdigit() else DEFAULT_TIMEOUT_SECONDS


def conditions(obj: Object) -> dict[str, Object]:
    """The status conditions by type."""
    found = (obj.get("status") or {}).get("conditions") or []
    return {str(item.get("type")): item for item in found}


def _stale(obj: Object) -> bool:
    observed = (obj.get("status") or {}).get("observedGeneration")
    generation = (obj.get("metadata") or {}).get("generation")
    return observed is not None and generation is not None and observed < generation


def _condition_text(condition: Object) -> str:
    reason = condition.get("message") or condition.get("reason") or ""
    return f"condition {condition.get('type')} is {condition.get('status')}" + (f": {reason}" if reason else "")


def _condition_rule(expression: str) -> Rule:
    name, _, wanted = expression.removeprefix("condition=").partition("=")
    wanted = wanted or "True"

    def rule(obj: Object) -> Readiness:
        every = conditions(obj)
        found = every.get(name)
        if found is None or _stale(obj):
            return Readiness(f"waiting for condition {name}")
        if str(found.get("status")) == wanted:
            return READY
        # Argo Events leaves Deployed at Unknown and says in another condition what is wrong with the object.
        others = [other for kind, other in sorted(every.items()) if kind != name and str(other.get("status")) == "False"]
        return Readiness("; ".join(_condition_text(condition) for condition in (found, *others)))

    return rule


_JSON_PATH = re.compile(r"^jsonpath=\{?((?:\.[A-Za-z0-9_-]+|\[\d+\])+)\}?(?:=(.*))?$")


def _json_path_rule(expression: str) -> Rule:
    match = _JSON_PATH.match(expression)
    if match is None:
        raise UnsupportedError(f"{WAIT_FOR}: the stand-in plugin only understands paths like jsonpath={{.status.phase}}=Bound, not {expression}.")
    parts = re.findall(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]", match.group(1))
    wanted = match.group(2)

    def rule(obj: Object) -> Readiness:
        value: Value = obj
        for name, index in parts:
            if name and isinstance(value, dict) and name in value:
                value = value[name]
            elif index and isinstance(value, list) and int(index) < len(value):
                value = value[int(index)]
            else:
                return Readiness(f"waiting for {match.group(1)}")
        if _stale(obj) or (wanted is not None and str(value) != wanted):
            return Readiness(f"{match.group(1)} is {str(value)[:80]}, not {wanted}")
        return READY

    return rule


def wait_for_rules(value: str) -> list[Rule]:
    """The rules of a `pulumi.com/waitFor` annotation: one expression or a JSON list of them.

    Raises UnsupportedError for an expression that is neither `condition=…` nor a simple `jsonpath=…`.
    """
    expressions = [value]
    if value.lstrip().startswith("["):
        expressions = [str(item) for item in json.loads(value)]
    if not expressions:
        raise UnsupportedError(f"{WAIT_FOR}: at least one condition must be given.")
    rules: list[Rule] = []
    for expression in expressions:
        if expression.startswith("condition="):
            rules.append(_condition_rule(expression))
        elif expression.startswith("jsonpath="):
            rules.append(_json_path_rule(expression))
        else:
            raise UnsupportedError(f"{WAIT_FOR}: {expression} has neither the prefix condition= nor jsonpath=.")
    return rules


def job(obj: Object) -> Readiness:
    """A Job is ready once it is complete; NeverReadyError with its reason if it failed."""
    found = conditions(obj)
    failure = found.get("Failed", {})
    if failure.get("status") == "True":
        raise NeverReadyError(f"the Job failed: {failure.get('reason')}: {failure.get('message')}")
    if found.get("Complete", {}).get("status") == "True":
        return READY
    status = obj.get("status") or {}
    return Readiness(
        f"the Job runs: {status.get('active', 0)} active, {status.get('succeeded', 0)} succeeded, {status.get('failed', 0)} failed",
    )


def deployment(obj: Object) -> Readiness:
    """A Deployment is ready once all its pods are new ones and available."""
    status = obj.get("status") or {}
    wanted = (obj.get("spec") or {}).get("replicas", 1)
    progressing = conditions(obj).get("Progressing", {})
    if "observedGeneration" not in status or _stale(obj):
        return Readiness("waiting for the Deployment controller")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        raise NeverReadyError(f"the Deployment does not progress: {progressing.get('message')}")
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated >= wanted and available >= wanted and status.get("replicas", 0) <= updated:
        return READY
    return Readiness(f"{available} of {wanted} pods are available, {updated} updated")


def claim(obj: Object, binding_mode: str) -> Readiness:
    """A claim is ready once bound; one whose class binds late, as soon as it is pending."""
    phase = (obj.get("status") or {}).get("phase")
    if phase == "Bound" or (phase == "Pending" and binding_mode == "WaitForFirstConsumer"):
        return READY
    return Readiness(f"the claim is {phase}, not Bound")


def service_needs_endpoints(obj: Object) -> bool:
    """Whether a Service is only ready with an endpoint: it selects pods and is not headless."""
    spec = obj.get("spec") or {}
    selects = bool(spec.get("selector")) and spec.get("type") != "ExternalName"
    return selects and spec.get("clusterIP") != "None"


def endpoint_ready(slices: list[Object]) -> bool:
    """Whether any EndpointSlice has a ready endpoint."""
    return any((endpoint.get("conditions") or {}).get("ready", True) for item in slices for endpoint in item.get("endpoints") or ())

"""Waits until an object is ready, or gone, and says meanwhile what it lacks."""

import threading
import time
from collections.abc import Callable

from node.plugin import readiness
from node.plugin.cluster import ApiError, Cluster
from node.plugin.kinds import Kind
from node.plugin.readiness import READY, NeverReadyError, Readiness
from node.plugin.values import Object

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0

_LOG_LINES = 20
_LOG_CHARACTERS = 2000

# The kinds whose disappearance is not waited for under pulumi.com/skipAwait: the official
# plugin's list (provider/pkg/metadata/overrides.go), as far as the kinds are known here.
_SKIP_AWAIT_ON_DELETE = frozenset({"Namespace", "Deployment", "Job"})


class CancelledError(Exception):
    """The engine cancelled the operation."""


class Waiter:
    """Waits for objects of one cluster, until `cancelled` is set."""

    def __init__(self, cluster: Cluster, cancelled: threading.Event) -> None:
        """Wait with this cluster; setting `cancelled` ends every wait with CancelledError."""
        self._cluster = cluster
        self._cancelled = cancelled

    def until_ready(self, kind: Kind, inputs: Object, obj: Object, timeout: float, say: Callable[[str], None]) -> Object:
        """The object once it is ready; at once if its annotations or its kind ask for no waiting.

        `timeout` is in seconds. Raises NeverReadyError when it will not get ready or did not in time, with
        what was missing; UnsupportedError for a `pulumi.com/waitFor` that cannot be understood.
        """
        rule = self._rule(kind, inputs, obj)
        if rule is None:
            return obj
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        live = obj

        def check() -> Readiness:
            nonlocal live
            live = self._cluster.get(kind, namespace, name)
            return rule(live)

        try:
            self._poll(check, timeout, say)
        except NeverReadyError as failure:
            details = self._pod_messages(live) if kind.kind in ("Job", "Deployment") else ""
            raise NeverReadyError(f"{failure}{details}") from None
        return live

    def until_gone(
        self,
        kind: Kind,
        inputs: Object,
        obj: Object,
        timeout: float,
        say: Callable[[str], None],
    ) -> None:
        """Wait until the object is gone, or another one has its name; NeverReadyError after `timeout`."""
        skipped = readiness.annotation(inputs, readiness.SKIP_AWAIT) == "true"
        if skipped and kind.kind in _SKIP_AWAIT_ON_DELETE:
            return
        metadata = obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]

        def check() -> Readiness:
            try:
                live = self._cluster.get(kind, namespace, name)
            except ApiError as error:
                if error.not_found:
                    return READY
                raise
            if live["metadata"].get("uid") != metadata.get("uid"):
                return READY
            finalizers = ", ".join(live["metadata"].get("finalizers") or ()) or "none"
            return Readiness(f"waiting for its deletion (finalizers: {finalizers})")

        self._poll(check, timeout, say)

    def _poll(self, check: Callable[[], Readiness], timeout: float, say: Callable[[str], None]) -> None:
        deadline = time.monotonic() + timeout
        pause = _FIRST_PAUSE_SECONDS
        said = ""
        while not (found := check()).ready:
            if found.message != said:
                say(found.message)
                said = found.message
            if time.monotonic() >= deadline:
                raise NeverReadyError(f"not done after {timeout:g} s: {found.message}")
            if self._cancelled.wait(pause):
                raise CancelledError(f"cancelled: {found.message}")
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        if said:
            say("")

    def _rule(self, kind: Kind, inputs: Object, obj: Object) -> readiness.Rule | None:
        if readiness.annotation(inputs, readiness.SKIP_AWAIT) == "true":
            return None
        wanted = readiness.annotation(obj, readiness.WAIT_FOR)
        if wanted:
            rules = readiness.wait_for_rules(wanted)

            def every(live: Object) -> Readiness:
                return next((r for r in (rule(live) for rule in rules) if not r.ready), READY)

            return every
        rules_of_kinds: dict[str, readiness.Rule] = {
            "Job": readiness.job,
            "Deployment": readiness.deployment,
            "PersistentVolumeClaim": lambda live: readiness.claim(live, self._binding_mode(live)),
            "Service": self._service,
        }
        return rules_of_kinds.get(kind.kind)

    def _binding_mode(self, claim: Object) -> str:
        name = (claim.get("spec") or {}).get("storageClassName")
        if not name:
            return ""
        try:
            found = self._cluster.items("/apis/storage.k8s.io/v1/storageclasses", fieldSelector=f"metadata.name={name}")
        except ApiError:
            return ""
        return str(found[0].get("volumeBindingMode", "")) if found else ""

    def _service(self, live: Object) -> Readiness:
        if not readiness.service_needs_endpoints(live):
            return READY
        metadata = live["metadata"]
        slices = self._cluster.items(
            f"/apis/discovery.k8s.io/v1/namespaces/{metadata['namespace']}/endpointslices",
            labelSelector=f"kubernetes.io/service-name={metadata['name']}",
        )
        if readiness.endpoint_ready(slices):
            return READY
        return Readiness("the Service has no ready endpoint")

    def _pod_messages(self, owner: Object) -> str:
        """Why the pods of a Job or Deployment failed: container states and last log lines."""
        labels = ((owner.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        namespace = owner["metadata"]["namespace"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        if not selector:
            return ""
        messages = ""
        for pod in self._cluster.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector):
            name, status = pod["metadata"]["name"], pod.get("status") or {}
            for state in (
                *(status.get("initContainerStatuses") or ()),
                *(status.get("containerStatuses") or ()),
            ):
                current = state.get("state") or {}
                trouble = current.get("waiting") or current.get("terminated") or {}
                if not trouble or trouble.get("reason") == "Completed":
                    continue
                log = self._cluster.log(namespace, name, state["name"], _LOG_LINES)
                reason, message = trouble.get("reason"), trouble.get("message") or ""
                messages += f"\npod {name}, container {state['name']}: {reason} {message}".rstrip() + f"\n{log[-_LOG_CHARACTERS:]}"
        return messages

"""The API server, over the Kubernetes client's own transport and authentication."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config

from node.plugin.kinds import Kind, UnsupportedError
from node.plugin.settings import Settings, load_kubeconfig
from node.plugin.values import Object, Value

REQUEST_TIMEOUT_SECONDS = 60.0
"""How long one request may take; the API server itself gives up on a write after a minute."""


class ApiError(Exception):
    """The API server refused a request.

    `status` is the HTTP status. `kind_missing` tells a path that does not exist (a definition not
    applied yet) from an object that does not.
    """

    def __init__(self, status: int, reason: str, message: str, *, kind_missing: bool) -> None:
        """Keep what the API server answered."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.kind_missing = kind_missing

    @property
    def not_found(self) -> bool:
        """Neither the object nor its kind is there."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def already_exists(self) -> bool:
        """The object to be created is there."""
        return self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        """Another manager owns a field, or somebody wrote the object meanwhile."""
        return self.reason == "Conflict"


class UnreachableError(Exception):
    """The API server does not answer; names the address and the remedy."""


class Cluster:
    """One API server, with the context's default namespace."""

    def __init__(self, settings: Settings) -> None:
        """Load the kubeconfig; nothing is asked of the API server yet.

        Raises UnsupportedError, with the remedy, if the kubeconfig or context cannot be used.
        """
        configuration = client.Configuration()
        kube: Any = config  # publishes no types
        try:
            given = load_kubeconfig(settings.kubeconfig)
            if given is None:
                kube.load_kube_config(context=settings.context or None, client_configuration=configuration)
                contexts, current = kube.list_kube_config_contexts()
                active = settings.context or current["name"]
            else:
                kube.load_kube_config_from_dict(given, context=settings.context or None, client_configuration=configuration)
                contexts, active = given.get("contexts") or [], settings.context or given.get("current-context")
        except config.ConfigException as error:
            raise UnsupportedError(
                f"kubeconfig: {error}. Remedy: set kubeconfig and context of the provider, or KUBECONFIG, to a cluster that exists.",
            ) from None
        own = next((c["context"].get("namespace") for c in contexts if c["name"] == active), None)
        self.namespace: str = settings.namespace or own or "default"
        """Where objects go that name no namespace."""
        self._client: Any = client.ApiClient(configuration)

    @property
    def address(self) -> str:
        """The API server's URL."""
        return str(self._client.configuration.host)

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """The object as it is now; ApiError if it is not there."""
        return self._call("GET", kind.path(namespace, name))

    def items(self, path: str, **query: str) -> list[Object]:
        """The items of a collection."""
        items: list[Object] = self._call("GET", path, query).get("items") or []
        return items

    def create(self, kind: Kind, namespace: str, obj: Object, *, manager: str, dry_run: bool) -> Object:
        """Make the object; ApiError with `already_exists` if it is there.

        Unknown fields are refused: server-side apply would refuse them at the first update.
        """
        query = {"fieldManager": manager, "fieldValidation": "Strict", **_dry(dry_run=dry_run)}
        return self._call("POST", kind.path(namespace), query, obj)

    def apply(self, kind: Kind, namespace: str, obj: Object, *, manager: str, force: bool, dry_run: bool) -> Object:
        """Server-side apply; ApiError with `conflict` if others own a field and not `force`."""
        query = {"fieldManager": manager, "force": str(force).lower(), **_dry(dry_run=dry_run)}
        path = kind.path(namespace, obj["metadata"]["name"])
        # JSON is YAML; there is no patch type for apply with JSON in all served versions.
        return self._call("PATCH", path, query, json.dumps(obj), content_type="application/apply-patch+yaml")

    def replace(self, kind: Kind, namespace: str, obj: Object, *, manager: str, dry_run: bool) -> Object:
        """PUT the object."""
        query = {"fieldManager": manager, **_dry(dry_run=dry_run)}
        return self._call("PUT", kind.path(namespace, obj["metadata"]["name"]), query, obj)

    def set_managed_fields(self, kind: Kind, obj: Object, entries: list[Object]) -> Object:
        """Write who manages which field; ApiError with `conflict` if the object changed meanwhile."""
        metadata = obj["metadata"]
        operations = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        ]
        return self._call(
            "PATCH",
            kind.path(metadata.get("namespace", ""), metadata["name"]),
            {},
            operations,
            content_type="application/json-patch+json",
        )

    def delete(self, kind: Kind, namespace: str, name: str, propagation: str) -> None:
        """Ask for the object's deletion; it may take time to go."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        self._call("DELETE", kind.path(namespace, name), {}, body)

    def serves(self, kind: Kind) -> bool:
        """Whether the API server knows the kind."""
        version = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        try:
            resources = self._call("GET", version).get("resources") or []
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return any(item.get("name") == kind.plural for item in resources)

    def log(self, namespace: str, pod: str, container: str, lines: int) -> str:
        """The last lines of a container's log; empty if there is none."""
        query = {"container": container, "tailLines": str(lines)}
        try:
            text = self._send("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query)
        except ApiError:
            return ""
        return text.decode(errors="replace")

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Value = None,
        content_type: str = "application/json",
    ) -> Object:
        answer: Object = json.loads(self._send(method, path, query, body, content_type))
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Value = None,
        content_type: str = "application/json",
    ) -> bytes:
        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body, request_auth=None)
        url = self.address + path + (f"?{urlencode(query)}" if query else "")
        try:
            response = self._client.rest_client.request(method, url, headers=headers, body=body, _request_timeout=REQUEST_TIMEOUT_SECONDS)
            data: bytes = response.read() or b""
        except client.ApiException as error:
            if error.status:
                raise
            raise UnreachableError(self._unreachable(str(error.reason))) from None
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(self._unreachable(type(error).__name__)) from None
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise _refusal(response.status, data)
        return data

    def _unreachable(self, reason: str) -> str:
        return (
            f"the Kubernetes API server at {self.address} does not answer ({reason})."
            " Remedy: start the cluster (`make up`), or correct the kubeconfig or context."
        )


def _refusal(status: int, data: bytes) -> ApiError:
    try:
        body = json.loads(data)
    except ValueError:
        text = data.decode(errors="replace").strip()
        return ApiError(status, "", text or f"HTTP {status}", kind_missing=status == HTTPStatus.NOT_FOUND)
    return ApiError(
        status,
        str(body.get("reason", "")),
        str(body.get("message", f"HTTP {status}")),
        # A missing object is named in the details; a missing path answers without them.
        kind_missing=status == HTTPStatus.NOT_FOUND and not (body.get("details") or {}).get("name"),
    )


def _dry(*, dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}

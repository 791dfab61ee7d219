"""The gRPC service `pulumirpc.ResourceProvider` that the engine speaks to."""

import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)
from typing_extensions import override

from node.plugin import diff, ownership, readiness
from node.plugin.cluster import ApiError, Cluster, UnreachableError
from node.plugin.engine import Engine
from node.plugin.kinds import Kind, UnsupportedError, kind_of
from node.plugin.readiness import NeverReadyError
from node.plugin.settings import Settings, active_cluster, parse, refusals
from node.plugin.values import Object, contains_unknown, decode, encode, mark_secrets, plain
from node.plugin.waiting import CancelledError, Waiter

VERSION = "4.34.2"
"""The version that requirements.txt pins; the engine compares it with the one the SDK asks for."""

NOTICE = (
    "This is the built-in node's stand-in for the plugin pulumi-resource-kubernetes, which cannot"
    " be downloaded here. It knows only the kinds of this stack and refuses everything else. On a"
    " machine with the official plugin that one is used."
)

# A thread waits for as long as its object takes to get ready, and the engine asks for as many
# things at once as --parallel says.
_THREADS = 64
_MESSAGE_BYTES = 400 * 1024 * 1024  # what the engine itself accepts

# Attempts while the namespace or the definition of a kind that was just made becomes visible.
_CREATE_ATTEMPTS = 6
_CREATE_FIRST_PAUSE_SECONDS = 0.5

_TAKE_OVER_ATTEMPTS = 5

ALREADY_EXISTS = (
    "the object exists in the cluster already, and Pulumi does not take over what it did not make."
    " Remedy: adopt it with `pulumi import {token} <resource name> {id}`, or delete it; after a"
    " renaming in the program, give the resource an alias."
)


@dataclass(frozen=True)
class Configured:
    """What a Configure request brought about."""

    settings: Settings
    cluster: Cluster
    waiter: Waiter


class PartlyDoneError(Exception):
    """The object is in the cluster, but it did not become ready, or did not go."""

    def __init__(self, identity: str, properties: Object, reason: str) -> None:
        """Keep what is known of the object, for the engine's state."""
        super().__init__(reason)
        self.identity = identity
        self.properties = properties


def identity(obj: Object) -> str:
    """The resource's id: namespace/name, or the name of a cluster-wide object."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def checkpoint(inputs: Object, live: Object, given: Object, manager: str) -> Object:
    """The resource's outputs, as the official plugin lays them out, so that it can carry on.

    `given` are the inputs with their secret marks.
    """
    marked = mark_secrets(live, given)
    if live.get("kind") == "Secret" and "data" in marked:
        marked["data"] = mark_secrets({"kind": "Secret", "data": live["data"]}, {})["data"]
    return {
        **marked,
        "__inputs": mark_secrets(inputs, given),
        "__initialApiVersion": live.get("apiVersion", ""),
        "__fieldManager": manager,
    }


def live_part(outputs: Object) -> Object:
    """The object in a resource's outputs, without what Pulumi keeps beside it."""
    return {key: value for key, value in plain(outputs).items() if not key.startswith("__")}


def check_inputs(kind: Kind, given: Object, default_namespace: str) -> tuple[Object, dict[str, str]]:
    """The inputs with defaults filled in, and what is wrong with them, by property."""
    inputs = dict(given)
    failures: dict[str, str] = {}
    for key, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        found = inputs.setdefault(key, wanted)
        if found != wanted:
            failures[key] = f"is {found}, but the resource's type says {wanted}"
    metadata = dict(inputs.get("metadata") or {}) if isinstance(inputs.get("metadata", {}), dict) else None
    if metadata is None:
        # Secret or unknown as a whole: nothing can be said of it yet.
        return inputs, failures
    if "name" not in metadata:
        failures["metadata.name"] = "is missing, and the stand-in plugin makes up no names. Remedy: give the object an explicit name."
    if kind.namespaced:
        metadata.setdefault("namespace", default_namespace)
    else:
        metadata.pop("namespace", None)
    inputs["metadata"] = metadata
    annotations = metadata.get("annotations")
    for name in annotations if isinstance(annotations, dict) else ():
        if name.startswith("pulumi.com/") and name not in readiness.KNOWN_ANNOTATIONS:
            failures["metadata.annotations"] = f"{name} is not known to the stand-in plugin. Remedy: leave it out."
    return inputs, failures


_KINDS_OF_CHANGE = {
    (diff.Change.ADD, False): provider_pb2.PropertyDiff.ADD,
    (diff.Change.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (diff.Change.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (diff.Change.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (diff.Change.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (diff.Change.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


def diff_response(found: list[diff.Difference], *, delete_before_replace: bool) -> provider_pb2.DiffResponse:
    """The answer to a Diff request."""
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
        deleteBeforeReplace=delete_before_replace,
        hasDetailedDiff=True,
    )
    for item in found:
        text = diff.path_text(item.path)
        response.detailedDiff[text].CopyFrom(provider_pb2.PropertyDiff(kind=_KINDS_OF_CHANGE[item.change, item.replaces], inputDiff=True))
        if item.replaces:
            response.replaces.append(text)
        top = str(item.path[0])
        if top not in response.diffs:
            response.diffs.append(top)
    return response


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one provider resource of one program."""

    def __init__(self, engine: Engine) -> None:
        """Serve the engine; nothing works before Configure."""
        self._engine = engine
        self._cancelled = threading.Event()
        self._configured: Configured | None = None

    # What the engine asks about the plugin and its options.

    @override
    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """The plugin's version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    @override
    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Serve another engine: a debugger started the plugin by hand."""
        self._engine = Engine(request.address)
        return empty_pb2.Empty()

    @override
    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """End all waiting."""
        self._cancelled.set()
        return empty_pb2.Empty()

    @override
    def GetSchema(self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext) -> provider_pb2.GetSchemaResponse:
        """Refused: schemas serve to generate SDKs."""
        with self._answering(context):
            raise UnsupportedError("the stand-in plugin has no schema. Remedy: use the official plugin.")

    @override
    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        """Refused: the functions of the official plugin (YAML, Helm, Kustomize) are not here."""
        with self._answering(context):
            raise UnsupportedError(f"the stand-in plugin does not know the function {request.tok}. Remedy: use the official plugin.")

    @override
    def CheckConfig(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Check the provider's options."""
        with self._answering(context):
            failures = refusals(plain(decode(request.news)))
            return provider_pb2.CheckResponse(
                inputs=request.news,
                failures=[provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures.items()],
            )

    @override
    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Another cluster replaces the provider and its objects; all else is an update."""
        with self._answering(context):
            old, new = plain(decode(request.olds)), plain(decode(request.news))
            changed = [item.path for item in diff.compare(old, new, ())]
            names = list(dict.fromkeys(str(path[0]) for path in changed))
            response = provider_pb2.DiffResponse(
                changes=provider_pb2.DiffResponse.DIFF_SOME if names else provider_pb2.DiffResponse.DIFF_NONE,
                diffs=names,
            )
            before, after = active_cluster(old), active_cluster(new)
            if before is not None and after is not None and before != after:
                response.replaces.extend(n for n in names if n in ("kubeconfig", "context"))
            return response

    @override
    def Configure(self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext) -> provider_pb2.ConfigureResponse:
        """Take the options and say once what this plugin is."""
        with self._answering(context):
            settings = parse(request.variables)
            cluster = Cluster(settings)
            self._configured = Configured(settings, cluster, Waiter(cluster, self._cancelled))
            self._engine.info(NOTICE)
            return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    # What the engine asks about one resource.

    @override
    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Fill in defaults; refuse what cannot be deployed."""
        with self._answering(context):
            try:
                kind = kind_of(_token(request.urn))
            except UnsupportedError as error:
                return provider_pb2.CheckResponse(
                    inputs=request.news,
                    failures=[provider_pb2.CheckFailure(reason=str(error))],
                )
            inputs, failures = check_inputs(kind, decode(request.news), self._ready.cluster.namespace)
            return provider_pb2.CheckResponse(
                inputs=encode(mark_secrets(inputs, inputs)),
                failures=[provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in failures.items()],
            )

    @override
    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """What the new inputs change, and whether that needs a replacement."""
        with self._answering(context):
            kind = kind_of(_token(request.urn))
            outputs = decode(request.olds)
            old = plain(decode(request.old_inputs)) or plain(outputs.get("__inputs", {}))
            new = plain(decode(request.news))
            settings = self._ready.settings
            immutable = diff.immutable_paths(
                kind,
                new,
                config_map_mutable=settings.config_map_mutable,
                secret_mutable=settings.secret_mutable,
            )
            if kind.kind == "Secret":
                old, new = diff.with_encoded_strings(old), diff.with_encoded_strings(new)
            found = [item for item in diff.compare(old, new, immutable) if not diff.ignored(item.path, request.ignoreChanges)]
            # Names are explicit, so that the new object can only come after the old one has gone,
            # unless its name or namespace is what changed.
            moved = any(item.path[:1] == ("metadata",) and item.replaces for item in found)
            return diff_response(found, delete_before_replace=any(i.replaces for i in found) and not moved)

    @override
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Make the object and wait until it is ready; in a preview, only ask if it could be."""
        with self._answering(context):
            kind = kind_of(_token(request.urn))
            given = decode(request.properties)
            if request.preview and (contains_unknown(given) or not self._ready.cluster.serves(kind)):
                return provider_pb2.CreateResponse(properties=request.properties)
            inputs = plain(given)
            manager = _manager(inputs, {})
            try:
                created = self._create(kind, inputs, manager, request.urn, preview=request.preview)
            except ApiError as error:
                # What is missing, or in the way, may be deployed or replaced by the same run.
                if request.preview and error.status in (403, 404, 409):
                    return provider_pb2.CreateResponse(properties=request.properties)
                if error.already_exists:
                    hint = ALREADY_EXISTS.format(token=kind.token, id=identity(inputs))
                    raise UnsupportedError(f"{error}: {hint}") from None
                raise
            if request.preview:
                created.pop("status", None)
                outputs = checkpoint(inputs, created, given, manager)
                return provider_pb2.CreateResponse(properties=encode(outputs))
            live = self._await(kind, inputs, created, request, given, manager)
            return provider_pb2.CreateResponse(id=identity(live), properties=encode(checkpoint(inputs, live, given, manager)))

    @override
    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change the object in place and wait until it is ready again; or try it, in a preview."""
        with self._answering(context):
            kind = kind_of(_token(request.urn))
            given, outputs = decode(request.news), decode(request.olds)
            if request.preview and contains_unknown(given):
                return provider_pb2.UpdateResponse(properties=request.news)
            inputs = plain(given)
            manager = _manager(inputs, outputs)
            updated = self._update(kind, inputs, manager, dry_run=request.preview)
            live = updated if request.preview else self._await(kind, inputs, updated, request, given, manager)
            return provider_pb2.UpdateResponse(properties=encode(checkpoint(inputs, live, given, manager)))

    @override
    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """The object as it is: for a refresh, and for an import or a `get`."""
        with self._answering(context):
            kind = kind_of(_token(request.urn))
            namespace, name = _parse_identity(kind, request.id, self._ready.cluster.namespace)
            try:
                live = self._ready.cluster.get(kind, namespace, name)
            except ApiError as error:
                if error.not_found:
                    return provider_pb2.ReadResponse()
                raise
            given, outputs = decode(request.inputs), decode(request.properties)
            known = plain(given)
            if known.get("kind"):
                if kind.kind == "Secret":
                    known = diff.with_encoded_strings(known)
                inputs = diff.refreshed_inputs(known, live_part(outputs), live)
            else:
                inputs = diff.imported_inputs(live)
            manager = _manager(inputs, outputs)
            return provider_pb2.ReadResponse(
                id=request.id,
                inputs=encode(mark_secrets(inputs, given)),
                properties=encode(checkpoint(inputs, live, given, manager)),
            )

    @override
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete the object and wait until it has gone; one that is not there counts as deleted."""
        with self._answering(context):
            kind = kind_of(_token(request.urn))
            outputs = decode(request.properties)
            inputs = plain(decode(request.old_inputs)) or plain(outputs.get("__inputs", {}))
            namespace, name = _parse_identity(kind, request.id, self._ready.cluster.namespace)
            if kind.is_patch:
                self._give_up(kind, name, _manager(inputs, outputs))
                return empty_pb2.Empty()
            policy = readiness.annotation(inputs, readiness.DELETION_PROPAGATION).capitalize()
            propagation = policy if policy in ("Orphan", "Background") else "Foreground"
            try:
                live = self._ready.cluster.get(kind, namespace, name)
                self._ready.cluster.delete(kind, namespace, name, propagation)
            except ApiError as error:
                if error.not_found:
                    return empty_pb2.Empty()
                raise
            timeout = readiness.timeout_seconds(request.timeout, inputs)
            try:
                self._ready.waiter.until_gone(kind, inputs, live, timeout, self._say(request.urn))
            except NeverReadyError as failure:
                raise PartlyDoneError(
                    request.id,
                    checkpoint(inputs, live, decode(request.old_inputs), _manager({}, outputs)),
                    f"{kind.kind} {request.id} was deleted but is still there: {failure}",
                ) from None
            return empty_pb2.Empty()

    # How the answers come about.

    @property
    def _ready(self) -> Configured:
        if self._configured is None:
            raise UnsupportedError(
                "the provider's options are not known yet. Remedy: give the provider a kubeconfig and context that do not depend on other resources."
            )
        return self._configured

    def _say(self, urn: str) -> Callable[[str], None]:
        return lambda message: self._engine.status(message, urn)

    def _create(self, kind: Kind, inputs: Object, manager: str, urn: str, *, preview: bool) -> Object:
        """POST the object; or apply it, where the program asked to take over existing ones.

        A namespace or a definition made a moment ago by another resource may not be visible yet:
        then it is tried again for some seconds.
        """
        cluster, namespace, inputs = self._ready.cluster, _namespace(inputs), _as_sent(kind, inputs)
        if kind.is_patch:
            return self._patch(kind, inputs, manager, dry_run=preview)
        pause = _CREATE_FIRST_PAUSE_SECONDS
        for attempt in range(1, _CREATE_ATTEMPTS + 1):
            try:
                if self._ready.settings.upsert:
                    return cluster.apply(
                        kind,
                        namespace,
                        inputs,
                        manager=manager,
                        force=preview or self._force(inputs),
                        dry_run=preview,
                    )
                return cluster.create(kind, namespace, inputs, manager=ownership.CREATOR, dry_run=preview)
            except ApiError as error:
                if not error.not_found or preview or attempt == _CREATE_ATTEMPTS:
                    raise
                self._engine.status(f"attempt {attempt} failed: {error}", urn)
            if self._cancelled.wait(pause):
                raise CancelledError("cancelled before the object was made")
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _update(self, kind: Kind, inputs: Object, manager: str, *, dry_run: bool) -> Object:
        if kind.is_patch:
            return self._patch(kind, inputs, manager, dry_run=dry_run)
        cluster, namespace, inputs = self._ready.cluster, _namespace(inputs), _as_sent(kind, inputs)
        live = cluster.get(kind, namespace, inputs["metadata"]["name"])
        if kind.kind == "CustomResourceDefinition":
            # As by the official plugin: an apply would leave versions of the old schema behind.
            version = live["metadata"]["resourceVersion"]
            metadata = {**inputs["metadata"], "resourceVersion": version}
            return cluster.replace(kind, namespace, {**inputs, "metadata": metadata}, manager=manager, dry_run=dry_run)
        force = self._force(inputs)
        if dry_run:
            # The take-over itself cannot be tried without being done.
            force = force or ownership.taken_over(_managers(live), manager) is not None
        else:
            self._take_over(kind, live, manager)
        return self._apply(kind, inputs, manager, force=force, dry_run=dry_run)

    def _patch(self, kind: Kind, inputs: Object, manager: str, *, dry_run: bool) -> Object:
        """Set fields of an object that has to be there: an apply alone would make it."""
        self._ready.cluster.get(kind, _namespace(inputs), inputs["metadata"]["name"])
        return self._apply(kind, inputs, manager, force=self._force(inputs), dry_run=dry_run)

    def _give_up(self, kind: Kind, name: str, manager: str) -> None:
        """Take back the fields that a patch has set: an apply of none of them, by the same manager."""
        nothing = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}}
        try:
            self._ready.cluster.get(kind, "", name)
        except ApiError as error:
            if error.not_found:
                return
            raise
        self._ready.cluster.apply(kind, "", nothing, manager=manager, force=False, dry_run=False)

    def _apply(self, kind: Kind, inputs: Object, manager: str, *, force: bool, dry_run: bool) -> Object:
        try:
            return self._ready.cluster.apply(kind, _namespace(inputs), inputs, manager=manager, force=force, dry_run=dry_run)
        except ApiError as error:
            if error.conflict:
                raise UnsupportedError(
                    f"{error}. Remedy: let that manager drop the fields, take them out of the"
                    f' program, or annotate the object with {readiness.PATCH_FORCE}: "true".'
                ) from None
            raise

    def _take_over(self, kind: Kind, live: Object, manager: str) -> None:
        """Hand the fields of kubectl and of the creation to `manager`."""
        cluster, metadata = self._ready.cluster, live["metadata"]
        for attempt in range(1, _TAKE_OVER_ATTEMPTS + 1):
            entries = ownership.taken_over(_managers(live), manager)
            if entries is None:
                return
            try:
                cluster.set_managed_fields(kind, live, entries)
            except ApiError as error:
                # A controller wrote the object meanwhile.
                if not error.conflict or attempt == _TAKE_OVER_ATTEMPTS:
                    raise
                live = cluster.get(kind, metadata.get("namespace", ""), metadata["name"])
            else:
                return

    def _force(self, inputs: Object) -> bool:
        asked = readiness.annotation(inputs, readiness.PATCH_FORCE) == "true"
        return asked or self._ready.settings.patch_force

    def _await(
        self, kind: Kind, inputs: Object, obj: Object, request: provider_pb2.CreateRequest | provider_pb2.UpdateRequest, given: Object, manager: str
    ) -> Object:
        timeout = readiness.timeout_seconds(request.timeout, inputs)
        try:
            return self._ready.waiter.until_ready(kind, inputs, obj, timeout, self._say(request.urn))
        except (NeverReadyError, ApiError, CancelledError, UnsupportedError, UnreachableError) as failure:
            raise PartlyDoneError(
                identity(obj),
                checkpoint(inputs, obj, given, manager),
                f"{kind.kind} {identity(obj)} is in the cluster but is not ready: {failure}",
            ) from None

    @contextmanager
    def _answering(self, context: grpc.ServicerContext) -> Iterator[None]:
        """Turn what goes wrong into the gRPC errors that the engine understands."""
        try:
            yield
        except PartlyDoneError as error:
            _abort_partly(context, error)
        except (UnsupportedError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except UnreachableError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except CancelledError as error:
            context.abort(grpc.StatusCode.CANCELLED, str(error))
        except (ApiError, NeverReadyError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"the Kubernetes API server says: {error}")


def _abort_partly(context: grpc.ServicerContext, error: PartlyDoneError) -> NoReturn:
    failure = provider_pb2.ErrorResourceInitFailed(id=error.identity, properties=encode(error.properties), reasons=[str(error)])
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(failure)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(error))
    raise AssertionError("abort raises")


def _token(urn: str) -> str:
    """The type token of a URN: `urn:pulumi:stack::project::parent$type::name`."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def _as_sent(kind: Kind, inputs: Object) -> Object:
    """The inputs as the API server stores them: server-side apply loses track of `stringData`."""
    return diff.with_encoded_strings(inputs) if kind.kind == "Secret" else inputs


def _managers(obj: Object) -> list[Object]:
    return obj["metadata"].get("managedFields") or []


def _namespace(inputs: Object) -> str:
    return str(inputs["metadata"].get("namespace", ""))


def _parse_identity(kind: Kind, text: str, default_namespace: str) -> tuple[str, str]:
    namespace, _, name = text.rpartition("/")
    return (namespace or default_namespace) if kind.namespaced else "", name


def _manager(inputs: Object, outputs: Object) -> str:
    """The field manager: asked for by annotation, else the resource's own, else a new one.

    One a resource, as by the official plugin: two resources may then share an object.
    """
    asked = readiness.annotation(inputs, readiness.FIELD_MANAGER)
    known = str(plain(outputs.get("__fieldManager", "")))
    return asked or known or f"pulumi-kubernetes-{secrets.token_hex(4)}"


def serve(engine_address: str) -> None:
    """Serve until the engine ends the process; the port is the first line on standard output."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=_THREADS),
        options=[
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(Engine(engine_address)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()

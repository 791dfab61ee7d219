"""Where pods stand in Kubernetes objects, and what is in them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from policies.definition import Resource
from policies.inputs import at, items, mapping, text
from policies.workflows import WORKFLOW_KINDS, containers, defined_workflow, templates

POD_KINDS: Final = (
    "core/Pod",
    "apps/DaemonSet",
    "apps/Deployment",
    "apps/StatefulSet",
    "batch/CronJob",
    "batch/Job",
)
"""Kinds of Kubernetes itself that hold a pod."""

EVENT_KINDS: Final = ("argoproj.io/EventSource", "argoproj.io/Sensor")
"""Kinds of Argo Events whose pods are described by a template of its own form."""

ALL_POD_KINDS: Final = (*WORKFLOW_KINDS, *POD_KINDS, *EVENT_KINDS)
"""Everything that pods come of. Not EventBus: its pods are the controller's."""


@dataclass(frozen=True)
class Container:
    """A container and where it stands.

    Attributes:
        path: Its place.
        body: The container.
        names_image: Whether it says itself which image it runs; those of Argo Events leave that to the controller.
    """

    path: str
    body: Mapping[str, Any]
    names_image: bool


@dataclass(frozen=True)
class Pod:
    """A pod's description.

    Attributes:
        path: Place of what describes it.
        holders: What holds its settings (a pod's spec; a workflow's template and spec), with their places.
        security: Its security settings, as they apply to it.
        security_path: Where these stand, or would have to.
        volumes: Its volumes, with their place.
        containers: The containers that are described, which may be none: Argo brings its own.
        service_account: Its account, or empty.
        mounts_token: Whether a token is mounted as far as the description says.
    """

    path: str
    holders: tuple[tuple[str, Mapping[str, Any]], ...]
    security: Mapping[str, Any]
    security_path: str
    volumes: tuple[tuple[str, Mapping[str, Any]], ...]
    containers: tuple[Container, ...]
    service_account: str
    mounts_token: bool


def pods(resource: Resource) -> Iterator[Pod]:
    """Find every pod that comes of an object of one of :data:`ALL_POD_KINDS`."""
    if resource.group_kind in WORKFLOW_KINDS:
        yield from _workflow_pods(resource)
    elif resource.group_kind in EVENT_KINDS:
        yield _event_pod(resource)
    else:
        yield _plain_pod(resource)


def _workflow_pods(resource: Resource) -> Iterator[Pod]:
    found = defined_workflow(resource)
    if found is None:
        return
    spec = found.spec
    for template in templates(found):
        body = template.body
        own = [Container(path, container, names_image=True) for path, container in containers(template)]
        if not own and body.get("resource") is None and body.get("data") is None:
            continue
        # A template's settings take the place of the workflow's, they are not added to them.
        has_own = body.get("securityContext") is not None
        mounts = body.get("automountServiceAccountToken", spec.get("automountServiceAccountToken"))
        yield Pod(
            path=template.path,
            holders=((template.path, body), (found.path, spec)),
            security=mapping(body.get("securityContext") if has_own else spec.get("securityContext")),
            security_path=f"{template.path}.securityContext" if has_own else f"{found.path}.securityContext",
            volumes=(*_volumes(template.path, body), *_volumes(found.path, spec)),
            containers=tuple(own),
            service_account=text(body.get("serviceAccountName")) or text(spec.get("serviceAccountName")),
            mounts_token=mounts is not False,
        )


def _event_pod(resource: Resource) -> Pod:
    template = mapping(at(resource.props, "spec", "template"))
    path = "spec.template"
    return Pod(
        path=path,
        holders=((path, template),),
        security=mapping(template.get("securityContext")),
        security_path=f"{path}.securityContext",
        volumes=tuple(_volumes(path, template)),
        containers=(Container(f"{path}.container", mapping(template.get("container")), names_image=False),),
        service_account=text(template.get("serviceAccountName")),
        mounts_token=True,
    )


def _plain_pod(resource: Resource) -> Pod:
    path, spec = "spec", mapping(resource.props.get("spec"))
    if resource.kind == "CronJob":
        path, spec = f"{path}.jobTemplate.spec", mapping(at(spec, "jobTemplate", "spec"))
    if resource.kind != "Pod":
        path, spec = f"{path}.template.spec", mapping(at(spec, "template", "spec"))
    listed = tuple(
        Container(f"{path}.{key}[{text(at(container, 'name')) or position}]", mapping(container), names_image=True)
        for key in ("initContainers", "containers")
        for position, container in enumerate(items(spec.get(key)))
    )
    return Pod(
        path=path,
        holders=((path, spec),),
        security=mapping(spec.get("securityContext")),
        security_path=f"{path}.securityContext",
        volumes=tuple(_volumes(path, spec)),
        containers=listed,
        service_account=text(spec.get("serviceAccountName")),
        mounts_token=spec.get("automountServiceAccountToken") is not False,
    )


def _volumes(path: str, holder: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for position, volume in enumerate(items(holder.get("volumes"))):
        yield f"{path}.volumes[{text(at(volume, 'name')) or position}]", mapping(volume)

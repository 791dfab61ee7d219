"""The policy on container images."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import CIS_KUBERNETES, About, PolicySettings, Resource, resource_rule
from policies.inputs import text
from policies.pods import ALL_POD_KINDS, pods


class _Settings(PolicySettings):
    allowed: tuple[str, ...] = Field(
        default=(), description="What an image's name may begin with, for example `registry.example.com/agents/`. Empty: anything."
    )
    require_digest: bool = Field(default=False, description="Whether an image has to be named by its digest.")


def _faults(resource: Resource, settings: _Settings) -> Iterator[str]:
    for pod in pods(resource):
        for container in pod.containers:
            if container.names_image:
                yield from _faults_of(f"{container.path}.image", text(container.body.get("image")), settings)


def _faults_of(path: str, image: str, settings: _Settings) -> Iterator[str]:
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if not image:
        yield f"{path} is missing. Remedy: name an image with its version"
        return
    if "{{" in image:
        yield f"{path} is made of a parameter: whoever submits a run chooses what runs. Remedy: write the image down"
        return
    if not digest and tag in ("", "latest"):
        yield f"{path} is {image}: what runs can change from one pod to the next. Remedy: name a version other than latest, or a digest"
    if settings.require_digest and not digest:
        yield f"{path} is {image}, without a digest: its registry decides what runs. Remedy: append @sha256:… of the image that was tested"
    if settings.allowed and not image.startswith(settings.allowed):
        yield f"{path} is {image}, which comes from nowhere that is allowed. Remedy: use an image below {', '.join(settings.allowed)}"


IMAGES: Final = resource_rule(
    About(
        name="images",
        description="Every image is written down with a version or digest, from a place that is allowed.",
        remediation="Name the image with a version other than latest, under coderun-workspaces:images for the steps.",
        severity=Severity.HIGH,
        framework=CIS_KUBERNETES,
        tags=("pods", "supply-chain"),
    ),
    _Settings,
    ALL_POD_KINDS,
    _faults,
)

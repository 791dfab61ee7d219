"""The policy on what pods ask for and are limited to."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at
from policies.pods import ALL_POD_KINDS, pods

_REQUIRED: Final = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
# No limit of CPU: what is above its request waits, it harms nobody.


def _faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    for pod in pods(resource):
        for container in pod.containers:
            missing = [".".join(path) for path in _REQUIRED if not at(container.body, "resources", *path)]
            if missing:
                yield (
                    f"{container.path}.resources lacks {', '.join(missing)}: its node can run out of memory for everybody. "
                    "Remedy: set them, under coderun-workspaces:resources for the steps"
                )
        for path, volume in pod.volumes:
            if "emptyDir" in volume and not at(volume, "emptyDir", "sizeLimit"):
                yield f"{path}.emptyDir has no sizeLimit: one pod can fill its node's disk. Remedy: set sizeLimit"


POD_RESOURCES: Final = resource_rule(
    About(
        name="pod-resources",
        description="Every container asks for CPU and memory and has a limit of memory, and every emptyDir has a size limit.",
        remediation="Set resources.requests, resources.limits.memory and emptyDir.sizeLimit.",
        severity=Severity.MEDIUM,
        framework=OPERATIONS,
        tags=("pods", "capacity"),
    ),
    PolicySettings,
    ALL_POD_KINDS,
    _faults,
)

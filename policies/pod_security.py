"""The policy on what pods may do to their node."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity

from policies.definition import POD_SECURITY_STANDARDS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, items, mapping, text, whole_number
from policies.pods import ALL_POD_KINDS, Container, Pod, pods

_HOST_SHARES: Final = ("hostIPC", "hostNetwork", "hostPID")
_PROFILES: Final = frozenset({"Localhost", "RuntimeDefault"})


def _faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    for pod in pods(resource):
        for path, holder in pod.holders:
            for share in _HOST_SHARES:
                if holder.get(share) is True:
                    yield f"{path}.{share} is true: the pod is inside its node. Remedy: leave it out"
        for path, volume in pod.volumes:
            if "hostPath" in volume:
                yield f"{path}.hostPath gives the pod its node's files. Remedy: use a claim"
        yield from _faults_of_pod(pod)
        for container in pod.containers:
            yield from _faults_of_container(container)


def _faults_of_pod(pod: Pod) -> Iterator[str]:
    every = [mapping(container.body.get("securityContext")) for container in pod.containers]
    if pod.security.get("runAsNonRoot") is not True and not (every and all(one.get("runAsNonRoot") is True for one in every)):
        yield f"{pod.security_path}.runAsNonRoot isn't true: the pod may run as root. Remedy: set it"
    if whole_number(pod.security.get("runAsUser")) == 0:
        yield f"{pod.security_path}.runAsUser is 0. Remedy: give another user"
    profile = text(at(pod.security, "seccompProfile", "type"))
    if profile not in _PROFILES and not (every and all(at(one, "seccompProfile", "type") in _PROFILES for one in every)):
        yield f"{pod.security_path}.seccompProfile.type isn't RuntimeDefault: every system call is open. Remedy: set it"


def _faults_of_container(container: Container) -> Iterator[str]:
    path, given = f"{container.path}.securityContext", mapping(container.body.get("securityContext"))
    capabilities = mapping(given.get("capabilities"))
    if given.get("runAsNonRoot") is False or whole_number(given.get("runAsUser")) == 0:
        yield f"{path} makes it run as root. Remedy: leave runAsUser and runAsNonRoot to the pod"
    if given.get("privileged") is True:
        yield f"{path}.privileged is true: the container owns its node. Remedy: leave it out"
    if given.get("allowPrivilegeEscalation") is not False:
        yield f"{path}.allowPrivilegeEscalation isn't false. Remedy: set it to false"
    if "ALL" not in items(capabilities.get("drop")):
        yield f"{path}.capabilities.drop lacks ALL. Remedy: set it to [ALL]"
    if items(capabilities.get("add")):
        yield f"{path}.capabilities.add gives capabilities back. Remedy: leave it out"
    if given.get("readOnlyRootFilesystem") is not True:
        yield f"{path}.readOnlyRootFilesystem isn't true. Remedy: set it, and give an emptyDir for what is written"


POD_SECURITY: Final = resource_rule(
    About(
        name="pod-security",
        description="No pod runs as root, gains privileges, keeps capabilities, writes to its image or shares its node.",
        remediation="Set the security contexts of pod and container as the message says.",
        severity=Severity.CRITICAL,
        framework=POD_SECURITY_STANDARDS,
        tags=("pods", "security"),
    ),
    PolicySettings,
    ALL_POD_KINDS,
    _faults,
)

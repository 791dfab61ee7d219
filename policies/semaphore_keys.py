"""Policies on the keys of semaphores: they are there, they limit something, and no two repositories share one."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule, stack_rule
from policies.inputs import at, items, mapping, text
from policies.workflows import WORKFLOW_KINDS, defined_workflow, templates

_CONFIG_MAP: Final = "core/ConfigMap"
_TAG: Final = "{{"


class _LimitSettings(PolicySettings):
    maximum: Annotated[int, Field(ge=1)] = Field(default=100, description="Highest limit of a semaphore.")


class _RepoListSettings(PolicySettings):
    config_map: str = Field(default="coderun-repos", description="Name of the ConfigMap with the repo list.")
    file: str = Field(default="repos.tsv", description="Its key: tab separated, `repo OWNER NAME STATE DEFAULT-KEY KEY=BRANCH…`.")


def _semaphore_faults(resources: Sequence[Resource], settings: _LimitSettings) -> Iterator[tuple[Resource, str]]:
    config_maps = {_identity(one): one for one in resources if one.group_kind == _CONFIG_MAP}
    looked_at: set[tuple[str, str]] = set()
    for resource in resources:
        for name, key, path in _references(resource):
            identity = (text(at(resource.props, "metadata", "namespace")), name)
            config_map = config_maps.get(identity)
            if config_map is None:
                missing = f"{path} takes its limit from the ConfigMap {'/'.join(identity)}, which the stack doesn't make: every run fails at once"
                yield resource, f"{missing}. Remedy: add it to the stack, or correct the name"
                continue
            data = mapping(config_map.props.get("data"))
            if _TAG not in key and key not in data:
                remedy = "Remedy: list the repository or branch in the stack file, or correct the key"
                yield resource, f"{path} asks for the key {key}, which {config_map.label} doesn't have: the run fails at once. {remedy}"
            if identity not in looked_at:
                looked_at.add(identity)
                yield from ((config_map, fault) for fault in _limit_faults(config_map, settings.maximum))


def _references(resource: Resource) -> Iterator[tuple[str, str, str]]:
    """Find the ConfigMaps and keys that an object's semaphores name, with their places."""
    found = defined_workflow(resource) if resource.group_kind in WORKFLOW_KINDS else None
    if found is None:
        return
    for path, holder in ((found.path, found.spec), *((one.path, one.body) for one in templates(found))):
        for semaphore in items(at(holder, "synchronization", "semaphores")):
            reference = mapping(at(semaphore, "configMapKeyRef"))
            if text(reference.get("name")) and _TAG not in text(reference.get("name")):
                yield text(reference.get("name")), text(reference.get("key")), f"{path}.synchronization"


def _limit_faults(config_map: Resource, maximum: int) -> Iterator[str]:
    data = mapping(config_map.props.get("data"))
    for key in data:
        value = data[key]
        if not (isinstance(value, str) and value.isascii() and value.isdigit()):
            yield f"data.{key} is {value!r}: Argo reads no limit from that and fails every run that looks. Remedy: give a whole number as a text"
        elif int(value) < 1:
            yield f"data.{key} is {value}: every new run fails at once. Remedy: give 1 or more; to hold runs back set paused: true at the repository"
        elif int(value) > maximum:
            yield f"data.{key} is {value}, more than the maximum {maximum}. Remedy: give less, or raise the policy's setting maximum"


def _identity(resource: Resource) -> tuple[str, str]:
    return text(at(resource.props, "metadata", "namespace")), text(at(resource.props, "metadata", "name"))


def _shared_key_faults(resource: Resource, settings: _RepoListSettings) -> Iterator[str]:
    if at(resource.props, "metadata", "name") != settings.config_map:
        return
    owners: dict[str, str] = {}
    for line in text(at(resource.props, "data", settings.file)).splitlines():
        kind, *fields = line.split("\t")
        if kind != "repo" or len(fields) < 4:  # noqa: PLR2004 - owner, name, state, default key
            continue
        owner, name, _, default, *branches = fields
        repo = f"{owner}/{name}"
        for key in (default, *(branch.partition("=")[0] for branch in branches)):
            first = owners.setdefault(key, repo)
            if first != repo:
                remedy = "Remedy: have `make keys` print the keys, and make the list by the program"
                yield f"{first} and {repo} share the semaphore key {key}: the one's runs wait for the other's. {remedy}"


SEMAPHORE_KEYS: Final = stack_rule(
    About(
        name="semaphore-keys",
        description="Every semaphore key that is named exists in the stack, and every limit is a whole number from 1 to a maximum.",
        remediation="List the repository or branch in the stack file, with a limit of 1 or more.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo", "concurrency"),
    ),
    _LimitSettings,
    (*WORKFLOW_KINDS, _CONFIG_MAP),
    _semaphore_faults,
)

SEMAPHORE_KEYS_DISTINCT: Final = resource_rule(
    About(
        name="semaphore-keys-distinct",
        description="No two repositories of the repo list share a semaphore key.",
        remediation="Let the program make the list: its keys differ for any two repositories.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo", "concurrency"),
    ),
    _RepoListSettings,
    (_CONFIG_MAP,),
    _shared_key_faults,
)

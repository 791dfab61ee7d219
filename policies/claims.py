"""Policies on claims and storage classes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, items, mapping, text
from policies.quantities import quantity
from policies.vocabulary import CLEANUP_LABELS
from policies.workflows import WORKFLOW_KINDS, defined_workflow, made_objects, templates

CLAIM: Final = "core/PersistentVolumeClaim"
_STORAGE_CLASS: Final = "storage.k8s.io/StorageClass"
_Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")]


class _ClaimSettings(PolicySettings):
    maximum_size: _Quantity = Field(default="2Ti", description="Largest claim that outlives runs.")
    access_modes: tuple[str, ...] = Field(default=("ReadWriteMany", "ReadWriteOnce"), description="Access modes of a claim that outlives runs.")
    maximum_size_of_run: _Quantity = Field(default="100Gi", description="Largest claim that a run makes for itself.")
    access_modes_of_run: tuple[str, ...] = Field(
        default=("ReadWriteOnce", "ReadWriteOncePod"), description="Access modes of a claim that a run makes for itself."
    )


class _ClassSettings(PolicySettings):
    reclaim_policies: tuple[str, ...] = Field(
        default=("Delete",), description="Reclaim policies allowed. Retain leaves the volume of every run's own claim behind."
    )
    binding_modes: tuple[str, ...] = Field(
        default=("WaitForFirstConsumer",),
        description="Binding modes allowed. Immediate may make a volume where no pod can go; allow it for file systems that every node reaches.",
    )


@dataclass(frozen=True)
class _Claim:
    path: str
    spec: Mapping[str, Any]
    of_run: bool


def is_of_run(labels: object) -> bool:
    """Whether a claim belongs to one run, and is deleted with it."""
    return all(mapping(labels).get(key) == value for key, value in CLEANUP_LABELS.items())


def _claims(resource: Resource) -> Iterator[_Claim]:
    if resource.group_kind == CLAIM:
        yield _Claim("spec", mapping(resource.props.get("spec")), is_of_run(at(resource.props, "metadata", "labels")))
        return
    found = defined_workflow(resource)
    if found is None:
        return
    for position, claim in enumerate(items(found.spec.get("volumeClaimTemplates"))):
        name = text(at(claim, "metadata", "name")) or position
        yield _Claim(f"{found.path}.volumeClaimTemplates[{name}].spec", mapping(at(claim, "spec")), of_run=True)
    for template in templates(found):
        for made in made_objects(template):
            if made.kind == "PersistentVolumeClaim":
                yield _Claim(f"{made.path}: spec", mapping(at(made.manifest, "spec")), of_run=True)


def _claim_faults(resource: Resource, settings: _ClaimSettings) -> Iterator[str]:
    for claim in _claims(resource):
        maximum = settings.maximum_size_of_run if claim.of_run else settings.maximum_size
        modes = settings.access_modes_of_run if claim.of_run else settings.access_modes
        setting = "storage.own" if claim.of_run else "storage.shared"
        if not text(claim.spec.get("storageClassName")):
            yield (
                f"{claim.path}.storageClassName is missing: the cluster's default decides, and it may change. "
                f"Remedy: set coderun-workspaces:{setting}.storageClass.name in the stack file"
            )
        size, largest = quantity(at(claim.spec, "resources", "requests", "storage")), quantity(maximum)
        given = at(claim.spec, "resources", "requests", "storage")
        if size is None or largest is None:
            yield f"{claim.path}.resources.requests.storage is no size. Remedy: give for example 10Gi, as text and not by a parameter"
        elif size > largest:
            yield f"{claim.path}.resources.requests.storage is {given}, more than the maximum {maximum}. Remedy: give less"
        given_modes = [text(mode) for mode in items(claim.spec.get("accessModes"))]
        if not given_modes or any(mode not in modes for mode in given_modes):
            kind = "that a run makes for itself" if claim.of_run else "that outlives runs"
            shown = ", ".join(given_modes) or "missing"
            yield f"{claim.path}.accessModes is {shown}: a claim {kind} has another use. Remedy: give one of {', '.join(modes)}"


def _class_faults(resource: Resource, settings: _ClassSettings) -> Iterator[str]:
    for field, default, allowed in (
        ("reclaimPolicy", "Delete", settings.reclaim_policies),
        ("volumeBindingMode", "Immediate", settings.binding_modes),
    ):
        value = text(resource.props.get(field)) or default
        if value not in allowed:
            yield f"{field} is {value}, which isn't one of {', '.join(allowed)}. Remedy: change it, or allow it in the policy's settings"


CLAIM_SPEC: Final = resource_rule(
    About(
        name="claim-spec",
        description="A claim names its class, keeps within a size, and has an access mode that fits its use.",
        remediation="Set class, size and access mode under coderun-workspaces:storage in the stack file.",
        severity=Severity.MEDIUM,
        framework=OPERATIONS,
        tags=("storage", "capacity"),
    ),
    _ClaimSettings,
    (CLAIM, *WORKFLOW_KINDS),
    _claim_faults,
)

STORAGE_CLASS: Final = resource_rule(
    About(
        name="storage-class",
        description="A storage class deletes the volumes of deleted claims, and makes volumes where their pod is.",
        remediation="Set reclaimPolicy and volumeBindingMode under storageClass.create in the stack file.",
        severity=Severity.MEDIUM,
        framework=OPERATIONS,
        tags=("storage", "cleanup"),
    ),
    _ClassSettings,
    (_STORAGE_CLASS,),
    _class_faults,
)

"""Policies on what only the engine knows: protection, and the provider that makes an object."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity

from policies.claims import CLAIM, is_of_run
from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at

_DEFAULT_PROVIDER: Final = "default"


def _protection_faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    if not resource.protect and not is_of_run(at(resource.props, "metadata", "labels")):
        yield (
            "the claim isn't protected: `pulumi destroy`, or one line that is moved, deletes every clone and worktree. "
            "Remedy: set coderun-workspaces:storage.shared.protect to true in the stack file"
        )


def _provider_faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    name = resource.provider.name if resource.provider else ""
    if name == _DEFAULT_PROVIDER or name.startswith(f"{_DEFAULT_PROVIDER}_"):
        yield (
            "it is made by the default provider, in whatever cluster the shell points at. "
            "Remedy: hand down the program's provider, and set pulumi:disable-default-providers: [kubernetes]"
        )


def _in_place_faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    if resource.provider is None or resource.props.get("immutable") is True:
        return
    if resource.provider.props.get("enableConfigMapMutable") not in (True, "true"):
        yield (
            "its provider replaces a ConfigMap whose data changes: while the limits are gone, Argo fails every run that looks. "
            "Remedy: set enable_config_map_mutable=True on the provider"
        )


CLAIM_PROTECTED: Final = resource_rule(
    About(
        name="claim-protected",
        description="The engine refuses to delete a claim that outlives runs.",
        remediation="Set coderun-workspaces:storage.shared.protect to true in the stack file.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("storage", "safety"),
        needs_engine=True,
    ),
    PolicySettings,
    (CLAIM,),
    _protection_faults,
)

PROVIDER_NAMED: Final = resource_rule(
    About(
        name="provider-named",
        description="Every object goes to the cluster that the stack names, and none to an ambient one.",
        remediation="Hand the program's provider to every resource.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("pulumi", "safety"),
        needs_engine=True,
    ),
    PolicySettings,
    ("*",),
    _provider_faults,
)

CONFIG_MAP_IN_PLACE: Final = resource_rule(
    About(
        name="config-map-in-place",
        description="A ConfigMap whose data changes is updated and never replaced.",
        remediation="Set enable_config_map_mutable=True on the program's provider.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("pulumi", "concurrency"),
        needs_engine=True,
    ),
    PolicySettings,
    ("core/ConfigMap",),
    _in_place_faults,
)

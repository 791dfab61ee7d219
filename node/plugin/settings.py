"""The options of `pulumi_kubernetes.Provider`: those that are followed, and those refused."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from node.plugin.kinds import UnsupportedError

_PREFIX = "kubernetes:config:"

# Options that change nothing here: they only tune or silence the official plugin.
_HARMLESS = frozenset({"suppressDeprecationWarnings", "suppressHelmHookWarnings", "kubeClientSettings", "version"})
_FOLLOWED = frozenset(
    {
        "kubeconfig",
        "context",
        "namespace",
        "enableConfigMapMutable",
        "enableSecretMutable",
        "enableServerSideApply",
        "enablePatchForce",
        "upsertExistingObjects",
    }
)
# Where the program is silent, the official plugin asks these variables.
_VARIABLES = {
    "enableConfigMapMutable": "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE",
    "enableSecretMutable": "PULUMI_K8S_ENABLE_SECRET_MUTABLE",
    "enableServerSideApply": "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "enablePatchForce": "PULUMI_K8S_ENABLE_PATCH_FORCE",
    "upsertExistingObjects": "PULUMI_K8S_UPSERT_EXISTING_OBJECTS",
}


@dataclass(frozen=True)
class Settings:
    """What the provider was told; the defaults are the official plugin's."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    config_map_mutable: bool = False
    secret_mutable: bool = False
    patch_force: bool = False
    upsert: bool = False


def _is_set(value: object) -> bool:
    return value not in (None, "", False, "false", "{}", {})


def refusals(options: Mapping[str, Any]) -> dict[str, str]:
    """The options that the stand-in cannot imitate, each with what to do about it."""
    refused: dict[str, str] = {}
    for name, value in options.items():
        if name in _FOLLOWED or name in _HARMLESS or not _is_set(value):
            continue
        refused[name] = (
            f"the stand-in plugin of the built-in node cannot follow the option {name}."
            " Remedy: leave it out on this node, or use the official plugin."
        )
    if options.get("enableServerSideApply") in (False, "false"):
        refused["enableServerSideApply"] = "the stand-in plugin only knows server-side apply. Remedy: leave the option out."
    return refused


def parse(variables: Mapping[str, str]) -> Settings:
    """The settings of a Configure request; UnsupportedError names the first option that is refused."""
    options = {key.removeprefix(_PREFIX): value for key, value in variables.items() if value != ""}
    for name, variable in _VARIABLES.items():
        if name not in options and variable in os.environ:
            options[name] = os.environ[variable]
    for message in refusals(options).values():
        raise UnsupportedError(message)

    def enabled(name: str) -> bool:
        return options.get(name) == "true"

    return Settings(
        kubeconfig=options.get("kubeconfig", ""),
        context=options.get("context", ""),
        namespace=options.get("namespace", ""),
        config_map_mutable=enabled("enableConfigMapMutable"),
        secret_mutable=enabled("enableSecretMutable"),
        patch_force=enabled("enablePatchForce"),
        upsert=enabled("upsertExistingObjects"),
    )


def load_kubeconfig(kubeconfig: str) -> dict[str, Any] | None:
    """The kubeconfig that was given as a path or as its contents.

    None if none was given: the client's own rules ($KUBECONFIG, ~/.kube/config) apply.
    Raises UnsupportedError with the remedy if the value is neither.
    """
    if not kubeconfig:
        return None
    text = kubeconfig
    if "\n" not in kubeconfig and not kubeconfig.lstrip().startswith("{"):
        try:
            text = Path(kubeconfig).expanduser().read_text()
        except OSError as error:
            raise UnsupportedError(
                f"kubeconfig: cannot read {kubeconfig}: {error.strerror}. Remedy: give the path of a kubeconfig file or its contents."
            ) from None
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError:
        loaded = None
    if not isinstance(loaded, dict) or "clusters" not in loaded:
        raise UnsupportedError("kubeconfig: not a kubeconfig. Remedy: give the path of a kubeconfig file or its contents.")
    return loaded


def active_cluster(options: Mapping[str, Any]) -> str | None:
    """What tells one cluster from another: the active context's cluster entry, as JSON.

    None where it cannot be told. The provider and all its objects are replaced when it changes,
    as by the official plugin.
    """
    try:
        loaded = load_kubeconfig(str(options.get("kubeconfig") or ""))
    except UnsupportedError:
        return None
    if loaded is None:
        return None
    wanted = options.get("context") or loaded.get("current-context")
    for context in loaded.get("contexts") or ():
        if context.get("name") != wanted:
            continue
        for cluster in loaded["clusters"] or ():
            if cluster.get("name") == context["context"].get("cluster"):
                return json.dumps(cluster["cluster"], sort_keys=True, default=str)
    return None

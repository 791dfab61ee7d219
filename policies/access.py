"""Policies on who pods are and what they may do."""

from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import CIS_KUBERNETES, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, items, mapping, text
from policies.pods import ALL_POD_KINDS, pods

_ROLES: Final = ("rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/ClusterRole")
_BINDINGS: Final = ("rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding")
_READING: Final = frozenset({"get", "list", "watch"})
_RAISING: Final = frozenset({"bind", "escalate", "impersonate"})


class _RoleSettings(PolicySettings):
    forbidden_roles: tuple[str, ...] = Field(default=("admin", "cluster-admin", "edit"), description="Roles that nothing may be bound to.")


def _account_faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    for pod in pods(resource):
        # Steps of a workflow report by their token, so they need an account of their own whatever else they do.
        if pod.service_account in ("", "default") and pod.mounts_token:
            shown = "is default" if pod.service_account else "is missing"
            yield (
                f"the service account of {pod.path} {shown}: every pod of the namespace shares its rights. "
                "Remedy: name an account of its own, or set automountServiceAccountToken: false where no token is needed"
            )


def _role_faults(resource: Resource, settings: _RoleSettings) -> Iterator[str]:
    if resource.group_kind in _BINDINGS:
        role = text(at(resource.props, "roleRef", "name"))
        if role in settings.forbidden_roles:
            yield f"roleRef is {role}, which is far more than any part needs. Remedy: write a Role with what is needed"
        for subject in items(resource.props.get("subjects")):
            if at(subject, "kind") == "ServiceAccount" and at(subject, "name") == "default":
                yield "subjects names the account default: every pod of the namespace gets these rights. Remedy: bind an account of its own"
        return
    for position, rule in enumerate(items(resource.props.get("rules"))):
        path = f"rules[{position}]"
        verbs, resources, groups, urls = (
            [text(one) for one in items(mapping(rule).get(key))] for key in ("verbs", "resources", "apiGroups", "nonResourceURLs")
        )
        for key, values in (("verbs", verbs), ("resources", resources), ("apiGroups", groups), ("nonResourceURLs", urls)):
            if any("*" in value for value in values):
                yield f"{path}.{key} has a wildcard: it grows with the cluster. Remedy: list what is needed"
        if "secrets" in resources and _READING & set(verbs) and not items(mapping(rule).get("resourceNames")):
            yield f"{path} reads every Secret of the namespace. Remedy: name them by resourceNames, or mount them"
        raising = sorted(_RAISING & set(verbs))
        if raising:
            yield f"{path}.verbs has {', '.join(raising)}: who has it can take any right. Remedy: leave it out"


SERVICE_ACCOUNT: Final = resource_rule(
    About(
        name="service-account",
        description="Pods with a token have a service account of their own.",
        remediation="Set serviceAccountName, or automountServiceAccountToken: false where no token is needed.",
        severity=Severity.HIGH,
        framework=CIS_KUBERNETES,
        tags=("pods", "security"),
    ),
    PolicySettings,
    ALL_POD_KINDS,
    _account_faults,
)

LEAST_RIGHTS: Final = resource_rule(
    About(
        name="least-rights",
        description="Roles name what they allow, read Secrets by name only, and can't raise themselves.",
        remediation="List verbs, resources and the names of Secrets; bind accounts of their own.",
        severity=Severity.CRITICAL,
        framework=CIS_KUBERNETES,
        tags=("rbac", "security"),
    ),
    _RoleSettings,
    (*_ROLES, *_BINDINGS),
    _role_faults,
)

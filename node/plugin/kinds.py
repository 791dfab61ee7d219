"""The kinds that the stand-in knows: those of this project's stack, and no others."""

from dataclasses import dataclass


class UnsupportedError(Exception):
    """Something that the official plugin does and the stand-in does not; names the remedy."""


@dataclass(frozen=True)
class Kind:
    """One kind of object.

    `forces_replacement` lists the paths whose change cannot be made in place, as in the table of
    the official plugin (provider/pkg/provider/diff.go of pulumi-kubernetes 4.34); name and
    namespace come on top for every kind. A patch sets some fields of an object that somebody else
    has made, and gives them up again.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    forces_replacement: tuple[str, ...] = ()
    is_patch: bool = False

    @property
    def api_version(self) -> str:
        """The object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def token(self) -> str:
        """Pulumi's type token."""
        return f"kubernetes:{self.group or 'core'}/{self.version}:{self.kind}{'Patch' if self.is_patch else ''}"

    def path(self, namespace: str, name: str = "") -> str:
        """The path in the API of one object, or of the collection if there is no name."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"

KINDS: dict[str, Kind] = {
    kind.token: kind
    for kind in (
        Kind("", "v1", "Namespace", "namespaces", namespaced=False),
        Kind("", "v1", "Namespace", "namespaces", namespaced=False, is_patch=True),
        Kind("", "v1", "ConfigMap", "configmaps"),
        Kind("", "v1", "Secret", "secrets", forces_replacement=("type",)),
        Kind("", "v1", "ServiceAccount", "serviceaccounts"),
        Kind("", "v1", "Service", "services", forces_replacement=("spec.clusterIP",)),
        Kind(
            "",
            "v1",
            "PersistentVolumeClaim",
            "persistentvolumeclaims",
            forces_replacement=(
                "spec.accessModes",
                "spec.selector",
                "spec.storageClassName",
                "spec.volumeName",
            ),
        ),
        Kind("apps", "v1", "Deployment", "deployments", forces_replacement=("spec.selector",)),
        Kind(
            "batch",
            "v1",
            "Job",
            "jobs",
            forces_replacement=(
                "spec.completions",
                "spec.parallelism",
                "spec.selector",
                "spec.template",
            ),
        ),
        Kind("batch", "v1", "CronJob", "cronjobs"),
        Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
        Kind("networking.k8s.io", "v1", "Ingress", "ingresses"),
        Kind(
            "storage.k8s.io",
            "v1",
            "StorageClass",
            "storageclasses",
            namespaced=False,
            forces_replacement=("parameters", "provisioner"),
        ),
        Kind(_RBAC, "v1", "Role", "roles"),
        Kind(_RBAC, "v1", "RoleBinding", "rolebindings", forces_replacement=("roleRef",)),
        Kind(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
        Kind(
            _RBAC,
            "v1",
            "ClusterRoleBinding",
            "clusterrolebindings",
            namespaced=False,
            forces_replacement=("roleRef",),
        ),
        Kind(
            _ADMISSION,
            "v1",
            "ValidatingAdmissionPolicy",
            "validatingadmissionpolicies",
            namespaced=False,
        ),
        Kind(
            _ADMISSION,
            "v1",
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            namespaced=False,
        ),
        Kind(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            namespaced=False,
        ),
        Kind("argoproj.io", "v1alpha1", "WorkflowTemplate", "workflowtemplates"),
        Kind("argoproj.io", "v1alpha1", "CronWorkflow", "cronworkflows"),
        Kind("argoproj.io", "v1alpha1", "Sensor", "sensors"),
        Kind("argoproj.io", "v1alpha1", "EventSource", "eventsources"),
        Kind("argoproj.io", "v1alpha1", "EventBus", "eventbus"),
    )
}


def kind_of(token: str) -> Kind:
    """The kind of a type token; UnsupportedError, with the remedy, if the stand-in lacks it."""
    found = KINDS.get(token)
    if found is None:
        raise UnsupportedError(
            f"the stand-in plugin of the built-in node does not know {token}. Remedy: use the"
            " official plugin pulumi-resource-kubernetes, or add the kind to node/plugin/kinds.py."
        )
    return found

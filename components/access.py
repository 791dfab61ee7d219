"""Who a run is, and what it may do."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import MANAGED_LABELS, RUN_SERVICE_ACCOUNT
from config.settings import StackConfig


@dataclass(frozen=True)
class AccessResources:
    """What :class:`Access` makes."""

    service_account: kubernetes.core.v1.ServiceAccount
    role: kubernetes.rbac.v1.Role
    role_binding: kubernetes.rbac.v1.RoleBinding


class Access(pulumi.ComponentResource):
    """Service account of a run's pods, with the rights that its steps use and no more, in the stack's namespace only.

    Pulumi Type: coderun-workspaces:components:Access

    Produces:
        ServiceAccount, Role and RoleBinding ``coderun-workflow``.
    """

    resources: AccessResources

    def __init__(self, name: str, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the objects.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            opts: Options with the provider.
        """
        super().__init__("coderun-workspaces:components:Access", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=RUN_SERVICE_ACCOUNT, namespace=config.namespace, labels=MANAGED_LABELS)
        service_account = kubernetes.core.v1.ServiceAccount(f"{name}-service-account", metadata=metadata, opts=child)
        role = kubernetes.rbac.v1.Role(
            f"{name}-role",
            metadata=metadata,
            rules=[
                # Argo's own container in each pod reports results by these.
                _rule("argoproj.io", "workflowtaskresults", "create", "patch"),
                _rule(config.coderun.group, config.coderun.plural, "get", "list", "watch", "create", "patch", "delete"),
                # The fence and the cleanup wait for an agent's pods, and end those whose CodeRun is gone.
                _rule("", "pods", "get", "list", "watch", "delete"),
                _rule("", "persistentvolumeclaims", "get", "list", "create", "patch", "delete"),
                # Why a run's claim is not bound.
                _rule("", "events", "get", "list"),
                # The fence asks whether the holder of a key still runs.
                _rule("argoproj.io", "workflows", "get", "list"),
            ],
            opts=child,
        )
        role_binding = kubernetes.rbac.v1.RoleBinding(
            f"{name}-role-binding",
            metadata=metadata,
            role_ref=kubernetes.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=RUN_SERVICE_ACCOUNT),
            subjects=[kubernetes.rbac.v1.SubjectArgs(kind="ServiceAccount", name=RUN_SERVICE_ACCOUNT, namespace=config.namespace)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role, service_account]),
        )
        self.resources = AccessResources(service_account, role, role_binding)
        self.register_outputs({"serviceAccount": service_account.metadata.name})


def _rule(group: str, resource: str, *verbs: str) -> kubernetes.rbac.v1.PolicyRuleArgs:
    return kubernetes.rbac.v1.PolicyRuleArgs(api_groups=[group], resources=[resource], verbs=list(verbs))

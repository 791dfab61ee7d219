"""Many tasks in one submission."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.batch_spec import batch_spec
from components.names import BATCH_SERVICE_ACCOUNT, BATCH_TEMPLATE, CLEANUP_LABEL, CLEANUP_ON_EXIT, MANAGED_LABELS
from config.settings import StackConfig


@dataclass(frozen=True)
class BatchResources:
    """What :class:`Batch` makes."""

    service_account: kubernetes.core.v1.ServiceAccount
    role: kubernetes.rbac.v1.Role
    role_binding: kubernetes.rbac.v1.RoleBinding
    template: kubernetes.apiextensions.CustomResource


class Batch(pulumi.ComponentResource):
    """The template that batches are submitted from. Its pods may make and stop workflows, which a run's own pods may not.

    Pulumi Type: coderun-workspaces:components:Batch

    Produces:
        WorkflowTemplate, ServiceAccount, Role and RoleBinding ``coderun-batch``.
    """

    resources: BatchResources

    def __init__(self, name: str, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the objects.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            opts: Options with the provider; depends_on names the template of runs.
        """
        super().__init__("coderun-workspaces:components:Batch", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=BATCH_SERVICE_ACCOUNT, namespace=config.namespace, labels=MANAGED_LABELS)
        service_account = kubernetes.core.v1.ServiceAccount(f"{name}-service-account", metadata=metadata, opts=child)
        role = kubernetes.rbac.v1.Role(
            f"{name}-role",
            metadata=metadata,
            rules=[
                # Argo's own container in each pod reports results by these.
                kubernetes.rbac.v1.PolicyRuleArgs(api_groups=["argoproj.io"], resources=["workflowtaskresults"], verbs=["create", "patch"]),
                # patch: a task is stopped with its batch.
                kubernetes.rbac.v1.PolicyRuleArgs(
                    api_groups=["argoproj.io"], resources=["workflows"], verbs=["get", "list", "watch", "create", "patch"]
                ),
            ],
            opts=child,
        )
        role_binding = kubernetes.rbac.v1.RoleBinding(
            f"{name}-role-binding",
            metadata=metadata,
            role_ref=kubernetes.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=BATCH_SERVICE_ACCOUNT),
            subjects=[kubernetes.rbac.v1.SubjectArgs(kind="ServiceAccount", name=BATCH_SERVICE_ACCOUNT, namespace=config.namespace)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role, service_account]),
        )
        template = kubernetes.apiextensions.CustomResource(
            f"{name}-template",
            api_version="argoproj.io/v1alpha1",
            kind="WorkflowTemplate",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=BATCH_TEMPLATE,
                namespace=config.namespace,
                labels={**MANAGED_LABELS, CLEANUP_LABEL: CLEANUP_ON_EXIT},
            ),
            spec=batch_spec(config),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role_binding]),
        )
        self.resources = BatchResources(service_account, role, role_binding, template)
        self.register_outputs({"workflowTemplate": BATCH_TEMPLATE})

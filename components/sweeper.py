"""Removal of what exit handlers could not remove."""

from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import MANAGED_LABELS, SWEEPER, SWEEPER_REPORT
from components.sweeper_spec import cron_job_spec
from config.settings import StackConfig


@dataclass(frozen=True)
class SweeperResources:
    """What :class:`Sweeper` makes."""

    service_account: kubernetes.core.v1.ServiceAccount
    role: kubernetes.rbac.v1.Role
    role_binding: kubernetes.rbac.v1.RoleBinding
    cron_job: kubernetes.batch.v1.CronJob


class Sweeper(pulumi.ComponentResource):
    """The CronJob that removes what runs left that were terminated or deleted, or whose pods were lost, and who it is.

    It may see and end what runs make, in the stack's namespace only. Each sweep writes a ConfigMap, owned by the CronJob.

    Pulumi Type: coderun-workspaces:components:Sweeper

    Produces:
        ServiceAccount, Role, RoleBinding and CronJob ``coderun-sweeper``.
    """

    resources: SweeperResources

    def __init__(self, name: str, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the objects.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            opts: Options with the provider; depends_on names the shared claim.
        """
        super().__init__("coderun-workspaces:components:Sweeper", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=SWEEPER, namespace=config.namespace, labels=MANAGED_LABELS)
        service_account = kubernetes.core.v1.ServiceAccount(f"{name}-service-account", metadata=metadata, opts=child)
        role = kubernetes.rbac.v1.Role(
            f"{name}-role",
            metadata=metadata,
            rules=[
                _rule("argoproj.io", "workflows", "list"),
                _rule(config.coderun.group, config.coderun.plural, "get", "list", "delete"),
                _rule("", "pods", "list", "delete"),
                _rule("", "persistentvolumeclaims", "list", "delete"),
                # Why a run's claim is not bound.
                _rule("", "events", "list"),
                # The report: applied, so that it needs neither to be there nor to be read.
                _rule("", "configmaps", "create", "patch", names=[SWEEPER_REPORT]),
                _rule("batch", "cronjobs", "get", names=[SWEEPER]),
            ],
            opts=child,
        )
        role_binding = kubernetes.rbac.v1.RoleBinding(
            f"{name}-role-binding",
            metadata=metadata,
            role_ref=kubernetes.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=SWEEPER),
            subjects=[kubernetes.rbac.v1.SubjectArgs(kind="ServiceAccount", name=SWEEPER, namespace=config.namespace)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role, service_account]),
        )
        cron_job = kubernetes.batch.v1.CronJob(
            f"{name}-cron-job",
            metadata=metadata,
            spec=cast("Any", cron_job_spec(config)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role_binding]),
        )
        self.resources = SweeperResources(service_account, role, role_binding, cron_job)
        self.register_outputs({"cronJob": cron_job.metadata.name})


def _rule(group: str, resource: str, *verbs: str, names: list[str] | None = None) -> kubernetes.rbac.v1.PolicyRuleArgs:
    return kubernetes.rbac.v1.PolicyRuleArgs(api_groups=[group], resources=[resource], verbs=list(verbs), resource_names=names)

"""Care for the shared clones."""

from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as kubernetes

from components.git_maintenance_spec import cron_job_spec
from components.names import GIT_MAINTENANCE, MANAGED_LABELS
from config.settings import StackConfig


@dataclass(frozen=True)
class GitMaintenanceResources:
    """What :class:`GitMaintenance` makes."""

    cron_job: kubernetes.batch.v1.CronJob


class GitMaintenance(pulumi.ComponentResource):
    """The CronJob that repacks the shared clones, drops what is old, sets broken ones aside and evicts idle ones when the claim fills up.

    It needs nobody's rights: its pod has no token and works on the claim alone, under the same locks as the runs.

    Pulumi Type: coderun-workspaces:components:GitMaintenance

    Produces:
        CronJob ``coderun-git-maintenance``.
    """

    resources: GitMaintenanceResources

    def __init__(self, name: str, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the object.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            opts: Options with the provider; depends_on names the shared claim.
        """
        super().__init__("coderun-workspaces:components:GitMaintenance", name, None, opts)
        cron_job = kubernetes.batch.v1.CronJob(
            f"{name}-cron-job",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=GIT_MAINTENANCE, namespace=config.namespace, labels=MANAGED_LABELS),
            spec=cast("Any", cron_job_spec(config)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = GitMaintenanceResources(cron_job)
        self.register_outputs({"cronJob": cron_job.metadata.name})

"""The token for commit statuses."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import COMMIT_STATUS_SECRET, MANAGED_LABELS
from config.settings import CommitStatus as CommitStatusSettings
from config.settings import StackConfig


@dataclass(frozen=True)
class CommitStatusResources:
    """What :class:`CommitStatus` makes."""

    secret: kubernetes.core.v1.Secret | None


class CommitStatus(pulumi.ComponentResource):
    """The Secret with which runs that events start tell GitHub how they fare; a file in the pods that do.

    Pulumi Type: coderun-workspaces:components:CommitStatus

    Produces:
        Secret ``coderun-commit-status``, unless an existing one is named.
    """

    resources: CommitStatusResources

    def __init__(
        self,
        name: str,
        config: StackConfig,
        status: CommitStatusSettings,
        secrets: Mapping[str, pulumi.Output[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the Secret.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            status: Their part on commit statuses.
            secrets: Path of each Pulumi secret in the settings, to its value.
            opts: Options with the provider.
        """
        super().__init__("coderun-workspaces:components:CommitStatus", name, None, opts)
        secret = None
        if status.token:
            secret = kubernetes.core.v1.Secret(
                f"{name}-secret",
                metadata=kubernetes.meta.v1.ObjectMetaArgs(name=COMMIT_STATUS_SECRET, namespace=config.namespace, labels=MANAGED_LABELS),
                type="Opaque",
                string_data={"password": secrets["events.commitStatus.token"]},
                # additional_secret_outputs: the cluster's answer repeats the token as `data`.
                opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["data", "stringData"]),
            )
        self.resources = CommitStatusResources(secret)
        self.register_outputs({})

"""The limit of workflows at once."""

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as kubernetes

from config.settings import StackConfig

LIMIT_LABEL: Final = "workflows.argoproj.io/parallelism-limit"
"""Argo's controller reads it while it runs, if it may list namespaces."""


@dataclass(frozen=True)
class NamespaceLimitResources:
    """What :class:`NamespaceLimit` makes."""

    patch: kubernetes.core.v1.NamespacePatch | None


class NamespaceLimit(pulumi.ComponentResource):
    """How many workflows may run at once in the stack's namespace, which isn't the stack's own: one label of it is.

    Pulumi Type: coderun-workspaces:components:NamespaceLimit

    Produces:
        A patch of the Namespace, if ``workflowsAtOnce`` is set. Without it, and when the stack is destroyed, the label goes.
    """

    resources: NamespaceLimitResources

    def __init__(self, name: str, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the patch.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            opts: Options with the provider.
        """
        super().__init__("coderun-workspaces:components:NamespaceLimit", name, None, opts)
        patch = None
        if config.workflows_at_once is not None:
            patch = kubernetes.core.v1.NamespacePatch(
                f"{name}-patch",
                metadata=kubernetes.meta.v1.ObjectMetaPatchArgs(name=config.namespace, labels={LIMIT_LABEL: str(config.workflows_at_once)}),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.resources = NamespaceLimitResources(patch)
        self.register_outputs({})

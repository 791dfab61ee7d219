"""The limits of agents at once."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import MANAGED_LABELS, SEMAPHORES_CONFIG_MAP
from config.repos import semaphore_limits
from config.settings import StackConfig


@dataclass(frozen=True)
class RepoSemaphoresResources:
    """What :class:`RepoSemaphores` makes."""

    config_map: kubernetes.core.v1.ConfigMap


class RepoSemaphores(pulumi.ComponentResource):
    """Limit of every semaphore key. A limit changed by hand works at once and shows as drift in the next preview.

    The provider must update ConfigMaps in place: while a replaced one is gone, Argo fails every workflow that looks.

    Pulumi Type: coderun-workspaces:components:RepoSemaphores

    Produces:
        ConfigMap ``workflow-semaphores``.
    """

    resources: RepoSemaphoresResources

    def __init__(self, name: str, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the ConfigMap.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            opts: Options with the provider.

        Raises:
            config.errors.ConfigError: There are more keys than a ConfigMap holds.
        """
        super().__init__("coderun-workspaces:components:RepoSemaphores", name, None, opts)
        config_map = kubernetes.core.v1.ConfigMap(
            f"{name}-config-map",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=SEMAPHORES_CONFIG_MAP, namespace=config.namespace, labels=MANAGED_LABELS),
            data=semaphore_limits(config),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = RepoSemaphoresResources(config_map)
        self.register_outputs({"configMap": config_map.metadata.name})

"""The repo list as runs see it."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import MANAGED_LABELS, REPOS_CONFIG_MAP
from config.repos import REPOS_FILE, repos_tsv
from config.settings import StackConfig


@dataclass(frozen=True)
class CoderunReposResources:
    """What :class:`CoderunRepos` makes."""

    config_map: kubernetes.core.v1.ConfigMap


class CoderunRepos(pulumi.ComponentResource):
    """What a run must know of each repo, as one mounted file: so the WorkflowTemplate never changes with the list.

    Pulumi Type: coderun-workspaces:components:CoderunRepos

    Produces:
        ConfigMap ``coderun-repos``.
    """

    resources: CoderunReposResources

    def __init__(self, name: str, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the ConfigMap.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            opts: Options with the provider.

        Raises:
            config.errors.ConfigError: The list is larger than a ConfigMap.
        """
        super().__init__("coderun-workspaces:components:CoderunRepos", name, None, opts)
        config_map = kubernetes.core.v1.ConfigMap(
            f"{name}-config-map",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=REPOS_CONFIG_MAP, namespace=config.namespace, labels=MANAGED_LABELS),
            data={REPOS_FILE: repos_tsv(config)},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = CoderunReposResources(config_map)
        self.register_outputs({"configMap": config_map.metadata.name})

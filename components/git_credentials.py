"""Credentials for private repos."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import MANAGED_LABELS
from config.settings import StackConfig


@dataclass(frozen=True)
class GitCredentialsResources:
    """What :class:`GitCredentials` makes."""

    secrets: tuple[kubernetes.core.v1.Secret, ...]


class GitCredentials(pulumi.ComponentResource):
    """Secrets of the credentials whose token is a Pulumi secret. Pods get them as files, git by a credential helper.

    Credentials that name an existing Secret make nothing here.

    Pulumi Type: coderun-workspaces:components:GitCredentials

    Produces:
        A Secret ``git-OWNER.APP`` for each token.
    """

    resources: GitCredentialsResources

    def __init__(self, name: str, config: StackConfig, tokens: Mapping[str, pulumi.Output[str]], opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the Secrets.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            tokens: Name of each Secret to its token, a secret Output.
            opts: Options with the provider.
        """
        super().__init__("coderun-workspaces:components:GitCredentials", name, None, opts)
        secrets = tuple(
            kubernetes.core.v1.Secret(
                f"{name}-{secret_name}",
                metadata=kubernetes.meta.v1.ObjectMetaArgs(name=secret_name, namespace=config.namespace, labels=MANAGED_LABELS),
                type="Opaque",
                string_data={"username": "x-access-token", "password": token},
                # additional_secret_outputs: the cluster's answer repeats the token as `data`.
                opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["data", "stringData"]),
            )
            for secret_name, token in sorted(tokens.items())
        )
        self.resources = GitCredentialsResources(secrets)
        self.register_outputs({"secrets": [secret.metadata.name for secret in secrets]})

"""The receiver of webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as kubernetes

from components.event_source_spec import PRIVATE_KEY_KEY, SECRET_KEY, SOURCE_ACCOUNT, TOKEN_KEY, event_source_spec, service_spec
from components.ingress_spec import ingress_spec
from components.names import EVENT_SOURCE, HOOKS_SECRET, MANAGED_LABELS, WEBHOOK_SECRET, WEBHOOK_SERVICE
from config.settings import Events, Ingress, StackConfig

_SHORTEST_SECRET = 16


@dataclass(frozen=True)
class EventSourceResources:
    """What :class:`EventSource` makes."""

    secrets: tuple[kubernetes.core.v1.Secret, ...]
    service_account: kubernetes.core.v1.ServiceAccount
    source: kubernetes.apiextensions.CustomResource
    service: kubernetes.core.v1.Service
    ingress: kubernetes.networking.v1.Ingress | None


class EventSource(pulumi.ComponentResource):
    """Takes in GitHub's webhooks. One without the right signature gets 400 and goes no further.

    Pulumi Type: coderun-workspaces:components:EventSource

    Produces:
        EventSource ``github``, Service ``github-webhook``, Secret ``github-webhook``, a ServiceAccount without a token; where
        configured the Secret ``github-hooks`` and an Ingress ``github-webhook``.
    """

    resources: EventSourceResources

    def __init__(
        self, name: str, config: StackConfig, events: Events, secrets: Mapping[str, pulumi.Output[str]], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the objects.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            events: Their part on events.
            secrets: Path of each Pulumi secret in the settings, to its value.
            opts: Options with the provider; depends_on names the event bus.
        """
        super().__init__("coderun-workspaces:components:EventSource", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        made = [self._secret(name, events, WEBHOOK_SECRET, SECRET_KEY, secrets["events.webhookSecret"].apply(strong_secret))]
        if events.hooks and events.hooks.token:
            made.append(self._secret(name, events, HOOKS_SECRET, TOKEN_KEY, secrets["events.hooks.token"]))
        if events.hooks and events.hooks.app:
            made.append(self._secret(name, events, HOOKS_SECRET, PRIVATE_KEY_KEY, secrets["events.hooks.app.privateKey"]))
        service_account = kubernetes.core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=SOURCE_ACCOUNT, namespace=events.namespace, labels=MANAGED_LABELS),
            automount_service_account_token=False,
            opts=child,
        )
        source = kubernetes.apiextensions.CustomResource(
            f"{name}-source",
            api_version="argoproj.io/v1alpha1",
            kind="EventSource",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=EVENT_SOURCE, namespace=events.namespace, labels=MANAGED_LABELS, annotations={"pulumi.com/waitFor": "condition=Deployed"}
            ),
            spec=event_source_spec(config, events),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*made, service_account]),
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=WEBHOOK_SERVICE, namespace=events.namespace, labels=MANAGED_LABELS),
            spec=cast("Any", service_spec()),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[source]),
        )
        ingress = self._ingress(name, events, events.ingress, service) if events.ingress else None
        self.resources = EventSourceResources(tuple(made), service_account, source, service, ingress)
        self.register_outputs({"eventSource": EVENT_SOURCE, "service": WEBHOOK_SERVICE})

    def _secret(self, name: str, events: Events, secret: str, key: str, value: pulumi.Output[str]) -> kubernetes.core.v1.Secret:
        return kubernetes.core.v1.Secret(
            f"{name}-{secret}",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=secret, namespace=events.namespace, labels=MANAGED_LABELS),
            type="Opaque",
            string_data={key: value},
            # additional_secret_outputs: the cluster's answer repeats the value as `data`.
            opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["data", "stringData"]),
        )

    def _ingress(self, name: str, events: Events, ingress: Ingress, service: kubernetes.core.v1.Service) -> kubernetes.networking.v1.Ingress:
        return kubernetes.networking.v1.Ingress(
            f"{name}-ingress",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=WEBHOOK_SERVICE, namespace=events.namespace, labels=MANAGED_LABELS, annotations=dict(ingress.annotations)
            ),
            spec=cast("Any", ingress_spec(ingress)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[service]),
        )


def strong_secret(secret: str) -> str:
    """Return the secret for signatures.

    Raises:
        pulumi.RunError: It is empty or short. With an empty one Argo Events would take in any webhook, unsigned.
    """
    if len(secret.strip()) < _SHORTEST_SECRET:
        raise pulumi.RunError(
            f"coderun-workspaces:events.webhookSecret: has fewer than {_SHORTEST_SECRET} characters. "
            "Remedy: openssl rand -hex 32 | pulumi config set --secret --path 'coderun-workspaces:events.webhookSecret', and the same at GitHub"
        )
    return secret

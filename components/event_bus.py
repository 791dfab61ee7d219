"""The queue between webhooks and runs."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.event_bus_spec import BUS_ACCOUNT, event_bus_spec
from components.names import EVENT_BUS, MANAGED_LABELS
from config.settings import Events, StackConfig


@dataclass(frozen=True)
class EventBusResources:
    """What :class:`EventBus` makes."""

    service_account: kubernetes.core.v1.ServiceAccount
    bus: kubernetes.apiextensions.CustomResource


class EventBus(pulumi.ComponentResource):
    """The event bus: keeps on disk what was taken in and has not yet become a run.

    Pulumi Type: coderun-workspaces:components:EventBus

    Produces:
        EventBus ``default``, and a ServiceAccount without a token for its pods.
    """

    resources: EventBusResources

    def __init__(self, name: str, config: StackConfig, events: Events, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the objects.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            events: Their part on events.
            opts: Options with the provider.
        """
        super().__init__("coderun-workspaces:components:EventBus", name, None, opts)
        service_account = kubernetes.core.v1.ServiceAccount(
            f"{name}-service-account",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=BUS_ACCOUNT, namespace=events.namespace, labels=MANAGED_LABELS),
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        bus = kubernetes.apiextensions.CustomResource(
            f"{name}-bus",
            api_version="argoproj.io/v1alpha1",
            kind="EventBus",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=EVENT_BUS, namespace=events.namespace, labels=MANAGED_LABELS, annotations={"pulumi.com/waitFor": "condition=Deployed"}
            ),
            spec=event_bus_spec(config, events),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[service_account]),
        )
        self.resources = EventBusResources(service_account, bus)
        self.register_outputs({"eventBus": EVENT_BUS})

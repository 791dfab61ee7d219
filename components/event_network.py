"""Fences around the events' pods."""

from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as kubernetes

from components.event_network_spec import event_network_specs
from components.names import MANAGED_LABELS
from config.settings import Events


@dataclass(frozen=True)
class EventNetworkResources:
    """What :class:`EventNetwork` makes."""

    policies: tuple[kubernetes.networking.v1.NetworkPolicy, ...]


class EventNetwork(pulumi.ComponentResource):
    """Lets webhooks reach the receiver, receiver and sensor the bus, the sensor the API server, pods of the cluster the metrics, and nothing else.

    Pulumi Type: coderun-workspaces:components:EventNetwork

    Produces:
        NetworkPolicies ``coderun-event-bus``, ``coderun-event-source`` and ``coderun-sensor``.
    """

    resources: EventNetworkResources

    def __init__(self, name: str, events: Events, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the policies.

        Args:
            name: Name of the component in the stack.
            events: The settings on events.
            opts: Options with the provider.
        """
        super().__init__("coderun-workspaces:components:EventNetwork", name, None, opts)
        policies = tuple(
            kubernetes.networking.v1.NetworkPolicy(
                f"{name}-{policy}",
                metadata=kubernetes.meta.v1.ObjectMetaArgs(name=policy, namespace=events.namespace, labels=MANAGED_LABELS),
                spec=cast("Any", spec),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for policy, spec in event_network_specs(events).items()
        )
        self.resources = EventNetworkResources(policies)
        self.register_outputs({})

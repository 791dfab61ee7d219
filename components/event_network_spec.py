"""Who of the events' pods may talk to whom. Enforced where the cluster's network plugin enforces NetworkPolicies."""

from collections.abc import Iterable
from typing import Any, Final

from components.event_source_spec import receiver_labels
from components.names import EVENT_BUS, WEBHOOK_PORT
from components.sensor_spec import sensor_labels
from config.settings import Events

_NATS: Final = 4222
_NATS_CLUSTER: Final = 6222
_DNS: Final = 53
_HTTPS: Final = 443
_API_SERVER: Final = 6443
_METRICS: Final = 7777


def bus_labels() -> dict[str, str]:
    """Labels of the bus's pods, as Argo Events sets them."""
    return {"controller": "eventbus-controller", "eventbus-name": EVENT_BUS}


def event_network_specs(events: Events) -> dict[str, dict[str, Any]]:
    """Build the specs of the NetworkPolicies by name.

    Args:
        events: The settings on events.
    """
    bus, receiver, sensor = bus_labels(), receiver_labels(), sensor_labels()
    dns = {"to": [{"namespaceSelector": {}}], "ports": [*_ports(_DNS, "UDP"), *_ports(_DNS)]}
    to_bus = {"to": [_pods(bus)], "ports": _ports(_NATS)}
    # GitHub's addresses change, and so do those of an API server outside of the cluster: only the port can be told.
    github = [{"ports": _ports(_HTTPS)}] if events.hooks else []
    return {
        "coderun-event-bus": _policy(
            bus,
            ingress=[{"from": [_pods(receiver), _pods(sensor)], "ports": _ports(_NATS)}, {"from": [_pods(bus)], "ports": _ports(_NATS_CLUSTER)}],
            egress=[dns, {"to": [_pods(bus)], "ports": _ports(_NATS_CLUSTER)}],
        ),
        "coderun-event-source": _policy(receiver, ingress=[{"ports": _ports(WEBHOOK_PORT)}], egress=[dns, to_bus, *github]),
        "coderun-sensor": _policy(sensor, ingress=[], egress=[dns, to_bus, {"ports": [*_ports(_HTTPS), *_ports(_API_SERVER)]}]),
    }


def _policy(labels: dict[str, str], ingress: list[dict[str, Any]], egress: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [*ingress, {"from": [{"namespaceSelector": {}}], "ports": _ports(_METRICS)}],
        "egress": list(egress),
    }


def _pods(labels: dict[str, str]) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels}}


def _ports(port: int, protocol: str = "TCP") -> list[dict[str, Any]]:
    return [{"port": port, "protocol": protocol}]

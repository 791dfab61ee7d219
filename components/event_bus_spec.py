"""The spec of the EventBus ``default``: JetStream on disk."""

from components.argo_events_types import ContainerTemplate, EventBusSpec, Persistence
from components.argo_types import ResourceRequirements
from components.names import EVENT_BUS
from components.workflow_template_spec import container_security_context, pod_security_context
from config.quantities import quantity_bytes
from config.settings import Events, StackConfig

BUS_ACCOUNT = f"coderun-eventbus-{EVENT_BUS}"
"""Service account of the bus's pods, which gives them no token."""


def event_bus_spec(config: StackConfig, events: Events) -> EventBusSpec:
    """Build the spec.

    Args:
        config: The stack's settings.
        events: Their part on events.
    """
    bus = events.bus
    persistence: Persistence = {"accessMode": "ReadWriteOnce", "volumeSize": bus.size}
    if bus.storage_class:
        persistence["storageClassName"] = bus.storage_class
    return {
        "jetstream": {
            "version": bus.version,
            "replicas": bus.replicas,
            "persistence": persistence,
            # Less than the claim holds: a full disk would stop the server, a full stream drops its oldest events.
            "settings": f"max_memory_store: 64MB\nmax_file_store: {quantity_bytes(bus.size) * 9 // 10}\n",
            # One copy for each server up to three; by default a stream wants three, and a single server refuses it.
            "streamConfig": f"replicas: {min(bus.replicas, 3)}\nmaxAge: {bus.max_age_hours}h\n",
            "serviceAccountName": BUS_ACCOUNT,
            "securityContext": pod_security_context(config),
            "containerTemplate": _container("50m", "64Mi", "256Mi"),
            "reloaderContainerTemplate": _container("5m", "16Mi", "64Mi"),
            "metricsContainerTemplate": _container("5m", "16Mi", "64Mi"),
        },
    }


def _container(cpu: str, memory: str, limit: str) -> ContainerTemplate:
    resources: ResourceRequirements = {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}}
    return {"resources": resources, "securityContext": container_security_context()}

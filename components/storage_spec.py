"""Names of storage classes as they are in the cluster."""

from components.names import cluster_scoped
from config.settings import StackConfig, StorageClass


def applied_class_name(chosen: StorageClass, stack: str) -> str:
    """Name a class as claims have to: a created one carries the stack's name, a referenced one is taken as it is."""
    return cluster_scoped(chosen.name, stack) if chosen.create else chosen.name


def own_class_name(config: StackConfig, stack: str) -> str | None:
    """Name the class of a run's own claim, which may be the one that the shared claim's settings create."""
    own, shared = config.storage.own.storage_class, config.storage.shared.storage_class
    if own is None:
        return None
    if shared and shared.create and shared.name == own.name:
        return applied_class_name(shared, stack)
    return applied_class_name(own, stack)

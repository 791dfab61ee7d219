"""Semaphore limits, changed the way an operator does: `kubectl patch`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e import commands
from tests.e2e.runs import NAMESPACE

CONFIG_MAP = "workflow-semaphores"


def limits() -> dict[str, str]:
    """All keys with their limits."""
    text = commands.run(["kubectl", "get", "configmap", CONFIG_MAP, "-n", NAMESPACE, "-o", "json"])
    data: dict[str, str] = json.loads(text)["data"]
    return data


def set_limit(key: str, limit: str) -> None:
    """The document's kubectl patch command."""
    patch = json.dumps({"data": {key: limit}})
    commands.run(["kubectl", "-n", NAMESPACE, "patch", "configmap", CONFIG_MAP, "--type", "merge", "-p", patch])


@contextmanager
def limit(key: str, value: int) -> Iterator[None]:
    """Another limit for a while; the old one comes back however the block ends."""
    before = limits()
    assert key in before, f"{CONFIG_MAP} has no key {key}. Remedy: deploy the dev stack, its keys: {sorted(before)}"
    set_limit(key, str(value))
    try:
        yield
    finally:
        set_limit(key, before[key])

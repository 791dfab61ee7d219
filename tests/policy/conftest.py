"""The pack, started once for all tests of this folder."""

from collections.abc import Iterator

import pytest

from policies.analyzer import Pack


@pytest.fixture(scope="session")
def pack() -> Iterator[Pack]:
    """The pack in a process of its own, as the engine starts it."""
    with Pack() as running:
        yield running

"""The cluster of the end-to-end tests."""

from pathlib import Path

import pytest

from tests.e2e.conftest import api, git, runs, shared_volume, sightings

__all__ = ["api", "git", "runs", "shared_volume", "sightings"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks everything in this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)

"""A git server and a claim for each module of soak tests, and its report."""

from collections.abc import Iterator

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import build_sample
from tests.payload.steps import OWNER, Bench
from tests.soak.upstream import Upstream


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """A git server with the repository exampleorg/sample."""
    root = tmp_path_factory.mktemp("server")
    build_sample(root / OWNER / "sample.git")
    with GitServer(root) as running:
        yield running


@pytest.fixture(scope="module")
def upstream(server: GitServer) -> Upstream:
    """The server's side of exampleorg/sample."""
    return Upstream(server.root / OWNER / "sample.git")


@pytest.fixture(scope="module")
def bench(server: GitServer, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """An empty claim and an empty cluster."""
    return Bench(tmp_path_factory.mktemp("bench") / "bench", server.url)

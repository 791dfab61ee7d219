"""Repositories, a git server and a claim for the scripts' tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import build_private, build_sample
from tests.payload.steps import OWNER, Bench

TOKEN = "ghs_notARealToken0123456789"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repositories, built once."""
    root = tmp_path_factory.mktemp("repositories")
    build_sample(root / OWNER / "sample.git")
    build_private(root / OWNER / "private.git")
    return root


@pytest.fixture
def server(built: Path, tmp_path: Path) -> Iterator[GitServer]:
    """A git server with repositories of the test's own, below tmp_path/server."""
    root = shutil.copytree(built, tmp_path / "server")
    with GitServer(root, token=TOKEN) as running:
        yield running


@pytest.fixture
def bench(server: GitServer, tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    """An empty claim and an empty cluster; a test may ask for gitFolder=shared by an indirect parameter."""
    return Bench(tmp_path / "bench", server.url, git_folder=getattr(request, "param", "private"))


@pytest.fixture
def upstream(server: GitServer, tmp_path: Path) -> Path:
    """The server's side of exampleorg/sample."""
    assert server.url
    return tmp_path / "server" / OWNER / "sample.git"

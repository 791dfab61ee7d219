"""What the tests of this folder need: the engine on PATH and an API server."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugin_engine.program import Program

REMEDY = "Remedy: `make node`, then `make test-cluster`, which sets PATH and KUBECONFIG"


@pytest.fixture(scope="session")
def reachable() -> None:
    """Fail with the remedy if a tool or the cluster is missing."""
    for tool in ("pulumi", "pulumi-language-python", "pulumi-resource-kubernetes", "kubectl"):
        if shutil.which(tool) is None:
            pytest.fail(f"{tool} is not on PATH. {REMEDY}", pytrace=False)
    if not os.environ.get("KUBECONFIG"):
        pytest.fail(f"KUBECONFIG is not set. {REMEDY}", pytrace=False)
    found = subprocess.run(["kubectl", "get", "--raw", "/readyz"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.fail(f"the API server is not ready: {found.stderr.strip()}. {REMEDY}", pytrace=False)


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    """A program in a namespace of its own, which is gone after the test."""
    request.getfixturevalue("reachable")
    made = Program(tmp_path, f"plugin-engine-{secrets.token_hex(4)}")
    yield made
    subprocess.run(["kubectl", "delete", "namespace", made.namespace, "--ignore-not-found", "--wait=false"], check=True, capture_output=True)

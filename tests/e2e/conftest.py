"""The cluster that the tests run on: checked once, with a remedy for what is missing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import commands, volume
from tests.e2e.git_server import CONTROL, GitServerControl
from tests.e2e.runs import E2E_LABEL, FINISHED, NAMESPACE, TEMPLATE, WORKFLOWS, Runs, phase
from tests.e2e.sightings import Sightings
from tests.e2e.volume import Volume
from tests.fixtures.coderun_controller.api import Api, ApiError
from tests.fixtures.git_server.repositories import GATES

HERE = Path(__file__).parent
REMEDY = "Remedy: `make up`, then `make test-cluster`, which sets PATH and KUBECONFIG"
REQUIRED = (
    (f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflowtemplates/{TEMPLATE}", "the stack is not deployed"),
    (f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/{volume.CLAIM}", "the shared claim is missing"),
    ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/coderuns.platform.example.io", "the fixtures are not installed"),
    (f"{CONTROL}/stats", "the git server of the fixtures does not answer"),
)
LEFT_BEHIND_SECONDS = 120.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks everything in this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def api() -> Api:
    """The cluster, with tools, stack and fixtures all there."""
    for tool in ("kubectl", "argo", "pulumi"):
        if shutil.which(tool) is None:
            pytest.fail(f"{tool} is not on PATH. {REMEDY}", pytrace=False)
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig or not Path(kubeconfig).is_file():
        pytest.fail(f"KUBECONFIG names no file: {kubeconfig}. {REMEDY}", pytrace=False)
    client = Api.from_kubeconfig(kubeconfig)
    for path, problem in REQUIRED:
        try:
            client.request("GET", path)
        except (ApiError, OSError) as failure:
            pytest.fail(f"{problem} ({failure}). {REMEDY}", pytrace=False)
    return client


@pytest.fixture(scope="session")
def runs(api: Api, git: GitServerControl, request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Runs, recorded from the first one; what a broken session left behind is stopped before."""
    request.getfixturevalue("sightings")
    known = Runs(api)
    selector = f"{E2E_LABEL}=true"

    def end_all() -> None:
        """Stops what still runs: a workflow that is deleted instead never cleans up."""
        for name in GATES:
            git.open_gate(name)
        left = [w["metadata"]["name"] for w in api.items(WORKFLOWS, selector) if phase(w) not in FINISHED]
        for name in left:
            known.stop(name)
        known.wait_ended(left, LEFT_BEHIND_SECONDS)

    end_all()
    yield known
    end_all()
    commands.run(["kubectl", "delete", "workflows", "-n", NAMESPACE, "-l", selector, "--wait=false"])


@pytest.fixture(scope="session")
def git(api: Api) -> GitServerControl:
    """The git server's controls."""
    return GitServerControl(api)


@pytest.fixture(scope="session")
def shared_volume(api: Api) -> Iterator[Volume]:
    """The shared claim, seen from a pod."""
    yield volume.open_volume(api)
    volume.close_volume(api)


@pytest.fixture(scope="session")
def sightings(api: Api) -> Iterator[Sightings]:
    """The record of all pods and CodeRuns of this session."""
    with Sightings(api) as recorder:
        yield recorder

"""The git server's faults and controls, asked as git and as kubectl's proxy ask."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import OWNER, add_commit, build_sample, git
from tests.fixtures.git_server.state import Fault

NAME = f"{OWNER}/sample"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    build_sample(tmp_path / OWNER / "sample.git")
    with GitServer(tmp_path) as running:
        yield running


def control(server: GitServer, method: str, path: str, body: object) -> str:
    request = urllib.request.Request(f"{server.url}/_control/{path}", json.dumps(body).encode(), method=method)  # noqa: S310 - an address of ours
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
        return str(answer.read().decode())


@pytest.mark.parametrize("after", [1, 5000, 70_000])
def test_a_download_stands_still_after_so_many_bytes_and_goes_on(server: GitServer, tmp_path: Path, after: int) -> None:
    # More than a few reads of the server's, and nothing that packs well.
    add_commit(server.root / f"{NAME}.git", "refs/heads/main", {"noise.txt": "".join(f"{number * 2_654_435_761:x}\n" for number in range(30_000))})
    control(server, "PUT", f"faults/{NAME}", {"stall": "fetch", "after": after})
    target = tmp_path / "clone.git"
    with subprocess.Popen(["git", "clone", "--quiet", "--bare", f"{server.url}/{NAME}.git", str(target)]) as clone:
        listed = git(server.root / f"{NAME}.git", "ls-remote", f"{server.url}/{NAME}.git", "refs/heads/main")
        server.state.wait_for_counters(NAME, lambda counters: counters.stalled == 1)
        assert clone.poll() is None
        sent = server.bytes_sent(NAME)
        server.state.set_fault(NAME, Fault())
        assert clone.wait(20) == 0
    assert listed
    # Beside the pack only a few listings of refs were sent.
    assert after <= sent < after + 20_000
    assert server.bytes_sent(NAME) > sent + 50_000


@pytest.mark.parametrize("fault", [{"after": 5}, {"stall": True, "after": 5}, {"stall": "fetch", "after": True}, {"stall": "fetch", "after": "5"}])
def test_a_fault_that_means_nothing_is_refused(server: GitServer, fault: dict[str, object]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        control(server, "PUT", f"faults/{NAME}", fault)
    assert refused.value.code == 400
    refused.value.close()


def test_commits_are_put_upon_refs(server: GitServer) -> None:
    repository = server.root / f"{NAME}.git"
    first = control(server, "POST", f"commits/{NAME}", {"ref": "refs/heads/new", "files": {"a.txt": "1"}}).strip()
    second = control(server, "POST", f"commits/{NAME}", {"ref": "refs/heads/new", "files": {"a.txt": "2"}}).strip()
    assert git(repository, "rev-parse", f"{first}^") == git(repository, "rev-parse", "refs/heads/main")
    assert git(repository, "rev-parse", f"{second}^") == first
    assert git(repository, "show", "refs/heads/new:a.txt") == "2"
    assert add_commit(repository, "refs/heads/new", {"a.txt": "3"}, parent="refs/heads/main") == git(repository, "rev-parse", "refs/heads/new")
    assert git(repository, "rev-parse", "refs/heads/new^") == git(repository, "rev-parse", "refs/heads/main")


@pytest.mark.parametrize("body", [{}, {"ref": "refs/heads/a..b", "files": {"a": "1"}}, {"ref": "refs/heads/x"}])
def test_a_commit_that_git_would_not_take_is_refused(server: GitServer, body: object) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        control(server, "POST", f"commits/{NAME}", body)
    assert refused.value.code == 400
    refused.value.close()

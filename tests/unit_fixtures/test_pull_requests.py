"""Pull requests on the git server: their heads move when a test says so, and git sees it."""

import json
import subprocess
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import build_private

REPOSITORY = "exampleorg/private"
POOL = urllib3.PoolManager(retries=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    build_private(tmp_path / f"{REPOSITORY}.git")
    with GitServer(tmp_path, private=frozenset()) as running:
        yield running


def push(server: GitServer, *numbers: int, **rest: Any) -> dict[int, str]:  # noqa: ANN401 - whatever a test wants to send
    answer = ask(server, "PUT", {"numbers": numbers, **rest})
    assert answer.status == HTTPStatus.OK, answer.data
    return {int(number): head for number, head in json.loads(answer.data)["heads"].items()}


def ask(server: GitServer, method: str, body: object = None, repository: str = REPOSITORY) -> urllib3.BaseHTTPResponse:
    return POOL.request(method, f"{server.url}/_control/pulls/{repository}", body=json.dumps(body) if body else None)


def remote(server: GitServer, pattern: str) -> dict[str, str]:
    done = subprocess.run(["git", "ls-remote", f"{server.url}/{REPOSITORY}.git", pattern], capture_output=True, text=True, check=True)
    return {ref: commit for commit, ref in (line.split("\t") for line in done.stdout.splitlines())}


def test_a_push_moves_one_head_and_git_sees_it_at_once(server: GitServer) -> None:
    first = push(server, 8)[8]
    second = push(server, 8)[8]
    assert first != second
    assert remote(server, "refs/pull/8/head") == {"refs/pull/8/head": second}


def test_a_push_builds_upon_the_one_before_and_the_first_upon_its_base(server: GitServer, tmp_path: Path) -> None:
    first = push(server, 8, base="gate/a")[8]
    second = push(server, 8)[8]
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", f"{server.url}/{REPOSITORY}.git", str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "fetch", "--quiet", "origin", second], check=True)
    log = subprocess.run(["git", "-C", str(clone), "log", "--format=%H", "-3", second], capture_output=True, text=True, check=True)
    assert log.stdout.split() == [second, first, remote(server, "refs/heads/gate/a")["refs/heads/gate/a"]]


def test_two_hundred_pull_requests_are_there_within_seconds(server: GitServer) -> None:
    before = remote(server, "refs/pull/7/head")
    begin = time.monotonic()
    heads = push(server, *range(101, 301))
    assert time.monotonic() - begin < 10
    assert len(set(heads.values())) == 200
    assert remote(server, "refs/pull/*/head") == {f"refs/pull/{number}/head": head for number, head in heads.items()} | before
    assert len(json.loads(ask(server, "GET").data)["heads"]) == 201


@pytest.mark.parametrize(
    "body",
    [
        {"numbers": [0]},
        {"numbers": ["x"]},
        {"numbers": 7},
        {},
        {"numbers": [7], "base": "missing"},
        {"numbers": [7], "base": "main~1"},
        {"numbers": [7], "base": "a\nreset refs/heads/main"},
    ],
)
def test_a_push_that_cannot_be_is_refused_and_moves_nothing(server: GitServer, body: object) -> None:
    before = remote(server, "*")
    assert ask(server, "PUT", body or [1]).status == HTTPStatus.BAD_REQUEST
    assert remote(server, "*") == before


def test_an_unknown_repository_is_not_found(server: GitServer) -> None:
    assert ask(server, "PUT", {"numbers": [1]}, repository="exampleorg/none").status == HTTPStatus.NOT_FOUND

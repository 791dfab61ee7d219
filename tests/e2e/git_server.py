"""The git server's control endpoints, through the API server's proxy.

The Service's address is reachable from inside the cluster only, its proxy from wherever kubectl works.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from tests.fixtures.coderun_controller.api import Api, JsonObject

URL = "http://git-server.coderun-fixtures.svc.cluster.local"
"""What the dev stack's git.server says."""

CONTROL = "/api/v1/namespaces/coderun-fixtures/services/git-server:80/proxy/_control"


class GitServerControl:
    """Gates, faults and counters of the git server."""

    def __init__(self, api: Api) -> None:
        """Takes the cluster that the server runs in."""
        self._api = api

    def repository(self, repo: str) -> str:
        """The URL of one of its repositories, as runs see it."""
        return f"{URL}/exampleorg/{repo}.git"

    def stats(self) -> JsonObject:
        """What the server has counted."""
        return self._api.get(f"{CONTROL}/stats")

    def bytes_sent(self, repo: str) -> int:
        """All bytes that the server has sent for a repository since its start."""
        return self._counter(repo, "bytes_sent")

    def clones(self, repo: str) -> int:
        """All downloads by clients that had nothing, since its start."""
        return self._counter(repo, "clones")

    def asked_for(self, prefix: str) -> frozenset[str]:
        """Names below exampleorg/ with this prefix that somebody has asked the server for, whether they are there or not."""
        start = f"exampleorg/{prefix}"
        return frozenset(name.removeprefix(start) for name in self.stats()["repositories"] if name.startswith(start))

    def open_gate(self, name: str) -> None:
        """Lets agents of branch gate/NAME go on."""
        self._api.request("PUT", f"{CONTROL}/gates/{name}")

    def close_gate(self, name: str) -> None:
        """Holds agents of branch gate/NAME."""
        self._api.request("DELETE", f"{CONTROL}/gates/{name}")

    def stalled(self, repo: str) -> int:
        """All requests that were held by a fault, since its start."""
        return self._counter(repo, "stalled")

    def commit(self, repo: str, ref: str, files: dict[str, str]) -> str:
        """Puts a commit upon a ref, as somebody's push would, and returns its id."""
        body = json.dumps({"ref": ref, "files": files}).encode()
        return self._api.request("POST", f"{CONTROL}/commits/exampleorg/{repo}", body).decode().strip()

    def push(self, repo: str, numbers: Iterable[int], base: str = "main") -> dict[int, str]:
        """Puts a commit on each of these pull requests (new ones begin at the base branch), returns their heads by number."""
        body = json.dumps({"numbers": list(numbers), "base": base}).encode()
        return _heads(self._api.request("PUT", f"{CONTROL}/pulls/exampleorg/{repo}", body))

    def heads(self, repo: str) -> dict[int, str]:
        """The heads of all pull requests of a repository by number."""
        return _heads(self._api.request("GET", f"{CONTROL}/pulls/exampleorg/{repo}"))

    def _counter(self, repo: str, name: str) -> int:
        counters = self.stats()["repositories"].get(f"exampleorg/{repo}", {})
        return int(counters.get(name, 0))

    @contextmanager
    def gate(self, name: str) -> Iterator[None]:
        """A closed gate; open afterwards, however the block ends."""
        self.close_gate(name)
        try:
            yield
        finally:
            self.open_gate(name)

    @contextmanager
    def fault(self, repo: str, kind: Literal["stall", "refuse"]) -> Iterator[None]:
        """A fault in one repository; gone afterwards, however the block ends."""
        with self._faulty(repo, {kind: True}):
            yield

    @contextmanager
    def stalled_download(self, repo: str, after: int) -> Iterator[None]:
        """Downloads of one repository stop after so many bytes; gone afterwards, however the block ends."""
        with self._faulty(repo, {"stall": "fetch", "after": after}):
            yield

    @contextmanager
    def _faulty(self, repo: str, fault: dict[str, object]) -> Iterator[None]:
        path = f"{CONTROL}/faults/exampleorg/{repo}"
        self._api.request("PUT", path, json.dumps(fault).encode())
        try:
            yield
        finally:
            self._api.request("PUT", path, b"{}")


def _heads(answer: bytes) -> dict[int, str]:
    return {int(number): str(commit) for number, commit in json.loads(answer)["heads"].items()}

"""Repositories of three real sizes, served over HTTP, and a base of each that has been in use."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import OWNER, build_wide, git

MODULES: Final = {
    "small": "golang.org/x/net@v0.45.0",
    "medium": "github.com/argoproj/argo-workflows",
    "wide": "k8s.io/kubernetes@v1.34.3",
}
"""The Go module whose files a shape has: 824, 3,423 and 8,351 of them."""

COMMITS_SINCE_THE_CLONE: Final = 20
"""Commits that tasks have asked for since the base was cloned; each came in a pack of its own."""


@dataclass(frozen=True)
class Shape:
    """A repository on the server and its base.

    Attributes:
        name: Of the shape.
        url: At the server.
        base: The bare base: the clone's pack and a pack for each commit that was fetched later.
        newest: The last of these commits, which no ref of the base names.
    """

    name: str
    url: str
    base: Path
    newest: str


def _commit_upstream(repository: Path, number: int) -> str:
    text = f"line {number}\n" * 40
    files = f"M 100644 inline CHANGES.md\ndata {len(text)}\n{text}\n"
    stream = f"commit refs/heads/main\ncommitter A <a@example.org> {1_800_000_000 + number} +0000\ndata 1\nx\nfrom refs/heads/main^0\n{files}"
    git(repository, "fast-import", "--quiet", stdin=stream.encode())
    return git(repository, "rev-parse", "refs/heads/main")


def build_base(name: str, url: str, upstream: Path, base: Path) -> Shape:
    """Clone a base as init does, then bring the commits of later tasks into it one by one.

    Raises:
        subprocess.CalledProcessError: Git failed.
    """
    subprocess.run(["git", "clone", "--quiet", "--bare", "--template=", url, str(base)], check=True)
    newest = ""
    for number in range(COMMITS_SINCE_THE_CLONE):
        newest = _commit_upstream(upstream, number)
        git(
            base,
            "-c",
            "gc.auto=0",
            "-c",
            "fetch.unpackLimit=1",
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            url,
            f"+{newest}:refs/coderun/task",
        )
    git(base, "update-ref", "-d", "refs/coderun/task")
    return Shape(name, url, base, newest)


@contextmanager
def shapes(folder: Path, modules: Path) -> Iterator[tuple[GitServer, list[Shape]]]:
    """Build all shapes below a folder and serve them while the block runs.

    Args:
        folder: Empty; its file system is what is measured.
        modules: Go's module cache, where the files come from (``go env GOMODCACHE``).

    Raises:
        FileNotFoundError: A module is not in the cache.
    """
    for name, module in MODULES.items():
        if not (modules / module).is_dir():
            raise FileNotFoundError(f"{modules / module} is not there. Remedy: `make node` downloads the module of the shape {name}.")
        build_wide(folder / "server" / OWNER / f"{name}.git", modules / module)
    with GitServer(folder / "server") as server:
        built = []
        for name in MODULES:
            upstream = folder / "server" / OWNER / f"{name}.git"
            git(upstream, "repack", "-adq")
            built.append(build_base(name, f"{server.url}/{OWNER}/{name}.git", upstream, folder / "base" / f"{name}.git"))
        yield server, built

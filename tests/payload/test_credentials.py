"""Private repositories: the token gets to the server and nowhere else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.git_server import GitServer
from tests.fixtures.git_server.repositories import git
from tests.fixtures.git_server.state import Fault
from tests.payload.conftest import TOKEN
from tests.payload.steps import Bench


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """A mounted Secret with the token."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "password").write_text(f"{TOKEN}\n")
    return folder


@contextmanager
def seen_processes() -> Iterator[set[str]]:
    """Collects the command lines and environments of all processes for as long as the block runs."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                for part in ("cmdline", "environ"):
                    try:
                        seen.add((process / part).read_text(errors="replace"))
                    except OSError:
                        continue  # it has ended, or it is another user's

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield seen
    finally:
        over.set()
        looker.join()


def test_a_private_repository_is_read_and_the_token_is_nowhere(bench: Bench, server: GitServer, credentials: Path, tmp_path: Path) -> None:
    private = {"REPO": "private", "CREDENTIALS_DIR": str(credentials)}
    with seen_processes() as seen:
        server.state.set_fault("exampleorg/private", Fault(stall="fetch"))
        step = bench.start("init-worktree", 1, **private)
        # A moment in the middle of a request, with git and its helpers alive.
        server.state.wait_for_counters("exampleorg/private", lambda counters: counters.stalled == 1)
        server.state.set_fault("exampleorg/private", Fault())
        outcome = step.outcome()
    outcome.assert_succeeded()
    assert bench.status("task-1", "private") == ""
    assert any("remote-http" in text for text in seen)
    assert not any(TOKEN in text for text in seen)
    assert TOKEN not in outcome.output + outcome.errors + outcome.message + bench.cluster.log()
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert holders == [credentials / "password"]
    assert git(bench.base("private"), "config", "remote.origin.url") == f"{server.url}/exampleorg/private.git"


def test_a_user_name_of_the_secret_is_used(bench: Bench, credentials: Path) -> None:
    (credentials / "username").write_text("somebody-else")
    bench.init(REPO="private", CREDENTIALS_DIR=str(credentials)).assert_refused("parameter repo: ", "refused access", "github-app")
    (credentials / "username").write_text("x-access-token\n")
    bench.init(REPO="private", CREDENTIALS_DIR=str(credentials)).assert_succeeded()


def test_without_credentials_a_private_repository_is_refused(bench: Bench, tmp_path: Path) -> None:
    for folder in ("", str(tmp_path / "nowhere")):
        bench.init(REPO="private", CREDENTIALS_DIR=folder).assert_refused("parameter repo: ", "refused access", "coderun-workspaces:credentials")


def test_a_wrong_token_is_refused_and_not_shown(bench: Bench, credentials: Path) -> None:
    (credentials / "password").write_text("ghs_wrongToken")
    refused = bench.init(REPO="private", CREDENTIALS_DIR=str(credentials))
    refused.assert_refused("parameter repo: ", "refused access")
    assert "ghs_wrongToken" not in refused.output + refused.errors


def test_another_server_gets_no_password(bench: Bench, server: GitServer, credentials: Path, tmp_path: Path) -> None:
    # The same server by another name: git takes it for another one, as it would after a redirection.
    with GitServer(tmp_path / "server", token=TOKEN, host="127.0.0.2") as other:
        bench.init(1, REPO="private", GIT_SERVER=other.url, CREDENTIALS_DIR=str(credentials)).assert_succeeded()
        other.state.set_fault("exampleorg/private", Fault(redirect=server.url))
        before = server.state.counters("exampleorg/private")
        redirected = bench.init(2, REPO="private", GIT_SERVER=other.url, CREDENTIALS_DIR=str(credentials))
        redirected.assert_refused("parameter repo: ")
        after = server.state.counters("exampleorg/private")
    assert after.refused > before.refused
    assert (after.ref_listings, after.clones) == (before.ref_listings, before.clones)

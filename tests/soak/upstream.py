"""The server's side of a soak: refs of every kind that move on, each commit with a file that says which one it is."""

import os
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.fixtures.git_server.repositories import add_commit, git
from tests.fixtures.git_server.state import ServerState

SENTINEL: Final = "SENTINEL.txt"
MOVING: Final = "refs/heads/soak/moving"
EVERY: Final = 3
"""Listings of refs after which the moving branch moves on."""


@dataclass(frozen=True)
class Wanted:
    """What one task asks for, and where it may come out."""

    ref: str
    commits: list[str]
    """The one commit; for the ref that moves meanwhile all that it was at, filled while it moves."""


@dataclass
class Upstream:
    """One repository on the server, changed by one thread at a time."""

    repository: Path
    sentinels: dict[str, str] = field(default_factory=dict)
    """Content of the file SENTINEL by commit."""
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def commit(self, ref: str) -> str:
        """Moves a ref on by one commit and returns it."""
        with self._guard:
            text = f"commit {len(self.sentinels)} of this soak, on {ref}\n"
            made = add_commit(self.repository, ref, {SENTINEL: text})
            self.sentinels[made] = text
            return made

    def crowd(self, repetition: int, size: int) -> list[Wanted]:
        """Moves all refs on and says what each task of a crowd asks for: branch, tag, pull request, commit id and the moving branch in turn."""
        # Two at a time: a history that is cut short is missed then.
        branch = [self.commit("refs/heads/soak/steady") for _ in range(2)]
        tagged = [self.commit("refs/heads/soak/tagged") for _ in range(2)]
        pull = [self.commit(f"refs/pull/{repetition + 100}/head") for _ in range(2)]
        tag = f"soak-{repetition}"
        git(self.repository, "-c", "user.name=a", "-c", "user.email=a@example.org", "tag", "-m", tag, tag, tagged[1])
        # A commit that no ref names.
        inner = self.commit("refs/heads/soak/steady")
        self.commit("refs/heads/soak/steady")
        choices = [
            Wanted("refs/heads/soak/tagged", [tagged[1]]),
            Wanted(f"refs/tags/{tag}", [tagged[1]]),
            Wanted(f"refs/pull/{repetition + 100}/head", [pull[1]]),
            Wanted(inner, [inner]),
            Wanted(MOVING, [self.commit(MOVING)]),
            Wanted(branch[1], [branch[1]]),
        ]
        return [choices[number % len(choices)] for number in range(size)]

    def difference(self, tree: Path, commit: str, index: Path) -> str:
        """Compares a tree with a commit as the server has it, file by file, without asking anything that the task could have written.

        Args:
            tree: The tree.
            commit: The commit that it should be.
            index: A file to work with; it is made.

        Returns:
            What git says differs; empty if nothing does.
        """
        environment = {**os.environ, "GIT_INDEX_FILE": str(index), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}

        def ask(*arguments: str) -> str:
            command = ["git", "--git-dir", str(self.repository), "--work-tree", str(tree), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tree)
            return done.stdout + done.stderr

        return ask("read-tree", commit) + ask("update-index", "--refresh") + ask("ls-files", "--others")


class Mover:
    """Moves a ref on while others ask for it: after every few listings of refs that the server answers. A context manager."""

    def __init__(self, upstream: Upstream, wanted: Wanted, state: ServerState, name: str) -> None:
        """Takes the ref, the list of its commits that is filled, and the server's counters of the repository NAME."""
        self._upstream, self._wanted, self._state, self._name = upstream, wanted, state, name
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._move)

    def __enter__(self) -> None:
        """Starts moving."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        """Ends it; the list is complete then."""
        self._done.set()
        self._thread.join()

    def _move(self) -> None:
        enough = self._listings() + EVERY
        while not self._done.wait(0.02):
            if self._listings() >= enough:
                self._wanted.commits.append(self._upstream.commit(self._wanted.ref))
                enough = self._listings() + EVERY

    def _listings(self) -> int:
        return self._state.counters(self._name).ref_listings

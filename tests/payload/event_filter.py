"""Runs the sensor's filter as Argo Events does: a fresh Lua 5.1 for every event, and nothing kept but files."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lupa import lua51

import payload
from tests.payload.steps import Bench

REPOS = "credential\texampleorg\trex\tsecret\nrepo\texampleorg\tsample\tactive\texampleorg-sample\nrepo\tOther-Org\tSome.Repo_1\tpaused\tx\n"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DELIVERY = "72d3162e-cc78-11e3-81ab-4c9367dc0958"


def pull_request(number: float = 7, action: str = "synchronize", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A webhook's body as the event source hands it on; changes are given by path, with double underscores between its parts."""
    body: dict[str, Any] = {
        "X-GitHub-Event": "pull_request",
        "X-GitHub-Delivery": DELIVERY,
        "action": action,
        "number": number,
        "repository": {"name": "sample", "full_name": "exampleorg/sample", "owner": {"login": "exampleorg"}},
        "pull_request": {
            "number": number,
            "title": "a title",
            "head": {"sha": COMMIT, "ref": "topic", "repo": {"full_name": "exampleorg/sample"}},
            "base": {"ref": "main"},
        },
    }
    for path, value in changes.items():
        part = body
        *above, last = path.split("__")
        for name in above:
            part = part[name]
        part[last] = value
    return body


@dataclass(frozen=True)
class Decision:
    """What the filter made of an event, and the line that it wrote."""

    passed: bool
    line: str


@dataclass
class EventFilter:
    """A sensor's pod: its files, and its environment."""

    folder: Path
    window: int = 19
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Makes the list of repositories and the folder of windows."""
        (self.folder / "repos.tsv").write_text(REPOS)
        self.lose_state()
        self.variables = {
            "REPOS_FILE": str(self.folder / "repos.tsv"),
            "STATE_FILE": str(self.state),
            "WINDOW_SECONDS": str(self.window),
            **self.variables,
        }

    @property
    def state(self) -> Path:
        """The file of windows."""
        return self.folder / "state" / "windows.tsv"

    def lose_state(self) -> None:
        """Another pod takes over: its folder is empty."""
        self.state.parent.mkdir(exist_ok=True)
        for file in self.state.parent.iterdir():
            file.unlink()

    def decide(self, body: object, now: float = 1_700_000_000) -> Decision:
        """Judges one event at a moment."""
        lines: list[str] = []
        lua = lua51.LuaRuntime(unpack_returned_tuples=True)
        system: Any = lua.globals()
        system.print = lines.append
        system.os.getenv = self.variables.get
        system.os.time = lambda: int(now)
        system.event = _table(lua, {"headers": {}, "body": body})
        passed = lua.execute(payload.source("event-filter.lua", folder=Bench.scripts))
        (line,) = lines
        return Decision(passed is True, line)


def _table(lua: Any, value: object) -> object:  # noqa: ANN401 - lupa publishes no types
    # As Argo Events: null is nil, every number a float, a list a table.
    if isinstance(value, Mapping):
        return lua.table_from({key: _table(lua, inner) for key, inner in value.items() if inner is not None})
    if isinstance(value, list):
        return lua.table_from([_table(lua, inner) for inner in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return copy.copy(value)

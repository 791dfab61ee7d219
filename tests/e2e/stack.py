"""The real `pulumi` on the dev stack, and what its previews say."""

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import commands

PROJECT = Path(__file__).resolve().parents[2]
STACK = "dev"
STACK_FILE = PROJECT / f"Pulumi.{STACK}.yaml"
CHANGES = frozenset({"create", "update", "replace", "delete", "create-replacement", "delete-replaced", "read"})


@dataclass(frozen=True)
class Step:
    """One step of a preview that would change something."""

    operation: str
    urn: str
    fields: frozenset[str]

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rpartition("::")[2]


def pulumi(*arguments: str) -> commands.Done:
    """Runs one pulumi command on the dev stack.

    PULUMI_WRAPPER, if set, is put in front (split as a shell would): for setups where pulumi needs
    more than PATH and the environment.
    """
    wrapper = shlex.split(os.environ.get("PULUMI_WRAPPER", ""))
    return commands.attempt([*wrapper, "pulumi", *arguments, "--stack", STACK, "--non-interactive"], cwd=str(PROJECT))


def preview(*arguments: str) -> list[Step]:
    """The steps that `pulumi preview` announces, without those that change nothing."""
    done = pulumi("preview", "--json", *arguments)
    assert done.code == 0, done.text
    return changes(done.out)


def changes(text: str) -> list[Step]:
    """The steps of a preview printed with --json, without those that change nothing."""
    document = _first_object(text)
    return [
        Step(step["op"], step["urn"], frozenset(step.get("diffReasons") or step.get("detailedDiff") or ()))
        for step in document["steps"]
        if step["op"] in CHANGES
    ]


def refresh() -> None:
    """Reads the cluster's state into the stack's."""
    done = pulumi("refresh", "--yes", "--skip-preview")
    assert done.code == 0, done.text


def export_state() -> str:
    """The stack's state, as it is stored."""
    done = pulumi("stack", "export")
    assert done.code == 0, done.text
    return done.out


def _first_object(text: str) -> dict[str, Any]:
    """The JSON document in an output that a warning may precede."""
    found, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    assert isinstance(found, dict)
    return found

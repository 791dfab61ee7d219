"""The cluster's gate as it is for objects that only tests make: it says what is wrong with them and lets them in."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e import commands
from tests.e2e.runs import NAMESPACE
from tests.e2e.stack import STACK
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import JsonObject

BINDINGS = (f"coderun-workflows-{STACK}", f"coderun-templates-{STACK}")
IN_FORCE_SECONDS = 60.0
"""The API server reads bindings anew within a second or so; on a busy machine it may take longer."""

REFUSED: JsonObject = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "gate-", "namespace": NAMESPACE},
    "spec": {"workflowTemplateRef": {"name": "not-listed"}},
}
"""Of this only the gate would say that it must not be made."""


def _is_open() -> bool:
    return commands.attempt(["kubectl", "create", "--dry-run=server", "-f", "-"], json.dumps(REFUSED)).code == 0


def _act(*actions: str) -> None:
    patch = json.dumps({"spec": {"validationActions": list(actions)}})
    for binding in BINDINGS:
        commands.run(["kubectl", "patch", "validatingadmissionpolicybinding", binding, "--type=merge", "-p", patch])


@contextmanager
def open_gate() -> Iterator[None]:
    """Lets the gate only warn, until the end of the block."""
    _act("Warn")
    try:
        wait_for("the gate is open", _is_open, IN_FORCE_SECONDS)
        yield
    finally:
        _act("Deny")
        wait_for("the gate is shut", lambda: not _is_open(), IN_FORCE_SECONDS)

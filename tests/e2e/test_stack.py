"""The deployed stack under the real engine: quiet when nothing changed, small steps when something did."""

from pathlib import Path

import yaml

from tests.e2e import stack
from tests.e2e.limits import limit, limits

KEY = "exampleorg-sample-main"
RESOURCE = "repo-semaphores"


def test_preview_after_up_changes_nothing() -> None:
    assert stack.preview() == []


def test_a_changed_limit_is_one_update_and_no_replacement(tmp_path: Path) -> None:
    document = yaml.safe_load(stack.STACK_FILE.read_text())
    (sample,) = [r for r in document["config"]["coderun-workspaces:repos"] if r["name"] == "sample"]
    sample["branches"]["main"] += 1
    changed = tmp_path / stack.STACK_FILE.name
    changed.write_text(yaml.safe_dump(document))
    before = limits()
    steps = stack.preview("--config-file", str(changed))
    assert [step.operation for step in steps] == ["update"]
    assert RESOURCE in steps[0].name
    assert limits() == before


def test_a_hand_patched_limit_shows_as_drift_after_a_refresh() -> None:
    with limit(KEY, 9):
        stack.refresh()
        steps = stack.preview()
    # The limit is back by now; the stack must know before anything can fail.
    stack.refresh()
    assert [step.operation for step in steps] == ["update"]
    assert RESOURCE in steps[0].name
    assert stack.preview() == []

"""The pack starts the way the engine starts it."""

import subprocess
import sys
from pathlib import Path

import yaml

from policies.rules import RULES

PACK = Path(__file__).parents[2] / "policies"


def test_the_pack_serves(tmp_path: Path) -> None:
    """The engine runs the folder from a directory of its choice and reads a port from the first line."""
    process = subprocess.Popen([sys.executable, "-u", str(PACK)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
    finally:
        process.kill()
        process.communicate()


def test_the_pack_is_a_python_pack() -> None:
    assert yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text(encoding="utf-8"))["runtime"] == "python"


def test_names_are_unique_and_say_what_to_do() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.remediation_steps for rule in RULES)

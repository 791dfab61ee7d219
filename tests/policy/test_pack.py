"""The pack as the engine sees it: how it starts, and what it says of itself."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from pulumi.runtime.proto import analyzer_pb2

from policies import PACK_NAME
from policies.analyzer import Pack
from policies.reference import with_policies
from policies.rules import RULES

PROJECT = Path(__file__).parents[2]
PACK = PROJECT / "policies"


def first_line(pack: str, folder: Path, env: Mapping[str, str] | None = None) -> str:
    """Start a pack from a folder, as the engine does, and end it after its first line."""
    process = subprocess.Popen([sys.executable, "-u", pack], cwd=folder, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        return process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_the_pack_serves_from_any_directory(tmp_path: Path) -> None:
    """The engine runs the folder from a directory of its choice and reads a port from the first line."""
    assert first_line(str(PACK), tmp_path).isdigit()


def test_the_pack_needs_nothing_else_of_the_project(tmp_path: Path) -> None:
    """So that other projects can take the folder."""
    shutil.copytree(PACK, tmp_path / "policies", ignore=shutil.ignore_patterns("__pycache__"))
    assert first_line("policies", tmp_path, env={}).isdigit()


def test_a_pack_with_wrong_settings_does_not_start(tmp_path: Path) -> None:
    shutil.copytree(PACK, tmp_path / "policies", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "policies" / "settings.yaml").write_text("images: {allow: [x]}\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "-u", "policies"], cwd=tmp_path, capture_output=True, text=True, check=False, env={})
    assert done.returncode == 1
    assert "images.allow: Extra inputs are not permitted. Remedy: " in done.stderr


def test_the_pack_is_a_python_pack() -> None:
    assert yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text(encoding="utf-8"))["runtime"] == "python"


@pytest.fixture(scope="module")
def info(pack: Pack) -> analyzer_pb2.AnalyzerInfo:
    return pack.info()


def test_every_policy_reaches_the_engine_with_its_metadata(info: analyzer_pb2.AnalyzerInfo) -> None:
    assert info.name == PACK_NAME
    assert [policy.name for policy in info.policies] == [rule.name for rule in RULES]
    for policy in info.policies:
        assert policy.description.endswith(".")
        assert policy.remediation_steps.endswith(".")
        assert policy.severity != analyzer_pb2.POLICY_SEVERITY_UNSPECIFIED
        assert policy.framework.name
        assert policy.framework.reference
        assert policy.tags
        assert "exemptions" in policy.configSchema.properties
        assert all("description" in schema for schema in policy.configSchema.properties.values())


def test_every_policys_page_exists(info: analyzer_pb2.AnalyzerInfo) -> None:
    for policy in info.policies:
        file, _, section = policy.url.partition("#")
        headings = re.findall(r"^#+ (.*)$", (PROJECT / file).read_text(encoding="utf-8"), re.MULTILINE)
        assert section in headings


def test_names_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_the_policies_in_the_docs_are_current() -> None:
    document = PROJECT / "docs" / "policies.md"
    text = document.read_text(encoding="utf-8")
    assert with_policies(text) == text, "run: python -m policies.reference"

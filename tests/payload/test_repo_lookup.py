"""The script that looks a run's repository up picks the key that the stack's own rule picks, for any list."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import payload
from config.errors import ConfigError
from config.repos import key_of, repos_tsv
from config.settings import Repo, StackConfig
from tests.unit.stack_files import config_with

SHELLS = {"sh": ["sh"], "busybox": ["busybox", "sh"]}
NAMES = st.text("aAb", min_size=1, max_size=2)
BRANCHES = st.text("abA/.+@#=,-_1", min_size=1, max_size=6)
PATTERNS = st.lists(st.sampled_from(["a", "b", "/", ".", "+", "*", "**"]), min_size=2, max_size=6).map("".join)
LISTS = st.lists(
    st.tuples(NAMES, NAMES, st.dictionaries(st.one_of(BRANCHES, PATTERNS), st.integers(1, 9), min_size=2, max_size=9)),
    min_size=1,
    max_size=5,
)


def stack(listed: list[tuple[str, str, dict[str, int]]]) -> StackConfig:
    """The settings with those entries of a list that the settings take."""
    repos: dict[str, dict[str, Any]] = {}
    for owner, name, branches in listed:
        kept: dict[str, int] = {}
        for branch, limit in branches.items():
            entry = {"owner": owner, "name": name, "branches": {**kept, branch: limit}}
            try:
                config_with(repos=[entry])
            except ConfigError:
                continue
            kept[branch] = limit
        repos[f"{owner}/{name}".lower()] = {"owner": owner, "name": name, "branches": kept}
    return config_with(repos=list(repos.values()))


@pytest.fixture(params=SHELLS)
def lookup(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A command that answers, for each line ``owner<TAB>repo<TAB>branch``, with the key: the script's own function, many times."""
    function = re.search(r"^look_up\(\) \{\n.*?^\}\n", payload.source("resolve.sh"), re.MULTILINE | re.DOTALL)
    assert function, "resolve.sh has no function look_up any more"
    script = tmp_path / "look-up.sh"
    script.write_text(
        payload.source("task-messages.sh") + function[0] + "while IFS='|' read -r OWNER REPO branch; do look_up; printf '%s\\n' \"$key\"; done\n"
    )
    tools = tmp_path / "tools"
    tools.mkdir()
    if request.param == "busybox":
        for name in ("awk", "mktemp", "rm", "tr", "cut", "date"):
            (tools / name).symlink_to("/bin/busybox")
    return ["env", f"PATH={tools}:/usr/bin:/bin", f"REPOS_FILE={tmp_path / 'repos.tsv'}", *SHELLS[request.param], str(script)]


def near(pattern: str) -> list[str]:
    """Branches that a pattern covers, or just not."""
    filled = [re.sub(r"\*+", text, pattern) for text in ("", "b", "b/a")]
    return [*filled, *(branch.replace(".", "x") for branch in filled), *(branch.replace("+", "") for branch in filled)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(listed=LISTS, branches=st.lists(BRANCHES, min_size=3, max_size=8))
def test_the_script_and_the_rule_agree(lookup: list[str], tmp_path: Path, listed: list[tuple[str, str, dict[str, int]]], branches: list[str]) -> None:
    config = stack(listed)
    (tmp_path / "repos.tsv").write_text(repos_tsv(config))
    asked: list[tuple[Repo, str]] = [
        (repo, branch)
        for repo in config.repos
        for branch in dict.fromkeys(["", *branches, *(name for listed in repo.branches for name in near(listed))])
    ]
    lines = "".join(f"{repo.owner.swapcase()}|{repo.name}|{branch}\n" for repo, branch in asked)
    done = subprocess.run(lookup, input=lines, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [key_of(repo, branch or None) for repo, branch in asked]

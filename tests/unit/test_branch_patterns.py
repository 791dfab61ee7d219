"""Patterns of branches: what they cover, which of them counts, and which can't stand side by side."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.branch_patterns import can_cover_the_same, conflicts, covers, exactness, most_exact_first, sample_branch
from config.errors import ConfigError
from tests.unit.stack_files import config_with

# Few characters and short texts, so that branches and patterns meet often.
BRANCHES = st.text("ab/.", min_size=0, max_size=5)
PATTERNS = st.lists(st.sampled_from(["a", "b", "/", ".", "*", "**"]), min_size=1, max_size=6).map("".join).filter(lambda text: "***" not in text)


@pytest.mark.parametrize(
    ("pattern", "covered", "left_out"),
    [
        ("release/*", ["release/1.0", "release/", "release/a-b"], ["release", "release/1/2", "xrelease/1", "Release/1.0"]),
        ("release/**", ["release/1.0", "release/1/2"], ["release", "releases/1"]),
        ("*-fix", ["a-fix", "-fix"], ["a/b-fix", "a-fixed"]),
        ("**/fix", ["a/fix", "a/b/fix"], ["fix"]),
        ("v1.*", ["v1.0"], ["v1x0"]),
        ("a+b*", ["a+b", "a+bc"], ["aab", "ab"]),
    ],
)
def test_what_a_pattern_covers(pattern: str, covered: list[str], left_out: list[str]) -> None:
    assert [branch for branch in covered + left_out if covers(pattern, branch)] == covered


@given(PATTERNS.filter(lambda pattern: "**" not in pattern), BRANCHES.filter(lambda branch: "/" not in branch))
def test_without_slashes_a_star_is_the_shells(pattern: str, branch: str) -> None:
    assert covers(pattern, branch) == fnmatch.fnmatchcase(branch, pattern)


@given(PATTERNS)
def test_a_pattern_covers_its_sample(pattern: str) -> None:
    assert covers(pattern, sample_branch(pattern))


@given(PATTERNS, PATTERNS, BRANCHES)
def test_patterns_that_cover_one_branch_are_known_to_meet(first: str, second: str, branch: str) -> None:
    if covers(first, branch) and covers(second, branch):
        assert can_cover_the_same(first, second)


@given(st.text("ab/*", min_size=1, max_size=4).filter(lambda text: "***" not in text), st.text("ab/*", min_size=1, max_size=4))
def test_patterns_that_meet_have_a_branch_in_common(first: str, second: str) -> None:
    # A shortest common branch of two short patterns is short: all of them are tried.
    texts = [""]
    for text in texts:
        if len(text) < 6:
            texts += [text + character for character in "ab/"]
    if "***" not in second:
        assert can_cover_the_same(first, second) == any(covers(first, text) and covers(second, text) for text in texts)


@given(st.lists(PATTERNS, max_size=5, unique=True), BRANCHES)
def test_where_nothing_conflicts_one_pattern_is_the_most_exact(patterns: list[str], branch: str) -> None:
    if list(conflicts(patterns)):
        return
    covering = [pattern for pattern in patterns if covers(pattern, branch)]
    assert len({exactness(pattern) for pattern in covering}) == len(covering)
    assert most_exact_first(covering) == sorted(covering, key=exactness, reverse=True)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["release/*", "hotfix/*"], []),
        (["release/*", "release/**"], []),
        (["release/*", "release/1.*"], []),
        (["a*", "*a"], [("a*", "*a")]),
        (["a**", "**a"], [("a**", "**a")]),
        (["a/*/c", "a/b/*"], [("a/*/c", "a/b/*")]),
        (["a/*/c", "b/*/c"], []),
        (["*/a", "b*"], []),
        (["**/ab", "ab/**", "x"], [("**/ab", "ab/**")]),
    ],
)
def test_conflicts(patterns: list[str], expected: list[tuple[str, str]]) -> None:
    assert list(conflicts(patterns)) == expected


@pytest.mark.parametrize("pattern", ["*", "**", "a***b", "-*", "*.lock", "a//*", "refs/heads/*", "a*/", "a ?*", "release/[0-9]*"])
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"repos\[0\]\.branches\..*Remedy: "):
        config_with(repos=[{"owner": "a", "name": "b", "branches": {pattern: 1}}])


def test_patterns_in_conflict_are_refused_at_the_second() -> None:
    with pytest.raises(ConfigError) as raised:
        config_with(repos=[{"owner": "a", "name": "b", "branches": {"rel*": 1, "main": 3, "*rel": 2}}])
    (problem,) = raised.value.problems
    assert problem.startswith("coderun-workspaces:repos[0].branches.*rel: 'rel*' and '*rel' are equally exact")
    assert "Remedy: leave one of them" in problem

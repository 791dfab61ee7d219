"""Keys can be read back, so no two branches share one; and they depend on nothing but their three names."""

import re
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from config.repos import key_table
from config.semaphore_keys import MAX_KEY_LENGTH, KeyTooLongError, branch_key, decode, default_key
from tests.unit.stack_files import config_with

CONFIG_MAP_KEY = re.compile(r"[-._a-zA-Z0-9]+")
OWNERS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,10}", fullmatch=True)
REPOS = st.from_regex(r"[A-Za-z0-9._-]{1,10}", fullmatch=True).filter(lambda name: name not in {".", ".."} and not name.lower().endswith(".git"))
# Few different characters, so that near misses such as a-b/c and a/b-c come up.
BRANCHES = st.one_of(st.text("ab-/", min_size=1, max_size=8), st.text("-SHUXx1é日+@.", min_size=1, max_size=8), st.text(min_size=1, max_size=6))
PLAIN = st.text(string.ascii_lowercase + string.digits + "._", min_size=1, max_size=12)


def encodable(text: str) -> bool:
    return text.encode("utf-8", "ignore").decode() == text


@given(OWNERS, REPOS, BRANCHES.filter(encodable))
def test_a_branch_key_reads_back_as_its_names(owner: str, repo: str, branch: str) -> None:
    assert decode(branch_key(owner, repo, branch)) == (owner.lower(), repo.lower(), branch)


@given(OWNERS, REPOS)
def test_a_default_key_reads_back_as_its_names(owner: str, repo: str) -> None:
    assert decode(default_key(owner, repo)) == (owner.lower(), repo.lower(), None)


@given(OWNERS, REPOS, BRANCHES.filter(encodable))
def test_kubernetes_takes_every_key(owner: str, repo: str, branch: str) -> None:
    for key in (branch_key(owner, repo, branch), default_key(owner, repo)):
        assert CONFIG_MAP_KEY.fullmatch(key)
        assert not key.startswith("..")


@given(PLAIN, PLAIN, PLAIN)
def test_plain_names_give_the_formula_of_the_document(owner: str, repo: str, branch: str) -> None:
    assert branch_key(owner, repo, branch) == f"{owner}-{repo}-{branch}"


@given(OWNERS, REPOS, BRANCHES.filter(encodable))
def test_spelling_counts_for_branches_only(owner: str, repo: str, branch: str) -> None:
    assert branch_key(owner.upper(), repo.upper(), branch) == branch_key(owner, repo, branch)
    assume(branch.lower() != branch)
    assert branch_key(owner, repo, branch.lower()) != branch_key(owner, repo, branch)


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (("exampleorg", "sample", "main"), "exampleorg-sample-main"),
        (("a-b", "c", "main"), "a--b-c-main"),
        (("a", "b-c", "main"), "a-b--c-main"),
        (("a", "b", "release/1.0"), "a-b-releaseS1.0"),
        (("a", "b", "Main"), "a-b-Umain"),
        (("a", "-b-", "--x"), "a-HbH-HHx"),
        (("a", "b", "---"), "a-b-HHH"),
        (("a", "b", "x+é"), "a-b-xX2bXc3Xa9"),
        (("a", "b", "x--y"), "a-b-x----y"),
    ],
)
def test_keys_as_they_are_written(names: tuple[str, str, str], key: str) -> None:
    assert branch_key(*names) == key
    assert decode(key) == names


def test_a_default_key_is_never_a_branch_key() -> None:
    assert default_key("a", "b-main") == "a-b--main"
    assert branch_key("a", "b", "main") == "a-b-main"


@given(st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=6, unique=True), OWNERS, REPOS)
def test_adding_a_repo_moves_no_other_key(names: list[tuple[str, str]], owner: str, repo: str) -> None:
    listed = [(one, two) for one, two in names if one[0].isalnum() and len(one) < 39 and two not in {".", ".."} and not two.endswith(".git")]
    assume((owner.lower(), repo.lower()) not in {(one.lower(), two.lower()) for one, two in listed})
    repos = [{"owner": one, "name": two, "branches": {"main": 2}} for one, two in listed if "." not in one]
    before = key_table(config_with(repos=repos))
    after = key_table(config_with(repos=[{"owner": owner, "name": repo}, *repos]))
    assert after[1:] == before


def test_the_longest_key_fits_and_one_more_is_refused() -> None:
    branch = "b" * (MAX_KEY_LENGTH - len("a-b-"))
    assert len(branch_key("a", "b", branch)) == MAX_KEY_LENGTH
    with pytest.raises(KeyTooLongError, match="254 characters"):
        branch_key("a", "b", branch + "b")


@pytest.mark.parametrize("names", [("", "b", "c"), ("a", "", "c"), ("a", "b", "")])
def test_empty_names_are_refused(names: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="empty name"):
        branch_key(*names)


@pytest.mark.parametrize("text", ["", "a", "a-b-c-d", "a-b-C", "a-b-Xzz", "a-b-U1", "a--b", "a-b-", "-a-b", "a-b-X"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="semaphore key"):
        decode(text)

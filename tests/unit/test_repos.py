"""What runs read follows from the repo list."""

from typing import Any, Final

import pytest

from config.errors import ConfigError
from config.repos import key_table, repos_tsv, semaphore_limits
from tests.unit.stack_files import config_with

LIST: Final[list[dict[str, Any]]] = [
    {"owner": "ExampleOrg", "name": "Wide", "defaultLimit": 3, "paused": True},
    {"owner": "exampleorg", "name": "sample", "branches": {"main": 5, "a/b": 2}},
]


def test_the_file_of_repos() -> None:
    config = config_with(repos=LIST, credentials=[{"owner": "exampleorg", "githubApp": "rex", "secretName": "s"}])
    assert repos_tsv(config) == (
        "credential\texampleorg\trex\ts\n"
        "repo\tExampleOrg\tWide\tpaused\texampleorg-wide\n"
        "repo\texampleorg\tsample\tactive\texampleorg-sample\texampleorg-sample-aSb=a/b\texampleorg-sample-main=main\n"
    )


def test_repos_that_go_without_submodules_or_lfs_have_a_line_more() -> None:
    plain = repos_tsv(config_with(repos=LIST))
    listed = [{**LIST[0], "submodules": "empty"}, {**LIST[1], "lfs": "pointers"}]
    assert repos_tsv(config_with(repos=listed)) == (
        plain + "content\tExampleOrg\tWide\tempty\trefuse\ncontent\texampleorg\tsample\trefuse\tpointers\n"
    )


def test_the_file_does_not_depend_on_the_lists_order() -> None:
    assert repos_tsv(config_with(repos=LIST)) == repos_tsv(config_with(repos=LIST[::-1]))


def test_limits_are_texts_sorted_by_key() -> None:
    limits = semaphore_limits(config_with(repos=LIST))
    assert limits == {"exampleorg-sample": "1", "exampleorg-sample-aSb": "2", "exampleorg-sample-main": "5", "exampleorg-wide": "3"}
    assert list(limits) == sorted(limits)


def test_an_empty_list_gives_empty_data() -> None:
    assert (repos_tsv(config_with()), semaphore_limits(config_with())) == ("", {})


def test_ten_thousand_repos_fit() -> None:
    config = config_with(repos=[{"owner": "organisation", "name": f"repository-number-{number}"} for number in range(10_000)])
    assert len(semaphore_limits(config)) == len(key_table(config)) == 10_000
    assert repos_tsv(config).count("\n") == 10_000


def test_more_keys_than_a_config_map_holds_are_refused() -> None:
    branches = {f"{'b' * 200}{number}": 1 for number in range(100)}
    config = config_with(repos=[{"owner": "a", "name": f"r{number}", "branches": branches} for number in range(60)])
    with pytest.raises(ConfigError, match=r"coderun-workspaces:repos: .*workflow-semaphores.*Remedy: "):
        semaphore_limits(config)
    with pytest.raises(ConfigError, match=r"coderun-workspaces:repos: .*coderun-repos.*Remedy: "):
        repos_tsv(config)

"""What runs read follows from the repo list."""

import time
from pathlib import Path
from typing import Any, Final

import pytest

from components.render import render
from config.errors import ConfigError
from config.repos import key_of, key_table, repos_tsv, semaphore_limits
from config.stack_file import load_stack_file
from tests.unit.stack_files import config_with, write_stack_file

LARGE = [
    {"owner": f"organisation{number % 9}", "name": f"repository-number-{number}", "branches": {"main": 3} if number < 2000 else {}}
    for number in range(10_000)
]
"""Ten thousand repos, two thousand named branches."""

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


def test_patterns_follow_branches_the_most_exact_first() -> None:
    branches = {"release/*": 2, "main": 5, "release/**": 1, "release/1.*": 3, "dev": 1}
    config = config_with(repos=[{"owner": "a", "name": "b", "branches": branches}])
    named = "a-b-dev=dev\ta-b-main=main"
    patterns = "a-b-releaseS1.X2a=release/1.*\ta-b-releaseSX2a=release/*\ta-b-releaseSX2aX2a=release/**"
    assert repos_tsv(config) == f"repo\ta\tb\tactive\ta-b\t{named}\t{patterns}\n"
    assert [row.branch for row in key_table(config)] == ["*", "dev", "main", "release/1.*", "release/*", "release/**"]
    assert semaphore_limits(config)["a-b-releaseSX2a"] == "2"


@pytest.mark.parametrize(
    ("branch", "key"),
    [
        (None, "a-b"),
        ("main", "a-b-main"),
        ("Main", "a-b"),
        ("release/1.0", "a-b-releaseS1.X2a"),
        ("release/2.0", "a-b-releaseSX2a"),
        ("release/2.0/fix", "a-b-releaseSX2aX2a"),
        ("release/2.0/wip", "a-b-releaseS2.0Swip"),
        ("releases", "a-b"),
    ],
)
def test_the_most_exact_name_counts(branch: str | None, key: str) -> None:
    branches = {"main": 5, "release/*": 2, "release/**": 1, "release/1.*": 3, "release/2.0/wip": 1}
    (repo,) = config_with(repos=[{"owner": "a", "name": "b", "branches": branches}]).repos
    assert key_of(repo, branch) == key


def test_the_file_does_not_depend_on_the_lists_order() -> None:
    assert repos_tsv(config_with(repos=LIST)) == repos_tsv(config_with(repos=LIST[::-1]))


def test_limits_are_texts_sorted_by_key() -> None:
    limits = semaphore_limits(config_with(repos=LIST))
    assert limits == {"exampleorg-sample": "1", "exampleorg-sample-aSb": "2", "exampleorg-sample-main": "5", "exampleorg-wide": "3"}
    assert list(limits) == sorted(limits)


def test_an_empty_list_gives_empty_data() -> None:
    assert (repos_tsv(config_with()), semaphore_limits(config_with())) == ("", {})


def test_ten_thousand_repos_are_checked_and_rendered_in_seconds(tmp_path: Path) -> None:
    path = write_stack_file(tmp_path, repos=LARGE)
    started = time.process_time()
    config = load_stack_file(path)
    checked = time.process_time() - started
    files, _ = render(path)
    rendered = time.process_time() - started - checked
    assert (len(semaphore_limits(config)), len(key_table(config))) == (12_000, 12_000)
    assert repos_tsv(config).count("\n") == 10_000
    assert len([name for name in files if name.startswith("configmap-")]) == 2
    # Three to five times what 2 slow cores took: 0.8 s and 3.5 s.
    assert checked < 4
    assert rendered < 12


def test_more_keys_than_a_config_map_holds_are_refused() -> None:
    branches = {f"{'b' * 200}{number}": 1 for number in range(100)}
    config = config_with(repos=[{"owner": "a", "name": f"r{number}", "branches": branches} for number in range(60)])
    with pytest.raises(ConfigError, match=r"coderun-workspaces:repos: .*workflow-semaphores.*Remedy: "):
        semaphore_limits(config)
    with pytest.raises(ConfigError, match=r"coderun-workspaces:repos: .*coderun-repos.*Remedy: "):
        repos_tsv(config)


def test_keys_that_kubernetes_would_store_twice_are_counted_twice() -> None:
    # 900 KB of keys fit into a ConfigMap, and its object, with a note for each key, doesn't fit into etcd.
    branches = {f"{'b' * 180}{number}": 1 for number in range(100)}
    config = config_with(repos=[{"owner": "a", "name": f"r{number}", "branches": branches} for number in range(48)])
    with pytest.raises(ConfigError, match=r"workflow-semaphores would take 1\d{6} bytes, more than the 1540096 that Kubernetes allows"):
        semaphore_limits(config)

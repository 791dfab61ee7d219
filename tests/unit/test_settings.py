"""Wrong settings are refused, and the message names the key and the remedy."""

from typing import Any

import pytest

from config.errors import ConfigError
from config.stack_file import load_stack_file, parse
from tests.unit.stack_files import CREATED_CLASS, DEV, config_with

REPO: dict[str, Any] = {"owner": "exampleorg", "name": "sample"}
TOKEN = "ghp_in_clear"


def refusal(**settings: object) -> str:
    with pytest.raises(ConfigError) as raised:
        config_with(**settings)
    assert raised.value.problems
    for problem in raised.value.problems:
        assert problem.startswith("coderun-workspaces:")
        assert "Remedy: " in problem
    return "\n".join(raised.value.problems)


def test_defaults_are_those_of_the_documents() -> None:
    config = config_with()
    assert (config.namespace, config.parallelism) == ("argo", 5)
    assert (config.pod_security.uid, config.pod_security.gid) == (1000, 1000)
    assert config.storage.shared.protect is True
    assert config.storage.shared.claim_name == "coderun-shared"
    assert (config.storage.shared.size, config.storage.own.size) == ("20Gi", "10Gi")
    assert config.git.server == "https://github.com"
    assert config.sweeper.schedule == "*/5 * * * *"
    assert (config.keep_on_failure.enabled, config.keep_on_failure.days, config.keep_on_failure.max_size) == (True, 7, "100Mi")
    assert config.coderun.git_folder == "private"
    maintenance = config.git_maintenance
    assert (maintenance.schedule, maintenance.expire_days, maintenance.evict_above_percent) == ("17 3 * * *", 14, 80)
    assert config.deadlines.claim_seconds == 300
    assert (config.coderun.group, config.coderun.version, config.coderun.kind) == ("platform.example.io", "v1alpha1", "CodeRun")


def test_the_only_required_key_is_named_when_it_is_missing() -> None:
    with pytest.raises(ConfigError) as raised:
        parse("test", {})
    assert raised.value.problems == ("coderun-workspaces:images: field required. Remedy: add it",)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"paralelism": 3}, "coderun-workspaces:paralelism: there is no such setting. Remedy: did you mean 'parallelism'?"),
        ({"repos": [{**REPO, "default_limit": 2}]}, "repos[0].default_limit: there is no such setting. Remedy: did you mean 'defaultLimit'?"),
        ({"repos": [{**REPO, "filter": "blob:none"}]}, "repos[0].filter: blobless and treeless clones aren't supported. Remedy: remove it"),
        ({"repos": [{**REPO, "depth": 1}]}, "repos[0].depth: shallow clones aren't supported. Remedy: remove it"),
        (
            {"repos": [REPO, {**REPO, "name": "b", "sparse": True}]},
            "repos[1].sparse: sparse checkouts aren't supported as a setting. Remedy: remove it",
        ),
        ({"repos": [{**REPO, "sparseCheckout": ["src"]}]}, "repos[0].sparseCheckout: sparse checkouts aren't supported as a setting"),
        ({"repos": [{**REPO, "sparse_checkout": ["src"]}]}, "repos[0].sparse_checkout: sparse checkouts aren't supported as a setting"),
        ({"repos": [{**REPO, "partialClone": True}]}, "repos[0].partialClone: blobless and treeless clones aren't supported"),
        ({"filter": "blob:none"}, "coderun-workspaces:filter: there is no such setting"),
        ({"repos": [{**REPO, "submodules": "recursive"}]}, "repos[0].submodules: 'recursive' isn't one of the values allowed"),
        ({"repos": [{**REPO, "lfs": True}]}, "repos[0].lfs: True isn't one of the values allowed"),
        ({"coderun": {"gitFolder": "own"}}, "coderun.gitFolder: 'own' isn't one of the values allowed. Remedy: give 'private' or 'shared'"),
        ({"zzzz": 1}, "coderun-workspaces:zzzz: there is no such setting. Remedy: remove it"),
        ({"parallelism": 0}, "coderun-workspaces:parallelism: must be at least 1, is 0"),
        ({"parallelism": True}, "coderun-workspaces:parallelism: true and false aren't numbers"),
        ({"parallelism": "five"}, "coderun-workspaces:parallelism: "),
        ({"podSecurity": {"uid": 0}}, "coderun-workspaces:podSecurity.uid: must be at least 1"),
        ({"repos": [{**REPO, "defaultLimit": 0}]}, "repos[0].defaultLimit: must be at least 1, is 0"),
        ({"repos": [{**REPO, "branches": {"main": -1}}]}, "repos[0].branches.main: must be at least 1, is -1"),
        ({"repos": [{"owner": "a b", "name": "x"}]}, "repos[0].owner: 'a b' has a form that isn't allowed"),
        ({"repos": [{"owner": "a", "name": ".."}]}, "repos[0].name: '..' can't be a repo's name"),
        ({"repos": [{"owner": "a", "name": "x.git"}]}, "repos[0].name: 'x.git' can't be a repo's name"),
        ({"repos": [{"owner": "a", "name": "x\ty"}]}, "repos[0].name: "),
        ({"repos": [REPO, {"owner": "ExampleOrg", "name": "Sample"}]}, "repos[0]: the repo exampleorg/sample is listed more than once"),
        ({"repos": [REPO, {"owner": "ExampleOrg", "name": "Sample", "defaultLimit": 3}]}, "repos[1]: the repo exampleorg/sample is listed"),
        ({"repos": [REPO], "reposFile": 5}, "reposFile: "),
        ({"git": {"server": "https://user:secret@github.com"}}, "git.server: "),
        ({"git": {"server": "https://github.com/"}}, "git.server: "),
        ({"sweeper": {"schedule": "*/5 * * *"}}, "sweeper.schedule: '*/5 * * *' has a form that isn't allowed"),
        ({"sweeper": {"deadlineSeconds": 0}}, "sweeper.deadlineSeconds: must be at least 1, is 0"),
        ({"keepOnFailure": {"days": 0}}, "keepOnFailure.days: must be at least 1, is 0"),
        ({"keepOnFailure": {"maxSize": "100MB"}}, "keepOnFailure.maxSize: '100MB' has a form that isn't allowed"),
        ({"keepOnFailure": {"size": "1Mi"}}, "keepOnFailure.size: there is no such setting"),
        ({"namespace": "Argo"}, "coderun-workspaces:namespace: 'Argo' has a form"),
        (
            {"imagePullPolicy": "Sometimes"},
            "imagePullPolicy: 'Sometimes' isn't one of the values allowed. Remedy: give 'Always', 'IfNotPresent' or 'Never'",
        ),
        ({"storage": {"shared": {"accessMode": "ReadOnlyMany"}}}, "storage.shared.accessMode: "),
        ({"storage": {"shared": {"size": "0Gi"}}}, "storage.shared.size: "),
        (
            {"storage": {"shared": {"storageClass": CREATED_CLASS}, "own": {"storageClass": CREATED_CLASS}}},
            "storage: the StorageClass 'fast' is created twice",
        ),
        ({"gitMaintenance": {"schedule": "every night"}}, "gitMaintenance.schedule: 'every night' has a form"),
        ({"gitMaintenance": {"evictAbovePercent": 101}}, "gitMaintenance.evictAbovePercent: "),
        ({"gitMaintenance": {"expireDays": 0}}, "gitMaintenance.expireDays: must be at least 1, is 0"),
        ({"deadlines": {"claimSeconds": 0}}, "deadlines.claimSeconds: must be at least 1, is 0"),
        ({"coderun": {"spec": {"workspace": {}}}}, "coderun.spec: workspace is set by each run"),
        ({"coderun": {"spec": {"command": ["echo", "{{workflow.name}}"]}}}, "coderun.spec: it contains '{{'"),
        ({"coderun": {"failedPhases": ["Failed", "Succeeded"]}}, "coderun: Succeeded is in succeededPhases and in failedPhases"),
        ({"coderun": {"succeededPhases": []}}, "coderun.succeededPhases: "),
        ({"credentials": [{"owner": "a", "githubApp": "rex"}]}, "credentials[0]: exactly one of secretName and token"),
        (
            {"credentials": [{"owner": "a", "githubApp": "rex", "secretName": "s"}] * 2},
            "credentials: the pair of owner and githubApp a rex is listed",
        ),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], expected: str) -> None:
    assert expected in refusal(**settings)


@pytest.mark.parametrize(
    "branch", ["", "-x", "a..b", "a.lock", "a/.b", "/a", "a/", "a//b", "@", "a b", "x{{y", "refs/heads/main", "a\tb", "a~1", "é"]
)
def test_names_that_are_no_branch_are_refused(branch: str) -> None:
    assert f"repos[0].branches.{branch}: " in refusal(repos=[{**REPO, "branches": {branch: 1}}])


@pytest.mark.parametrize("branch", ["main", "release/1.0", "x-", "feature/a_b@c#1=2,3", "Main", "v1.0"])
def test_names_of_branches_are_taken(branch: str) -> None:
    assert config_with(repos=[{**REPO, "branches": {branch: 1}}]).repos[0].branches == {branch: 1}


def test_a_branch_whose_key_is_too_long_is_refused() -> None:
    assert "Remedy: remove the branch" in refusal(repos=[{**REPO, "branches": {"B" * 120: 1}}])


def test_every_problem_is_told_at_once() -> None:
    assert len(refusal(parallelism=0, repos=[{**REPO, "defaultLimit": 0}], nonsense=1).splitlines()) == 3


def test_a_token_in_clear_is_refused_and_not_repeated() -> None:
    text = refusal(credentials=[{"owner": "a", "githubApp": "rex", "token": TOKEN}])
    assert "credentials[0].token: a secret stands here in clear" in text
    assert TOKEN not in text


def test_a_made_secret_and_a_named_one_may_not_be_the_same() -> None:
    entries = [
        {"owner": "a", "githubApp": "rex", "token": {"secure": "v1:x"}},
        {"owner": "b", "githubApp": "rex", "secretName": "git-a.rex"},
    ]
    assert "the Secret git-a.rex is made for one entry and named by another" in refusal(credentials=entries)


def test_an_owner_that_names_no_secret_needs_a_secret_name() -> None:
    assert "Remedy: make a Secret yourself" in refusal(credentials=[{"owner": "a-", "githubApp": "rex", "token": {"secure": "v1:x"}}])


def test_numbers_may_be_texts_as_pulumi_writes_them() -> None:
    assert config_with(parallelism="7").parallelism == 7


@pytest.mark.parametrize("schedule", ["17 3 * * *", "*/5 * * * *", "0 4 1-7 * SUN", "@daily"])
def test_schedules_are_those_of_a_crontab(schedule: str) -> None:
    assert config_with(gitMaintenance={"schedule": schedule}).git_maintenance.schedule == schedule


def test_the_dev_stack_is_right() -> None:
    assert load_stack_file(DEV).storage.shared.protect is False

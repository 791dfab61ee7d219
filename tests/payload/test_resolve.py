"""resolve: what it takes, what it refuses, what it hands on."""

import base64
from pathlib import Path

import pytest

from tests.payload.steps import Bench, Outcome

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOS = """credential\texampleorg\treader\texampleorg-reader
credential\texampleorg\trex\texampleorg-rex
credential\tlonely\trex\tlonely-rex
repo\texampleorg\tsample\tactive\texampleorg-sample\texampleorg-sample-main=main\texampleorg-sample-UfixSX3d1=Xfix/=1
repo\tlonely\tonly\tactive\tlonely-only
repo\tOpen-Org\tSome.Repo_1\tactive\topen--org-some.repo_1\topen--org-some.repo_1-main=main
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench that needs no git server: resolve asks none."""
    made = Bench(tmp_path / "bench", "http://127.0.0.1:9")
    (made.folder / "repos.tsv").write_text(REPOS)
    return made


def variables(bench: Bench, **changes: str) -> dict[str, str]:
    """What the template sets: the parameters in base64, the rest as it is."""
    parameters = {
        "OWNER": "exampleorg",
        "REPO": "sample",
        "REF": "refs/heads/main",
        "BASE_REF": "",
        "TASK_ID": "",
        "PR_NUMBER": "",
        "GITHUB_APP": "",
        "USE_PVC": "false",
    }
    settings = {
        "WORKFLOW_NAME": "coderun-x7k2p",
        "DEFAULT_GITHUB_APP": "rex",
        "REPOS_FILE": str(bench.folder / "repos.tsv"),
        "OUTPUT_DIR": str(bench.folder / "resolved"),
        "PAUSE_POLL_SECONDS": "0.05",
        "PAUSE_TIMEOUT_SECONDS": "20",
    }
    given = parameters | {name: value for name, value in changes.items() if name in parameters}
    encoded = {f"{name}_B64": base64.b64encode(value.encode()).decode() for name, value in given.items()}
    return encoded | settings | {name: value for name, value in changes.items() if name not in parameters}


def resolve(bench: Bench, **changes: str) -> Outcome:
    """Runs the step."""
    return bench.run("resolve", 1, **variables(bench, **changes))


def outputs(bench: Bench) -> dict[str, str]:
    """The files it wrote."""
    return {path.name: path.read_text() for path in (bench.folder / "resolved").iterdir()}


def test_hands_on_everything_by_default(bench: Bench) -> None:
    resolve(bench).assert_succeeded()
    assert outputs(bench) == {
        "owner": "exampleorg",
        "repo": "sample",
        "ref": "refs/heads/main",
        "task-id": "coderun-x7k2p",
        "key": "exampleorg-sample-main",
        "mode": "shared",
        "credentials-secret": "exampleorg-rex",
        "github-app": "rex",
    }


@pytest.mark.parametrize(
    ("ref", "base_ref", "expected_ref", "key"),
    [
        ("", "", "refs/heads/main", "exampleorg-sample-main"),
        ("main", "", "refs/heads/main", "exampleorg-sample-main"),
        ("Main", "", "refs/heads/Main", "exampleorg-sample"),
        ("Xfix/=1", "", "refs/heads/Xfix/=1", "exampleorg-sample-UfixSX3d1"),
        ("feature/a+b@c#1,2", "", "refs/heads/feature/a+b@c#1,2", "exampleorg-sample"),
        ("refs/heads/refs/heads/main", "", "refs/heads/refs/heads/main", "exampleorg-sample"),
        ("refs/tags/v1.0", "", "refs/tags/v1.0", "exampleorg-sample"),
        ("refs/tags/main", "", "refs/tags/main", "exampleorg-sample"),
        ("refs/pull/7/head", "", "refs/pull/7/head", "exampleorg-sample"),
        ("refs/pull/7/merge", "refs/heads/main", "refs/pull/7/merge", "exampleorg-sample-main"),
        ("refs/pull/7/head", "main", "refs/pull/7/head", "exampleorg-sample-main"),
        (COMMIT.upper(), "", COMMIT, "exampleorg-sample"),
        (COMMIT, "main", COMMIT, "exampleorg-sample-main"),
    ],
)
def test_refs_and_their_keys(bench: Bench, ref: str, base_ref: str, expected_ref: str, key: str) -> None:
    resolve(bench, REF=ref, BASE_REF=base_ref).assert_succeeded()
    assert (outputs(bench)["ref"], outputs(bench)["key"]) == (expected_ref, key)


def test_names_are_matched_whatever_their_case_and_spelt_as_in_the_list(bench: Bench) -> None:
    resolve(bench, OWNER="OPEN-org", REPO="some.REPO_1").assert_succeeded()
    assert (outputs(bench)["owner"], outputs(bench)["repo"], outputs(bench)["key"]) == ("Open-Org", "Some.Repo_1", "open--org-some.repo_1-main")


@pytest.mark.parametrize(
    ("task", "number", "workflow", "expected"),
    [
        ("my.task_1-x", "7", "coderun-x7k2p", "my.task_1-x"),
        ("", "7", "coderun-x7k2p", "pr-7-coderun-x7k2p"),
        ("", "", "coderun-x7k2p", "coderun-x7k2p"),
        ("", "4711", "a" * 50 + "-tail-x7k2p", "pr-4711-" + "a" * 44 + "-tail-x7k2p"),
        ("x" * 63, "", "coderun-x7k2p", "x" * 63),
    ],
)
def test_task_ids(bench: Bench, task: str, number: str, workflow: str, expected: str) -> None:
    resolve(bench, TASK_ID=task, PR_NUMBER=number, WORKFLOW_NAME=workflow).assert_succeeded()
    assert outputs(bench)["task-id"] == expected


@pytest.mark.parametrize(("use_pvc", "mode"), [("true", "claim"), ("false", "shared"), ("", "shared")])
def test_modes(bench: Bench, use_pvc: str, mode: str) -> None:
    resolve(bench, USE_PVC=use_pvc).assert_succeeded()
    assert outputs(bench)["mode"] == mode


@pytest.mark.parametrize(
    ("owner", "repo", "app", "default", "secret", "expected_app"),
    [
        ("exampleorg", "sample", "reader", "rex", "exampleorg-reader", "reader"),
        ("lonely", "only", "", "other", "lonely-rex", "rex"),
        ("Open-Org", "Some.Repo_1", "anything", "rex", "coderun-no-credentials", "anything"),
        ("Open-Org", "Some.Repo_1", "", "", "coderun-no-credentials", ""),
    ],
)
def test_credentials(bench: Bench, owner: str, repo: str, app: str, default: str, secret: str, expected_app: str) -> None:
    resolve(bench, OWNER=owner, REPO=repo, GITHUB_APP=app, DEFAULT_GITHUB_APP=default).assert_succeeded()
    assert (outputs(bench)["credentials-secret"], outputs(bench)["github-app"]) == (secret, expected_app)


EVIL = [
    "$(touch marker)",
    "main\ntouch marker",
    "main\n",
    "../../etc",
    "--upload-pack=touch marker",
    "{{=1+1}}",
    "{{=1+",
    "'\"; touch marker; '\"",
    "\x1b[31mred",
    "y" * 5000,
]
EVIL_REFS = [
    "`touch marker`",
    "main;touch marker",
    "\nmain",
    "main\ttouch",
    "main touch",
    "a..b",
    "-x",
    "{{workflow.name}}",
    "x|touch marker",
    "x*",
    "x?",
    "x[a]",
    "x\\y",
    "x~1",
    "x^",
    "x:y",
    "@{-1}",
    "x.lock",
    "naïve",
    "\uffff",
]
PARAMETERS = ["owner", "repo", "ref", "baseRef", "taskId", "prNumber", "github-app", "usePVC"]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [(parameter, value) for parameter in PARAMETERS for value in EVIL] + [("ref", value) for value in EVIL_REFS],
)
def test_evil_values_are_refused_by_name_and_make_nothing(bench: Bench, parameter: str, value: str) -> None:
    variable = {"baseRef": "BASE_REF", "taskId": "TASK_ID", "prNumber": "PR_NUMBER", "github-app": "GITHUB_APP", "usePVC": "USE_PVC"}
    before = sorted(bench.folder.rglob("*"))
    refused = resolve(bench, **{variable.get(parameter, parameter.upper()): value})
    # Some of these are well-formed names of what doesn't exist; the refusal is the same to the one who submits.
    refused.assert_refused(f"parameter {parameter}: ")
    assert refused.message.isascii()
    assert refused.message.removesuffix("\n").isprintable()
    assert len(refused.message) < 600
    made = [path for path in sorted(bench.folder.rglob("*")) if path not in before and "out/" not in str(path) and "scripts" not in str(path)]
    assert made == []


@pytest.mark.parametrize(
    ("parameter", "variable", "value"),
    [
        ("owner", "OWNER", ""),
        ("repo", "REPO", ""),
        ("repo", "REPO", ".."),
        ("repo", "REPO", "."),
        ("owner", "OWNER", "a" * 40),
        ("owner", "OWNER", "unknown"),
        ("repo", "REPO", "unknown"),
        ("ref", "REF", "refs/heads/"),
        ("ref", "REF", "refs/notes/x"),
        ("ref", "REF", "refs/pull/x/head"),
        ("ref", "REF", "refs/pull//head"),
        ("ref", "REF", "refs/pull/1/2/head"),
        ("ref", "REF", "refs/heads/-x"),
        ("ref", "REF", "a//b"),
        ("ref", "REF", "/a"),
        ("ref", "REF", "a/.b"),
        ("ref", "REF", "a."),
        ("taskId", "TASK_ID", ".x"),
        ("taskId", "TASK_ID", "x."),
        ("taskId", "TASK_ID", "x/y"),
        ("taskId", "TASK_ID", "x" * 64),
        ("prNumber", "PR_NUMBER", "12345678901"),
        ("usePVC", "USE_PVC", "True"),
        ("github-app", "GITHUB_APP", "nosuch"),
        ("github-app", "GITHUB_APP", "Rex"),
    ],
)
def test_refusals(bench: Bench, parameter: str, variable: str, value: str) -> None:
    resolve(bench, **{variable: value}).assert_refused(f"parameter {parameter}: ")
    assert not (bench.folder / "resolved").exists()


def test_the_refusal_of_an_app_names_those_that_there_are(bench: Bench) -> None:
    resolve(bench, GITHUB_APP="nosuch").assert_refused("'nosuch'", "exampleorg", "reader, rex")


def test_a_repository_without_its_list_is_the_stacks_fault(bench: Bench) -> None:
    resolve(bench, REPOS_FILE="/nowhere/repos.tsv").assert_refused("coderun-repos", "pulumi up")


def test_waits_while_paused_and_then_takes_the_newest_key(bench: Bench) -> None:
    repos = bench.folder / "repos.tsv"
    repos.write_text(REPOS.replace("sample\tactive", "sample\tpaused"))
    waiting = bench.start("resolve", 1, **variables(bench))
    assert waiting.process.stdout is not None
    assert "is paused" in waiting.process.stdout.readline()
    assert not (bench.folder / "resolved").exists()
    fresh = repos.with_suffix(".new")
    fresh.write_text(REPOS.replace("exampleorg-sample-main", "another-key"))
    fresh.replace(repos)
    waiting.outcome().assert_succeeded()
    assert outputs(bench)["key"] == "another-key"


def test_a_pause_that_outlasts_patience_is_a_refusal(bench: Bench) -> None:
    (bench.folder / "repos.tsv").write_text(REPOS.replace("sample\tactive", "sample\tpaused"))
    resolve(bench, PAUSE_TIMEOUT_SECONDS="0").assert_refused("parameter repo: ", "paused")


def test_a_repository_taken_off_the_list_during_a_pause_is_refused(bench: Bench) -> None:
    repos = bench.folder / "repos.tsv"
    repos.write_text(REPOS.replace("sample\tactive", "sample\tpaused"))
    waiting = bench.start("resolve", 1, **variables(bench))
    assert waiting.process.stdout is not None
    assert "is paused" in waiting.process.stdout.readline()
    fresh = repos.with_suffix(".new")
    fresh.write_text("repo\texampleorg\tother\tactive\texampleorg-other\n")
    fresh.replace(repos)
    waiting.outcome().assert_refused("parameter repo: ", "not in the stack's list")

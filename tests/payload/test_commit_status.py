"""A pull request shows how its run fares: told to an API that answers as GitHub's does, and never at the run's expense."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.fixtures.git_server.repositories import git
from tests.fixtures.github_api import GitHubApi
from tests.payload.steps import Bench, Outcome, uid

TOKEN = "ghs_notARealStatusToken0123456789"
HEAD = "0123456789abcdef0123456789abcdef01234567"
REPOS = "repo\texampleorg\tsample\tactive\texampleorg-sample\texampleorg-sample-main=main\n"
POOL = urllib3.PoolManager(retries=False)


@pytest.fixture
def api() -> Iterator[GitHubApi]:
    """The API."""
    with GitHubApi(TOKEN) as running:
        yield running


def posted(api: GitHubApi) -> list[dict[str, Any]]:
    """What was sent, with the path's commit."""
    requests = json.loads(POOL.request("GET", f"{api.url}/_control/requests").data)["requests"]
    return [{"commit": one["path"].rpartition("/")[2], "answer": one["status"], **(one["body"] or {})} for one in requests]


def status_variables(bench: Bench, api: GitHubApi, **changes: str) -> dict[str, str]:
    """What the template sets for commit statuses."""
    token = bench.folder / "status-token"
    token.write_text(f"{TOKEN}\n")
    return {
        "ENTRYPOINT": "coderun-event",
        "STATUS_API": api.url,
        "STATUS_CONTEXT": "coderun",
        "STATUS_TOKEN_FILE": str(token),
        "STATUS_LINK": "https://argo.example.com/workflows/argo/run-1",
        **changes,
    }


def resolve(bench: Bench, variables: dict[str, str], **parameters: str) -> Outcome:
    """Runs resolve for an event's run."""
    repos = bench.folder / "repos.tsv"
    repos.write_text(parameters.pop("repos", REPOS))
    given = {
        "OWNER": "exampleorg",
        "REPO": "sample",
        "REF": "refs/pull/7/head",
        "BASE_REF": "refs/heads/main",
        "TASK_ID": "",
        "PR_NUMBER": "7",
        "GITHUB_APP": "",
        "USE_PVC": "",
        "HEAD_COMMIT": HEAD,
        **parameters,
    }
    encoded = {f"{name}_B64": base64.b64encode(value.encode()).decode() for name, value in given.items()}
    settings = {"REPOS_FILE": str(repos), "OUTPUT_DIR": str(bench.folder / "resolved"), "PAUSE_POLL_SECONDS": "0.05", "PAUSE_TIMEOUT_SECONDS": "1"}
    return bench.run("resolve", 1, **encoded, **settings, **variables)


def test_a_run_that_queues_is_pending_at_the_commit_of_the_event(bench: Bench, api: GitHubApi) -> None:
    done = resolve(bench, status_variables(bench, api))
    done.assert_succeeded()
    assert posted(api) == [
        {
            "commit": HEAD,
            "answer": 201,
            "state": "pending",
            "context": "coderun",
            "description": "queued: waits for its turn on exampleorg-sample-main",
            "target_url": "https://argo.example.com/workflows/argo/run-1",
        }
    ]
    assert TOKEN not in done.output + done.errors


def test_a_paused_repository_is_told(bench: Bench, api: GitHubApi) -> None:
    resolve(bench, status_variables(bench, api, STATUS_LINK=""), repos=REPOS.replace("active", "paused")).assert_refused("paused")
    (one,) = posted(api)
    assert one["description"] == "waits: exampleorg/sample is paused"
    assert "target_url" not in one


def test_a_run_that_starts_is_pending_at_the_commit_that_it_works_on(bench: Bench, api: GitHubApi, upstream: Path) -> None:
    done = bench.init(1, REF="refs/pull/7/head", **status_variables(bench, api))
    done.assert_succeeded()
    (one,) = posted(api)
    commit = git(upstream, "rev-parse", "refs/pull/7/head")
    assert (one["commit"], one["state"], one["description"]) == (commit, "pending", "running: the agent is started")
    assert TOKEN not in done.output + done.errors


def put_run(bench: Bench, *, commit: str = "", shutdown: str = "", message: str = "", node: str = "create-coderun") -> None:
    """Adds the run's Workflow as it is when its cleanup runs."""
    parameters = [{"name": "owner", "value": "exampleorg"}, {"name": "repo", "value": "sample"}, {"name": "headCommit", "value": HEAD}]
    nodes = {"a": {"type": "Pod", "phase": "Failed", "displayName": node, "startedAt": "1", "message": message}} if message else {}
    status: dict[str, Any] = {"phase": "Running", "nodes": nodes}
    if commit:
        status["outputs"] = {"parameters": [{"name": "semaphore-key", "value": "k"}, {"name": "commit", "value": commit}]}
    bench.cluster.put("workflows", "run-1", uid=uid(1), spec={"shutdown": shutdown, "arguments": {"parameters": parameters}}, status=status)


@pytest.mark.parametrize(
    ("outcome", "run", "expected"),
    [
        ("Succeeded", {"commit": "f" * 40}, ("f" * 40, "success", "the agent has ended and succeeded")),
        (
            "Failed",
            {"commit": "f" * 40, "message": 'Error (exit code 1): CodeRun run-1 ended as Failed: "3" tests \\ fail'},
            ("f" * 40, "failure", 'CodeRun run-1 ended as Failed: "3" tests \\ fail'),
        ),
        ("Failed", {"message": "Error (exit code 1): parameter baseRef: no"}, (HEAD, "failure", "parameter baseRef: no")),
        ("Failed", {"message": "Error (exit code 1): superseded: run run-2 is newer"}, (HEAD, "error", "superseded: run run-2 is newer")),
        ("Failed", {"shutdown": "Stop", "message": "workflow shutdown with strategy: Stop"}, (HEAD, "error", "the run was stopped")),
        ("Error", {}, (HEAD, "failure", "the run failed; see workflow run-1")),
        ("Failed", {"message": "x" * 300}, (HEAD, "failure", "x" * 140)),
    ],
)
def test_the_end_of_a_run_and_why(bench: Bench, api: GitHubApi, outcome: str, run: dict[str, str], expected: tuple[str, str, str]) -> None:
    put_run(bench, **run)
    done = bench.cleanup(1, WORKFLOW_STATUS=outcome, **status_variables(bench, api))
    done.assert_succeeded()
    (one,) = posted(api)
    assert (one["commit"], one["state"], one["description"], one["answer"]) == (*expected, 201)
    assert TOKEN not in done.output + done.errors


@pytest.mark.parametrize("changes", [{"ENTRYPOINT": "coderun-main"}, {"ENTRYPOINT": ""}, {"STATUS_API": ""}, {"STATUS_TOKEN_FILE": "/nowhere"}])
def test_where_nothing_is_to_be_told_nothing_is(bench: Bench, api: GitHubApi, changes: dict[str, str]) -> None:
    put_run(bench, commit="f" * 40)
    resolve(bench, status_variables(bench, api, **changes)).assert_succeeded()
    bench.cleanup(1, WORKFLOW_STATUS="Succeeded", **status_variables(bench, api, **changes)).assert_succeeded()
    assert posted(api) == []


@pytest.mark.parametrize("fault", [500, 401, 404])
def test_a_run_does_not_fail_with_the_api(bench: Bench, api: GitHubApi, fault: int) -> None:
    POOL.request("PUT", f"{api.url}/_control/fault", body=json.dumps({"status": fault}))
    put_run(bench, commit="f" * 40)
    for done in (resolve(bench, status_variables(bench, api)), bench.cleanup(1, WORKFLOW_STATUS="Succeeded", **status_variables(bench, api))):
        done.assert_succeeded()
        assert f"(answer {fault}: " in done.output
        assert "Remedy: " in done.output
        assert TOKEN not in done.output + done.errors


def test_nor_when_nobody_answers(bench: Bench, api: GitHubApi) -> None:
    done = resolve(bench, status_variables(bench, api, STATUS_API="http://127.0.0.1:9"))
    done.assert_succeeded()
    assert "(answer 000" in done.output


def test_a_commit_that_is_none_is_sent_nowhere(bench: Bench, api: GitHubApi) -> None:
    resolve(bench, status_variables(bench, api), HEAD_COMMIT="../../user").assert_succeeded()
    assert posted(api) == []


def test_the_token_is_on_no_command_line(bench: Bench, api: GitHubApi, tmp_path: Path) -> None:
    seen = tmp_path / "arguments"
    tools = tmp_path / "tools"
    tools.mkdir()
    spy = tools / "curl"
    spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{seen}\nenv >>{seen}\nexec /usr/bin/curl "$@"\n')
    spy.chmod(0o755)
    environment = bench.environment("resolve", 1)
    resolve(bench, status_variables(bench, api, PATH=f"{tools}:{environment['PATH']}")).assert_succeeded()
    assert posted(api)[0]["answer"] == 201
    assert seen.read_text()
    assert TOKEN not in seen.read_text()

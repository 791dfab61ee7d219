"""The fake GitHub API: what it takes, what it refuses as GitHub does, and what it keeps for the test."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
import urllib3

from tests.fixtures.github_api import GitHubApi

TOKEN = "a-token"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
STATUSES = f"/repos/exampleorg/sample/statuses/{COMMIT}"
POOL = urllib3.PoolManager(retries=False)


@pytest.fixture
def api() -> Iterator[GitHubApi]:
    with GitHubApi(TOKEN) as running:
        yield running


def ask(api: GitHubApi, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    sent = {"User-Agent": "test", "Authorization": f"Bearer {TOKEN}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    answer = POOL.request(method, api.url + path, body=None if body is None else json.dumps(body), headers=sent)
    return answer.status, json.loads(answer.data) if answer.data else None


def requests(api: GitHubApi) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(api, "GET", "/_control/requests")[1]["requests"]
    return found


def test_a_status_is_taken_and_kept(api: GitHubApi) -> None:
    body = {"state": "pending", "context": "coderun", "description": "queued", "target_url": "https://argo.example.org/x"}
    status, answer = ask(api, "POST", STATUSES, body)
    assert status == HTTPStatus.CREATED
    assert {key: answer[key] for key in body} == body
    (kept,) = requests(api)
    assert (kept["method"], kept["path"], kept["body"], kept["status"]) == ("POST", STATUSES, body, HTTPStatus.CREATED)


def test_the_page_of_a_pull_request_shows_the_latest_status_of_each_context(api: GitHubApi) -> None:
    for context, state in (("a", "pending"), ("b", "success"), ("a", "failure"), ("a", "success")):
        ask(api, "POST", STATUSES, {"state": state, "context": context})
    combined = ask(api, "GET", f"/repos/ExampleOrg/Sample/commits/{COMMIT}/status")[1]
    assert (combined["state"], combined["total_count"]) == ("success", 2)
    assert [status["state"] for status in ask(api, "GET", f"/repos/exampleorg/sample/commits/{COMMIT}/statuses")[1]] == [
        "success",
        "failure",
        "success",
        "pending",
    ]


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", TOKEN, f"Basic {TOKEN}", "Bearer "])
def test_without_the_token_nothing_is_taken(api: GitHubApi, authorization: str) -> None:
    status, answer = ask(api, "POST", STATUSES, {"state": "pending"}, Authorization=authorization)
    assert (status, answer) == (HTTPStatus.UNAUTHORIZED, {"message": "Bad credentials"})
    assert ask(api, "GET", f"/repos/exampleorg/sample/commits/{COMMIT}/statuses")[1] == []
    assert [kept["status"] for kept in requests(api)] == [HTTPStatus.UNAUTHORIZED, HTTPStatus.OK]


def test_the_old_way_to_send_a_token_is_taken_too(api: GitHubApi) -> None:
    assert ask(api, "POST", f"/api/v3{STATUSES}", {"state": "error"}, Authorization=f"token {TOKEN}")[0] == HTTPStatus.CREATED


def test_tokens_are_not_kept(api: GitHubApi) -> None:
    ask(api, "POST", STATUSES, {"state": "pending"})
    assert TOKEN not in json.dumps(requests(api))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (STATUSES, {"state": "running"}),
        (STATUSES, {}),
        (STATUSES, {"state": "pending", "description": "x" * 141}),
        (STATUSES, {"state": "pending", "target_url": "ftp://example.org"}),
        ("/repos/exampleorg/sample/statuses/main", {"state": "pending"}),
    ],
)
def test_what_github_refuses_is_refused(api: GitHubApi, path: str, body: object) -> None:
    assert ask(api, "POST", path, body)[0] == HTTPStatus.UNPROCESSABLE_ENTITY


def test_other_paths_are_not_found_and_kept(api: GitHubApi) -> None:
    assert ask(api, "DELETE", "/repos/exampleorg/sample")[0] == HTTPStatus.NOT_FOUND
    assert [kept["method"] for kept in requests(api)] == ["DELETE"]


def test_a_hook_is_made_once_shown_without_its_secret_and_removed(api: GitHubApi) -> None:
    hooks = "/api/v3/repos/exampleorg/sample/hooks"
    body = {"events": ["pull_request"], "config": {"url": "https://hooks.example.org/github", "secret": "s3cret"}}
    assert ask(api, "POST", hooks, body)[0] == HTTPStatus.CREATED
    assert ask(api, "POST", hooks, body)[0] == HTTPStatus.UNPROCESSABLE_ENTITY
    (hook,) = ask(api, "GET", hooks)[1]
    assert (hook["events"], hook["config"]["secret"]) == (["pull_request"], "********")
    assert ask(api, "DELETE", f"{hooks}/{hook['id']}")[0] == HTTPStatus.NO_CONTENT
    assert ask(api, "GET", hooks)[1] == []


def test_a_fault_lasts_until_it_is_ended(api: GitHubApi) -> None:
    ask(api, "PUT", "/_control/fault", {"status": 503})
    assert ask(api, "POST", STATUSES, {"state": "pending"})[0] == HTTPStatus.SERVICE_UNAVAILABLE
    ask(api, "PUT", "/_control/fault", {})
    assert ask(api, "POST", STATUSES, {"state": "pending"})[0] == HTTPStatus.CREATED


def test_a_test_may_begin_anew(api: GitHubApi) -> None:
    ask(api, "POST", STATUSES, {"state": "pending"})
    ask(api, "DELETE", "/_control")
    assert requests(api) == []
    assert ask(api, "GET", f"/repos/exampleorg/sample/commits/{COMMIT}/statuses")[1] == []

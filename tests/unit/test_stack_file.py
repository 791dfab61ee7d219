"""A stack file is read as the engine reads it."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.stack_file import load_stack_file, stack_name
from tests.unit.stack_files import write_stack_file

HEAD = "config:\n  coderun-workspaces:images: {workspace: x}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "Pulumi.test.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_keys_of_others_are_left_alone(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "  pulumi:disable-default-providers: [kubernetes]\n  other:key: 1\n")
    assert load_stack_file(path).images.workspace == "x"


def test_a_branch_called_on_is_a_text(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "  coderun-workspaces:repos: [{owner: a, name: no, branches: {on: 2}}]\n")
    repo = load_stack_file(path).repos[0]
    assert (repo.name, dict(repo.branches)) == ("no", {"on": 2})


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "  coderun-workspaces:repos:\n  - {owner: a, name: b, branches: {main: 1, main: 2}}\n")
    with pytest.raises(ConfigError, match="the key 'main' is given twice"):
        load_stack_file(path)


@pytest.mark.parametrize("text", ["", "[]", "config: 1", "nothing: {}"])
def test_what_is_no_stack_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="has no mapping 'config'"):
        load_stack_file(written(tmp_path, text))


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        load_stack_file(path)
    return raised.value.problems


def test_faults_are_told_with_file_and_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        HEAD
        + """  coderun-workspaces:paralelism: 3
  coderun-workspaces:repos:
    - owner: a
      name: b
      branches:
        main: 0
        a..b: 1
    - {owner: A, nam: x}
""",
    )
    told = problems(path)
    for expected in (
        f"{path}:3: coderun-workspaces:paralelism: there is no such setting. Remedy: did you mean 'parallelism'?",
        f"{path}:8: coderun-workspaces:repos[0].branches.main: must be at least 1, is 0. Remedy: give 1 or more",
        f"{path}:10: coderun-workspaces:repos[1].name: field required. Remedy: add it",
        f"{path}:10: coderun-workspaces:repos[1].nam: there is no such setting. Remedy: did you mean 'name'?",
    ):
        assert expected in told
    assert len(told) == 4


def test_wrong_branches_and_twins_are_told_where_they_stand(tmp_path: Path) -> None:
    repos = "    - {owner: a, name: b}\n    - owner: A\n      name: B\n      branches:\n"
    path = written(tmp_path, f"{HEAD}  coderun-workspaces:repos:\n{repos}        ok: 1\n")
    assert [problem.partition(" ")[0] for problem in problems(path)] == [f"{path}:4:", f"{path}:5:"]
    path = written(tmp_path, f"{HEAD}  coderun-workspaces:repos:\n{repos}        a..b: 1\n        rel*: 1\n        '*.lock': 2\n")
    assert [problem.partition(" ")[0] for problem in problems(path)] == [f"{path}:8:", f"{path}:10:"]


def test_the_repos_may_be_in_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "repos.yaml").write_text("- owner: a\n  name: on\n- {owner: b, name: c, defaultLimit: 2}\n", encoding="utf-8")
    path = written(tmp_path, HEAD + "  coderun-workspaces:reposFile: lists/repos.yaml\n")
    assert [(repo.owner, repo.name, repo.default_limit) for repo in load_stack_file(path).repos] == [("a", "on", 1), ("b", "c", 2)]


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("- owner: a\n  name: b\n  branches: {main: 0}\n", 3, "coderun-workspaces:repos[0].branches.main: must be at least 1"),
        ("- owner: a\n  name: b\n# again\n- name: B\n  owner: A\n", 4, "repos[1]: the repo a/b is listed more than once"),
        ("- owner: a\n  name: b\n  branches:\n    rel*: 1\n    '*rel': 1\n", 5, "'rel*' and '*rel' are equally exact"),
        ("- owner: a\n  name: b\n  owner: c\n", 3, "the key 'owner' is given twice"),
        ("- owner: a\n  nam: b\n", 2, "repos[0].nam: there is no such setting. Remedy: did you mean 'name'?"),
        ("- owner: a\n  name: b\n- just text\n", 3, "repos[1]: "),
        ("repos: []\n", 1, "isn't a list"),
        ("- {owner: a\n", 2, "isn't YAML"),
    ],
)
def test_faults_of_that_file_are_told_with_their_line(tmp_path: Path, text: str, line: int, fault: str) -> None:
    repos = tmp_path / "repos.yaml"
    repos.write_text(text, encoding="utf-8")
    told = problems(written(tmp_path, HEAD + "  coderun-workspaces:reposFile: repos.yaml\n"))
    assert any(problem.startswith(f"{repos}:{line}: ") and fault in problem and "Remedy: " in problem for problem in told), told


def test_two_lists_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "  coderun-workspaces:reposFile: repos.yaml\n")
    assert "correct coderun-workspaces:reposFile" in problems(path)[0]
    path = written(tmp_path, HEAD + "  coderun-workspaces:reposFile: repos.yaml\n  coderun-workspaces:repos: []\n")
    assert "there is a list under coderun-workspaces:repos too" in problems(path)[0]


def test_broken_yaml_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="isn't YAML"):
        load_stack_file(written(tmp_path, "config: {"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be read.*Remedy: name a stack file"):
        load_stack_file(tmp_path / "Pulumi.none.yaml")


def test_the_stack_has_its_files_name(tmp_path: Path) -> None:
    assert stack_name(write_stack_file(tmp_path, "prod-1")) == "prod-1"
    with pytest.raises(ConfigError, match="doesn't tell the stack"):
        stack_name(tmp_path / "stack.yaml")

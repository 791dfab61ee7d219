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

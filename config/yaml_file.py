"""Reads YAML as the engine does, and remembers on which line everything stands."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from config.errors import ConfigError


class _Loader(yaml.CSafeLoader):
    """Takes only true and false for truth values, and a key once in a mapping, as the engine does.

    PyYAML follows YAML 1.1, where a branch called ``on`` is true, and lets the last of two equal keys win.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_BOOL_TAG: Final = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$") if tag == _BOOL_TAG else pattern) for tag, pattern in resolvers]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class YamlFile:
    """A file that was read.

    Attributes:
        path: Where it is.
        text: What it says, unread.
        content: What it says: mappings, lists, texts, numbers, truth values, None.
    """

    path: Path
    text: str
    content: Any

    def place(self, location: Iterable[int | str]) -> str | None:
        """Say where something stands, as ``file:line``; None if it isn't in the file.

        Args:
            location: Keys and positions from the top, for example ``("config", "x:repos", 3, "name")``. What lacks the last
                of them stands where the rest of them is.
        """
        steps = list(location)
        node = yaml.compose(self.text, Loader=_Loader)
        line: int | None = None
        for position, step in enumerate(steps):
            found = _child(node, step)
            if found is None:
                return f"{self.path}:{line}" if line is not None and position == len(steps) - 1 else None
            line, node = found
        return f"{self.path}:{line}" if line is not None else None


def _child(node: yaml.Node | None, step: int | str) -> tuple[int, yaml.Node] | None:
    match node, step:
        case yaml.MappingNode(), _:
            for key, value in node.value:
                if key.value == str(step):
                    return key.start_mark.line + 1, value
        case yaml.SequenceNode(), int() if step < len(node.value):
            return node.value[step].start_mark.line + 1, node.value[step]
    return None


def read_yaml(path: Path, remedy: str) -> YamlFile:
    """Read a file.

    Args:
        path: Where it is.
        remedy: What to do when there is no such file.

    Raises:
        ConfigError: The file can't be read, or isn't YAML; it names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return YamlFile(path, text, yaml.load(text, Loader=_Loader))  # noqa: S506 - a safe loader
    except OSError as error:
        raise ConfigError(str(path), [f"{path}: can't be read: {error.strerror}. Remedy: {remedy}"]) from error
    except yaml.constructor.ConstructorError as error:
        raise ConfigError(str(path), [f"{_line(path, error)}: {error.problem}. Remedy: correct that line"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        fault = error.problem if isinstance(error, yaml.MarkedYAMLError) else " ".join(str(error).split())
        raise ConfigError(str(path), [f"{_line(path, error)}: isn't YAML: {fault}. Remedy: correct that line"]) from error


def _line(path: Path, error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return f"{path}:{mark.line + 1}" if mark else str(path)

"""Reads a stack file without the engine, for ``make render`` and ``make keys``."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError

from config.errors import PREFIX, ConfigError, describe
from config.settings import StackConfig

_FILE_NAME: Final = re.compile(r"Pulumi\.(?P<stack>[A-Za-z0-9._-]+)\.ya?ml")


class _StackFileLoader(yaml.SafeLoader):
    """Reads YAML as the engine does: only true and false are truth values, and a key stands once in a mapping.

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
_StackFileLoader.yaml_implicit_resolvers = {
    first: [(tag, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$") if tag == _BOOL_TAG else pattern) for tag, pattern in resolvers]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def stack_name(path: Path) -> str:
    """Take the stack's name from its file's name.

    Args:
        path: For example ``Pulumi.dev.yaml``.

    Raises:
        ConfigError: The file isn't called ``Pulumi.<stack>.yaml``.
    """
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise ConfigError(str(path), ["the file's name doesn't tell the stack. Remedy: name it Pulumi.<stack>.yaml"])
    return match["stack"]


def load_stack_file(path: Path) -> StackConfig:
    """Read and check the settings of a stack file. Encrypted values stay as they are.

    Args:
        path: For example ``Pulumi.dev.yaml``.

    Raises:
        ConfigError: The file can't be read, or a setting is wrong; it names every wrong key and the remedy.
    """
    return parse(str(path), raw_values(path))


def raw_values(path: Path) -> dict[str, Any]:
    """Read the settings of this program from a stack file, unchecked, with the prefix of the keys removed.

    Args:
        path: For example ``Pulumi.dev.yaml``.

    Raises:
        ConfigError: The file can't be read or isn't a stack file.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_StackFileLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(str(path), [f"can't be read: {error.strerror}. Remedy: name a stack file with CONFIG=Pulumi.<stack>.yaml"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"isn't YAML: {' '.join(str(error).split())}. Remedy: correct that line"]) from error
    values = document.get("config") if isinstance(document, dict) else None
    if not isinstance(values, dict):
        raise ConfigError(str(path), ["has no mapping 'config'. Remedy: see Pulumi.dev.yaml for an example"])
    return {str(key).removeprefix(PREFIX): value for key, value in values.items() if str(key).startswith(PREFIX)}


def parse(origin: str, values: Mapping[str, Any]) -> StackConfig:
    """Check settings.

    Args:
        origin: Where they came from, for the message.
        values: Top-level keys without prefix.

    Raises:
        ConfigError: A setting is wrong; it names every wrong key and the remedy.
    """
    try:
        return StackConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(origin, describe(error, known_keys(StackConfig))) from error


def known_keys(model: type[BaseModel]) -> set[str]:
    """Collect the keys of a model and of all models in it."""
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(field.alias or name)
        for inner in _models_in(field.annotation):
            keys |= known_keys(inner)
    return keys


def _models_in(annotation: object) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)

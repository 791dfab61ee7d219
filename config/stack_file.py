"""Reads the settings without the engine, for ``make render`` and ``make keys``."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from config.errors import PREFIX, ConfigError, Place, describe
from config.settings import StackConfig
from config.yaml_file import YamlFile, read_yaml

_FILE_NAME: Final = re.compile(r"Pulumi\.(?P<stack>[A-Za-z0-9._-]+)\.ya?ml")
_REPOS: Final = "repos"
_REPOS_FILE: Final = "reposFile"


@dataclass(frozen=True)
class Settings:
    """Settings, unchecked.

    Attributes:
        origin: Where they came from, for messages.
        values: Top-level keys without prefix. The list of ``reposFile`` stands in the place of ``repos``.
        stack_file: The stack file, if they came from one or one is known to say the same.
        repos_file: The file that ``reposFile`` names.
    """

    origin: str
    values: Mapping[str, Any]
    stack_file: YamlFile | None = None
    repos_file: YamlFile | None = None

    def place(self, location: tuple[int | str, ...]) -> str | None:
        """Say where a setting stands, as ``file:line``."""
        if self.repos_file and location[:1] == (_REPOS,):
            return self.repos_file.place(location[1:]) or str(self.repos_file.path)
        if self.stack_file and location:
            return self.stack_file.place(("config", f"{PREFIX}{location[0]}", *location[1:]))
        return None


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
    return check(read_stack_file(path))


def read_stack_file(path: Path) -> Settings:
    """Read the settings of this program from a stack file, unchecked.

    Args:
        path: For example ``Pulumi.dev.yaml``. A ``reposFile`` is looked for in the same folder.

    Raises:
        ConfigError: A file can't be read, or isn't of the right form.
    """
    file = read_yaml(path, "name a stack file with CONFIG=Pulumi.<stack>.yaml")
    values = file.content.get("config") if isinstance(file.content, dict) else None
    if not isinstance(values, dict):
        raise ConfigError(str(path), ["has no mapping 'config'. Remedy: see Pulumi.dev.yaml for an example"])
    own = {str(key).removeprefix(PREFIX): value for key, value in values.items() if str(key).startswith(PREFIX)}
    return with_repos_file(Settings(str(path), own, file), path.parent)


def with_repos_file(settings: Settings, folder: Path) -> Settings:
    """Put the list of the file that ``reposFile`` names into the place of ``repos``.

    Args:
        settings: As they were given.
        folder: Where the file is looked for: the stack file's.

    Raises:
        ConfigError: The file can't be read or holds no list, or there is a list in both places.
    """
    name = settings.values.get(_REPOS_FILE)
    if not isinstance(name, str) or not name:
        return settings
    if _REPOS in settings.values:
        fault = f"{PREFIX}{_REPOS_FILE}: there is a list under {PREFIX}{_REPOS} too. Remedy: move its entries into {name}"
        raise ConfigError(settings.origin, [fault])
    file = read_yaml(folder / name, f"correct {PREFIX}{_REPOS_FILE}; the path is relative to the stack file's folder")
    if not isinstance(file.content, list):
        raise ConfigError(str(file.path), [f"{file.path}:1: isn't a list. Remedy: write one entry a repo, '- owner: …' and 'name: …'"])
    values = {key: value for key, value in settings.values.items() if key != _REPOS_FILE}
    return Settings(settings.origin, {**values, _REPOS: file.content}, settings.stack_file, file)


def check(settings: Settings) -> StackConfig:
    """Check settings that were read.

    Raises:
        ConfigError: A setting is wrong; it names file and line, the key and the remedy.
    """
    return parse(settings.origin, settings.values, settings.place)


def parse(origin: str, values: Mapping[str, Any], place: Place | None = None) -> StackConfig:
    """Check settings.

    Args:
        origin: Where they came from, for the message.
        values: Top-level keys without prefix.
        place: Where settings stand.

    Raises:
        ConfigError: A setting is wrong; it names every wrong key and the remedy.
    """
    try:
        return StackConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(origin, describe(error, known_keys(StackConfig), place)) from error


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

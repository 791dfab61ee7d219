"""Reads the settings inside the Pulumi program. The only place that knows ``pulumi.Config``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi.runtime import config as pulumi_runtime_config

from config.errors import PREFIX, ConfigError
from config.settings import StackConfig
from config.stack_file import Settings, check, with_repos_file
from config.yaml_file import YamlFile, read_yaml

_CREDENTIALS: Final = "credentials"
_EVENTS: Final = "events"
_EVENT_SECRETS: Final = (("webhookSecret",), ("hooks", "token"), ("hooks", "app", "privateKey"), ("commitStatus", "token"))
_WITHHELD: Final = {"secure": "withheld"}


@dataclass(frozen=True)
class ProgramSettings:
    """What the program is given.

    Attributes:
        stack: The stack's name.
        config: All settings, without secrets.
        tokens: Name of a credential's Secret to make, to its token: a secret Output.
        secrets: Path of any other Pulumi secret in the settings, for example ``events.webhookSecret``, to its value: a secret Output.
    """

    stack: str
    config: StackConfig
    tokens: Mapping[str, pulumi.Output[str]]
    secrets: Mapping[str, pulumi.Output[str]]


def load_program_settings() -> ProgramSettings:
    """Read and check the settings of the stack that is being deployed.

    Raises:
        pulumi.RunError: A setting is wrong; it names every wrong key and the remedy. The engine shows it without a traceback.
    """
    stack = pulumi.get_stack()
    try:
        name = f"Pulumi.{stack}.yaml"
        folder = _project_folder()
        config = check(with_repos_file(Settings(name, _values(), _stack_file(folder / name)), folder))
    except ConfigError as error:
        raise pulumi.RunError(str(error)) from error
    return ProgramSettings(stack=stack, config=config, tokens=_tokens(config), secrets=_event_secrets(config))


def _project_folder() -> Path:
    project = Path(__file__).resolve().parent.parent
    # Names in messages are short where the program is run as usual.
    return Path() if Path.cwd() == project else project


def _stack_file(path: Path) -> YamlFile | None:
    """Read the file that the engine has most likely read, to tell lines in it."""
    return read_yaml(path, "") if path.is_file() else None


def _values() -> dict[str, Any]:
    # pulumi.Config has no way to list its keys, and a key that isn't asked for must not go unnoticed.
    everything: dict[str, Any] = {**pulumi_runtime_config.get_config_env(), **pulumi_runtime_config.CONFIG.get()}
    values = {key.removeprefix(PREFIX): _plain(value) for key, value in everything.items() if key.startswith(PREFIX)}
    if pulumi_runtime_config.is_config_secret(PREFIX + _CREDENTIALS):
        values[_CREDENTIALS] = _without_tokens(values.get(_CREDENTIALS))
    if pulumi_runtime_config.is_config_secret(PREFIX + _EVENTS):
        for path in _EVENT_SECRETS:
            values[_EVENTS] = _without_secret(values[_EVENTS], path)
    return values


def _plain(value: str) -> object:
    """Undo the engine's rendering of lists and mappings as JSON. Scalars stay texts, which the models read."""
    return json.loads(value) if value[:1] in {"{", "["} else value


def _without_tokens(credentials: object) -> object:
    if not isinstance(credentials, list):
        return credentials
    return [{**entry, "token": _WITHHELD} if isinstance(entry, dict) and isinstance(entry.get("token"), str) else entry for entry in credentials]


def _without_secret(value: object, path: tuple[str, ...]) -> object:
    if not path:
        return _WITHHELD if isinstance(value, str) else value
    if not isinstance(value, dict) or path[0] not in value:
        return value
    return {**value, path[0]: _without_secret(value[path[0]], path[1:])}


def _event_secrets(config: StackConfig) -> dict[str, pulumi.Output[str]]:
    if config.events is None:
        return {}
    secret: pulumi.Output[dict[str, Any]] = pulumi.Config(PREFIX.removesuffix(":")).require_secret_object(_EVENTS)
    written = config.events.model_dump(by_alias=True)

    def value_at(path: tuple[str, ...]) -> pulumi.Output[str]:
        return secret.apply(lambda events: str(_at(events, path)))

    return {".".join((_EVENTS, *path)): value_at(path) for path in _EVENT_SECRETS if _at(written, path) is not None}


def _at(value: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - any JSON
    for name in path:
        value = None if value is None else value.get(name)
    return value


def _tokens(config: StackConfig) -> dict[str, pulumi.Output[str]]:
    if not any(credential.token for credential in config.credentials):
        return {}
    secret: pulumi.Output[list[dict[str, str]]] = pulumi.Config(PREFIX.removesuffix(":")).require_secret_object(_CREDENTIALS)

    def token_at(position: int) -> pulumi.Output[str]:
        return secret.apply(lambda entries: entries[position]["token"])

    return {credential.secret: token_at(position) for position, credential in enumerate(config.credentials) if credential.token}

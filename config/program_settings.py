"""Reads the settings inside the Pulumi program. The only place that knows ``pulumi.Config``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi.runtime import config as pulumi_runtime_config

from config.errors import PREFIX, ConfigError
from config.settings import StackConfig
from config.stack_file import parse

_CREDENTIALS: Final = "credentials"
_WITHHELD: Final = {"secure": "withheld"}


@dataclass(frozen=True)
class ProgramSettings:
    """What the program is given.

    Attributes:
        stack: The stack's name.
        config: All settings, without secrets.
        tokens: Name of a Secret to make, to its token: a secret Output.
    """

    stack: str
    config: StackConfig
    tokens: Mapping[str, pulumi.Output[str]]


def load_program_settings() -> ProgramSettings:
    """Read and check the settings of the stack that is being deployed.

    Raises:
        pulumi.RunError: A setting is wrong; it names every wrong key and the remedy. The engine shows it without a traceback.
    """
    stack = pulumi.get_stack()
    try:
        config = parse(f"Pulumi.{stack}.yaml", _values())
    except ConfigError as error:
        raise pulumi.RunError(str(error)) from error
    return ProgramSettings(stack=stack, config=config, tokens=_tokens(config))


def _values() -> dict[str, Any]:
    # pulumi.Config has no way to list its keys, and a key that isn't asked for must not go unnoticed.
    everything: dict[str, Any] = {**pulumi_runtime_config.get_config_env(), **pulumi_runtime_config.CONFIG.get()}
    values = {key.removeprefix(PREFIX): _plain(value) for key, value in everything.items() if key.startswith(PREFIX)}
    if pulumi_runtime_config.is_config_secret(PREFIX + _CREDENTIALS):
        values[_CREDENTIALS] = _without_tokens(values.get(_CREDENTIALS))
    return values


def _plain(value: str) -> object:
    """Undo the engine's rendering of lists and mappings as JSON. Scalars stay texts, which the models read."""
    return json.loads(value) if value[:1] in {"{", "["} else value


def _without_tokens(credentials: object) -> object:
    if not isinstance(credentials, list):
        return credentials
    return [{**entry, "token": _WITHHELD} if isinstance(entry, dict) and isinstance(entry.get("token"), str) else entry for entry in credentials]


def _tokens(config: StackConfig) -> dict[str, pulumi.Output[str]]:
    if not any(credential.token for credential in config.credentials):
        return {}
    secret: pulumi.Output[list[dict[str, str]]] = pulumi.Config(PREFIX.removesuffix(":")).require_secret_object(_CREDENTIALS)

    def token_at(position: int) -> pulumi.Output[str]:
        return secret.apply(lambda entries: entries[position]["token"])

    return {credential.secret: token_at(position) for position, credential in enumerate(config.credentials) if credential.token}

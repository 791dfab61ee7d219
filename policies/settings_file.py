"""Reads levels, values and exemptions from a file, and refuses what no policy would understand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pulumi_policy import EnforcementLevel
from pydantic import ValidationError

from policies.definition import DOCUMENT, Rule

LEVEL: Final = "enforcementLevel"
EVERY_POLICY: Final = "all"
"""Name in place of a policy's that sets the level of all."""

SETTINGS_FILE: Final = Path(__file__).parent / "settings.yaml"
"""Settings of this project."""

PolicyConfig = dict[str, dict[str, Any]]
"""Name of a policy to its settings, the level among them as a text."""


class SettingsError(Exception):
    """A settings file can't be used; the message has a line a problem, each with the remedy."""


def read_settings(path: Path, rules: Sequence[Rule[Any]]) -> PolicyConfig:
    """Read a settings file.

    Args:
        path: YAML or JSON, of the form of ``--policy-pack-config``.
        rules: The policies that there are.

    Raises:
        SettingsError: The file can't be read, names no policy that there is, or gives one a setting that it doesn't take.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: can't be read: {' '.join(str(error).split())}. Remedy: name a YAML or JSON file") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: isn't a mapping. Remedy: give names of policies with their settings")
    problems: list[str] = []
    settings: PolicyConfig = {}
    by_name = {rule.name: rule for rule in rules}
    for name, given in document.items():
        # A level alone may stand in place of a mapping.
        values = {LEVEL: given} if isinstance(given, str) else given
        if name != EVERY_POLICY and name not in by_name:
            problems.append(f"{name}: there is no such policy. Remedy: see the list in {DOCUMENT}")
        elif not isinstance(values, dict):
            problems.append(f"{name}: isn't a mapping. Remedy: give {LEVEL} or the policy's settings")
        else:
            problems += _problems(name, values, by_name.get(name))
            settings[name] = values
    if problems:
        raise SettingsError("\n".join(f"{path}: {problem}" for problem in problems))
    return settings


def _problems(name: str, values: Mapping[str, Any], rule: Rule[Any] | None) -> list[str]:
    levels = [level.value for level in EnforcementLevel]
    problems = []
    if values.get(LEVEL, levels[0]) not in levels:
        problems.append(f"{name}.{LEVEL}: {values[LEVEL]!r} is no level. Remedy: give one of {', '.join(levels)}")
    rest = {key: value for key, value in values.items() if key != LEVEL}
    if rule is None:
        return problems + [f"{name}.{key}: only {LEVEL} can be set for all. Remedy: set it for one policy" for key in rest]
    try:
        rule.settings.model_validate(rest)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            place = ".".join(str(part) for part in detail["loc"])
            problems.append(f"{name}.{place}: {detail['msg']}. Remedy: see {DOCUMENT}#{name}")
    return problems


def for_pack(settings: PolicyConfig, rules: Sequence[Rule[Any]]) -> dict[str, EnforcementLevel | dict[str, Any]]:
    """Write settings as a policy pack takes them for its initial ones.

    The level is always written: one that is left out reaches the engine as 0, which it reads as advisory.
    """
    levels = {rule.name: rule.policy.enforcement_level for rule in rules}
    return {
        name: {**values, LEVEL: EnforcementLevel(values[LEVEL]) if LEVEL in values else levels[name]}
        for name, values in settings.items()
        if name in levels or LEVEL in values
    }

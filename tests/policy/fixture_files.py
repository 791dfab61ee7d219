"""Stacks of the fixtures: YAML as a person writes it, with what is expected in comments at the top.

    # violation: KIND/NAMESPACE/NAME: part of the message
    # not run: KIND/NAMESPACE/NAME            (or: the stack)
    # settings: {POLICY: {setting: value}}

``!unknown string`` (number, array, object) stands for a value that isn't known at preview. ``x-engine`` beside an object's fields says
what only the engine knows of it: ``protect`` and ``provider`` (cluster, replacing, default).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pulumi_policy import proxy

from policies.analyzer import Provider, StackResource
from policies.check import as_resource

FOLDER: Final = Path(__file__).parent / "fixtures"
STACK: Final = "fixtures"
ENGINE_KEY: Final = "x-engine"
UNKNOWN: Final = {
    "string": proxy.UNKNOWN_STRING_VALUE,
    "number": proxy.UNKNOWN_NUMBER_VALUE,
    "array": proxy.UNKNOWN_ARRAY_VALUE,
    "object": proxy.UNKNOWN_OBJECT_VALUE,
}
PROVIDER_INPUTS: Final[dict[str, dict[str, str]]] = {"cluster": {"enableConfigMapMutable": "true"}, "replacing": {}, "default": {}}
WHOLE_STACK: Final = "the stack"

_EXPECTATION: Final = re.compile(r"^# (?P<what>violation|not run|settings): (?P<text>.*)$", re.MULTILINE)


class _Loader(yaml.SafeLoader):
    """Reads fixtures."""


def _unknown(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return UNKNOWN[loader.construct_scalar(node)]


_Loader.add_constructor("!unknown", _unknown)


@dataclass(frozen=True)
class Fixture:
    """A stack and what its policy says of it."""

    path: Path
    documents: tuple[dict[str, Any], ...]
    violations: tuple[tuple[str, str], ...]
    not_run: tuple[str, ...]
    settings: dict[str, dict[str, Any]]

    @property
    def policy(self) -> str:
        """The policy it is for."""
        return self.path.parent.name

    @property
    def resources(self) -> list[StackResource]:
        """The stack as the engine would know it."""
        return [_resource(document) for document in self.documents]


def read(path: Path) -> Fixture:
    """A fixture's file."""
    text = path.read_text(encoding="utf-8")
    found = [(match["what"], match["text"]) for match in _EXPECTATION.finditer(text)]
    documents = tuple(yaml.load_all(text, Loader=_Loader))
    violations = [line.split(": ", 1) for what, line in found if what == "violation"]
    settings: dict[str, dict[str, Any]] = next((yaml.safe_load(line) for what, line in found if what == "settings"), {})
    return Fixture(
        path, documents, tuple((one, part) for one, part in violations), tuple(line for what, line in found if what == "not run"), settings
    )


def every_fixture() -> Iterator[Fixture]:
    """All fixtures, by policy and name."""
    for path in sorted(FOLDER.glob("*/*.yaml")):
        yield read(path)


def _resource(document: dict[str, Any]) -> StackResource:
    known = document.get(ENGINE_KEY, {})
    resource = as_resource({key: value for key, value in document.items() if key != ENGINE_KEY}, STACK)
    name = known.get("provider", "cluster")
    urn = f"urn:pulumi:{STACK}::coderun-workspaces::pulumi:providers:kubernetes::{name}"
    provider = Provider("pulumi:providers:kubernetes", name, urn, PROVIDER_INPUTS[name])
    return StackResource(resource.type, resource.name, resource.urn, resource.props, known.get("protect", False), provider)

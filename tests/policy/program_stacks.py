"""Stacks as the engine would know them: of the program itself, and with every other kind beside it."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from components.render import run_program
from policies.analyzer import Provider, StackResource
from policies.check import as_resource

DEV: Final = Path(__file__).parents[2] / "Pulumi.dev.yaml"
EVERY_KIND: Final = Path(__file__).parent / "stacks" / "every-kind.yaml"
_PROVIDER_TYPE: Final = "pulumi:providers:kubernetes"


def program_stack(stack_file: Path) -> list[StackResource]:
    """What the program registers, with the options that only the engine is told."""
    registered = run_program(stack_file)
    providers = {one.urn: Provider(one.type, one.name, one.urn, one.inputs) for one in registered if one.type == _PROVIDER_TYPE}
    stack = []
    for one in registered:
        props = one.manifest or one.inputs
        stack.append(StackResource(one.type, one.name, one.urn, props, one.protect, providers.get(one.provider)))
    return stack


def with_every_kind(stack: list[StackResource]) -> list[StackResource]:
    """A stack with an object of every kind that policies look at; the program's own objects come first."""
    (provider,) = [one.provider for one in stack if one.type == "kubernetes:core/v1:ServiceAccount" and one.name == "access-service-account"]
    made = {one.type for one in stack}
    others = [as_resource(document, "dev") for document in yaml.safe_load_all(EVERY_KIND.read_text(encoding="utf-8"))]
    return [*stack, *(replace(one, provider=provider) for one in others if one.type not in made)]


def changed(stack: list[StackResource], kind: str, name: str, **options: Any) -> tuple[list[StackResource], dict[str, Any]]:  # noqa: ANN401 - fields
    """A copy of a stack, and in it the properties of one object, to be changed."""
    copied = [replace(one, props=copy.deepcopy(dict(one.props))) for one in stack]
    (position,) = [position for position, one in enumerate(copied) if one.label.partition("/")[0] == kind and one.label.endswith(f"/{name}")]
    copied[position] = replace(copied[position], **options)
    props = copied[position].props
    assert isinstance(props, dict)
    return copied, props

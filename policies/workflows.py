"""Where workflows stand in Kubernetes objects, and what is in them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import yaml

from policies.definition import Resource
from policies.inputs import at, items, mapping, text

WORKFLOW_KINDS: Final = (
    "argoproj.io/WorkflowTemplate",
    "argoproj.io/ClusterWorkflowTemplate",
    "argoproj.io/CronWorkflow",
    "argoproj.io/Workflow",
)
"""Kinds that hold a workflow's spec."""

SUBMITTED_KINDS: Final = ("CronWorkflow", "Workflow")
"""Kinds that start runs, of a template that they refer to or of their own making."""

MAKING_ACTIONS: Final = frozenset({"apply", "create", "patch", "replace"})
"""Actions of a resource step that leave an object behind."""

_KIND_LINE: Final = re.compile(r"^kind:\s*['\"]?(?P<kind>[A-Za-z]+)['\"]?\s*$", re.MULTILINE)
_WORK_KEYS: Final = ("container", "containerSet", "data", "http", "plugin", "resource", "script", "suspend")


@dataclass(frozen=True)
class Workflow:
    """A workflow's spec and where it stands.

    Attributes:
        path: Place in the object, for messages.
        spec: The spec.
    """

    path: str
    spec: Mapping[str, Any]


@dataclass(frozen=True)
class Template:
    """A template and where it stands."""

    path: str
    name: str
    body: Mapping[str, Any]

    @property
    def works(self) -> bool:
        """Whether it does something by itself, and doesn't only call others."""
        return any(self.body.get(key) is not None for key in _WORK_KEYS)


@dataclass(frozen=True)
class Made:
    """An object that a template makes.

    Attributes:
        path: Place of its manifest.
        kind: Its kind, or empty.
        manifest: The object, or None when the text can't be read before Argo has put values into it.
        by_resource: Whether a resource step makes it, and not a script from a variable.
        owned: Whether Argo makes the Workflow its owner.
    """

    path: str
    kind: str
    manifest: Mapping[str, Any] | None
    by_resource: bool
    owned: bool


def workflow(resource: Resource) -> Workflow:
    """Find the spec in an object of one of the kinds that hold one."""
    if resource.kind == "CronWorkflow":
        return Workflow("spec.workflowSpec", mapping(at(resource.props, "spec", "workflowSpec")))
    return Workflow("spec", mapping(resource.props.get("spec")))


def defined_workflow(resource: Resource) -> Workflow | None:
    """Find the spec of an object that defines what a run does; None where it only refers to a template that does."""
    found = workflow(resource)
    return None if resource.kind in SUBMITTED_KINDS and "workflowTemplateRef" in found.spec else found


def templates(found: Workflow) -> list[Template]:
    """List the templates of a spec by name."""
    listed = []
    for position, body in enumerate(items(found.spec.get("templates"))):
        name = text(at(body, "name"))
        listed.append(Template(f"{found.path}.templates[{name or position}]", name, mapping(body)))
    return listed


def containers(template: Template) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Find the containers that a template itself brings, with their places."""
    for key in ("script", "container"):
        if template.body.get(key) is not None:
            yield f"{template.path}.{key}", mapping(template.body[key])
    for key, found in (
        ("containerSet.containers", at(template.body, "containerSet", "containers")),
        ("initContainers", template.body.get("initContainers")),
        ("sidecars", template.body.get("sidecars")),
    ):
        for position, container in enumerate(items(found)):
            yield f"{template.path}.{key}[{text(at(container, 'name')) or position}]", mapping(container)


def tasks(template: Template) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Find the tasks of a graph and the steps of a list of steps, with their places."""
    for task in items(at(template.body, "dag", "tasks")):
        yield f"{template.path}.dag.tasks[{text(at(task, 'name'))}]", mapping(task)
    for group in items(template.body.get("steps")):
        for step in items(group):
            yield f"{template.path}.steps[{text(at(step, 'name'))}]", mapping(step)


def called(template: Template) -> set[str]:
    """Collect the names of the templates that a template calls, by its tasks and their hooks."""
    names: set[str] = set()
    for _, task in tasks(template):
        names |= {text(task.get("template")), text(task.get("onExit"))}
        hooks = mapping(task.get("hooks"))
        names |= {text(at(hooks[hook], "template")) for hook in hooks}
    return names - {""}


def exit_handler(found: Workflow) -> str:
    """Name the template that runs when a workflow ends; empty when there is none."""
    return text(found.spec.get("onExit")) or text(at(found.spec, "hooks", "exit", "template"))


def reached(by_name: Mapping[str, Template], start: str) -> list[Template]:
    """List the templates that run from a first one on, each once."""
    names, seen = [start], [start]
    while names:
        template = by_name.get(names.pop())
        for name in sorted(called(template)) if template else ():
            if name not in seen:
                seen.append(name)
                names.append(name)
    return [by_name[name] for name in seen if name in by_name]


def made_objects(template: Template) -> Iterator[Made]:
    """Find the objects that a template makes: by a resource step, or by a script that gets the manifest as JSON in a variable."""
    resource = mapping(template.body.get("resource"))
    if resource and resource.get("action") in MAKING_ACTIONS:
        manifest = text(resource.get("manifest"))
        read = _read(manifest)
        match = _KIND_LINE.search(manifest)
        kind = text(at(read, "kind")) or (match["kind"] if match else "")
        yield Made(f"{template.path}.resource.manifest", kind, read, by_resource=True, owned=resource.get("setOwnerReference") is True)
    for place, container in containers(template):
        for variable in items(container.get("env")):
            value = text(at(variable, "value"))
            if value.startswith("{") and '"kind"' in value:
                # The kubelet makes one dollar sign of two.
                read = _read(value.replace("$$", "$"))
                path = f"{place}.env[{text(at(variable, 'name'))}]"
                yield Made(path, text(at(read, "kind")), read, by_resource=False, owned=False)


@lru_cache
def _read(manifest: str) -> Mapping[str, Any] | None:
    try:
        read = json.loads(manifest) if manifest.startswith("{") else yaml.safe_load(manifest)
    except (ValueError, yaml.YAMLError):
        return None
    return read if isinstance(read, dict) else None

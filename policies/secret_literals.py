"""The policy on secrets in clear."""

import re
from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import CIS_KUBERNETES, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, items, mapping, text
from policies.pods import POD_KINDS, pods
from policies.workflows import WORKFLOW_KINDS, defined_workflow, templates, workflow

_CONFIG_MAP: Final = "core/ConfigMap"
_FORMS: Final = (
    ("a GitHub token", re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})")),
    ("a GitLab token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}")),
    ("a Slack token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("an AWS access key", re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("an API key of a model's provider", re.compile(r"\bsk-[A-Za-z0-9_-]{20,}")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("an address with a password", re.compile(r"\bhttps?://[^/\s:@$\"'{]+:[^/\s@$\"'{]+@")),
)


class _Settings(PolicySettings):
    names: str = Field(
        default=r"(?i)(^|[_-])(password|passwd|token|secret|api[_-]?key|private[_-]?key)$",
        description="Pattern of names of variables and parameters whose value is taken for a secret.",
    )


def _faults(resource: Resource, settings: _Settings) -> Iterator[str]:
    named = re.compile(settings.names)
    for path, name, value in _values(resource):
        form = next((form for form, pattern in _FORMS if pattern.search(value)), None)
        # A tag is no literal, and neither is the path of a file that holds the secret.
        literal = value and "{{" not in value and not value.startswith(("/", "$("))
        if form is None and name and literal and named.search(name):
            form = "a secret, by its name"
        if form:
            yield f"{path} holds {form}: everybody who may read the object has it. Remedy: put it into a Secret and mount that, then change it"


def _values(resource: Resource) -> Iterator[tuple[str, str, str]]:
    """Find places, names and values in which a secret could stand; the name is empty where it says nothing."""
    if resource.group_kind == _CONFIG_MAP:
        data = mapping(resource.props.get("data"))
        yield from ((f"data.{key}", key, text(data[key])) for key in data)
        return
    if resource.group_kind in WORKFLOW_KINDS:
        found = workflow(resource)
        yield from _parameters(f"{found.path}.arguments", found.spec.get("arguments"))
        for template in templates(found) if defined_workflow(resource) else ():
            yield from _parameters(f"{template.path}.inputs", template.body.get("inputs"))
            yield f"{template.path}.resource.manifest", "", text(at(template.body, "resource", "manifest"))
    for pod in pods(resource):
        for container in pod.containers:
            for variable in items(container.body.get("env")):
                name = text(at(variable, "name"))
                yield f"{container.path}.env[{name}]", name, text(at(variable, "value"))
            yield f"{container.path}.source", "", text(container.body.get("source"))
            for key in ("command", "args"):
                for part in items(container.body.get(key)):
                    yield f"{container.path}.{key}", "", text(part)


def _parameters(path: str, holder: object) -> Iterator[tuple[str, str, str]]:
    for parameter in items(at(holder, "parameters")):
        name = text(at(parameter, "name"))
        for key in ("value", "default"):
            yield f"{path}.parameters[{name}]", name, text(at(parameter, key))


SECRET_LITERALS: Final = resource_rule(
    About(
        name="secret-literals",
        description="No secret stands in clear in a parameter, a variable, a script or a ConfigMap.",
        remediation="Put the secret into a Secret (a Pulumi secret in the stack file) and mount it as a file; then change it, as it was seen.",
        severity=Severity.CRITICAL,
        framework=CIS_KUBERNETES,
        tags=("security", "secrets"),
    ),
    _Settings,
    (*WORKFLOW_KINDS, *POD_KINDS, _CONFIG_MAP),
    _faults,
)

"""The policy on labels by which leftovers of runs are found."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml
from pulumi_policy import Severity
from pydantic import Field

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, is_unknown, items, mapping
from policies.vocabulary import CLEANUP_LABELS
from policies.workflows import WORKFLOW_KINDS, defined_workflow, made_objects, templates, workflow

_TEMPLATE_KINDS: Final = ("WorkflowTemplate", "ClusterWorkflowTemplate")


class _Settings(PolicySettings):
    labels: Mapping[str, str] = Field(default=CLEANUP_LABELS, description="Labels of all that a run makes.")
    except_kinds: tuple[str, ...] = Field(
        default=("Workflow",), description="Kinds of made objects that need no labels from here: a Workflow gets them from its own template."
    )


def _faults(resource: Resource, settings: _Settings) -> Iterator[str]:
    for place, labels in _labelled(resource, settings):
        missing = [f"{key}={value}" for key, value in _missing(labels, settings.labels).items()]
        if missing:
            yield f"{place} lacks cleanup labels: nobody finds what a broken run leaves. Remedy: label it {', '.join(missing)}"


def _labelled(resource: Resource, settings: _Settings) -> Iterator[tuple[str, object]]:
    """Find everything that a run makes, with its labels; None where there are none or they can't be read."""
    found = defined_workflow(resource)
    if found is None:
        return
    if resource.kind in _TEMPLATE_KINDS:
        yield "metadata", at(resource.props, "metadata", "labels")
    # A CronWorkflow and a Workflow label their Workflows in places of their own.
    match resource.kind:
        case "CronWorkflow":
            yield "spec.workflowMetadata", at(resource.props, "spec", "workflowMetadata", "labels")
        case "Workflow":
            yield "metadata", at(resource.props, "metadata", "labels")
        case _:
            yield "spec.workflowMetadata", at(found.spec, "workflowMetadata", "labels")
    yield f"{found.path}.podMetadata", at(found.spec, "podMetadata", "labels")
    for claim in items(found.spec.get("volumeClaimTemplates")):
        yield f"{found.path}.volumeClaimTemplates", at(claim, "metadata", "labels")
    for template in templates(found):
        for made in made_objects(template):
            if made.kind not in settings.except_kinds:
                yield f"the {made.kind or 'object'} of {made.path}", at(made.manifest, "metadata", "labels")


def _add_labels(resource: Resource, settings: _Settings) -> bool:
    spec = workflow(resource).spec
    # A part that isn't known yet must not be replaced by one that holds the labels only.
    if defined_workflow(resource) is None or not spec:
        return False
    metadata, outer = mapping(resource.props.get("metadata")), mapping(resource.props.get("spec"))
    changed = [
        resource.kind != "CronWorkflow" and _label(metadata, settings.labels),
        resource.kind != "Workflow" and _label_metadata(outer, "workflowMetadata", settings.labels),
        _label_metadata(spec, "podMetadata", settings.labels),
        *(_label_metadata(mapping(claim), "metadata", settings.labels) for claim in items(spec.get("volumeClaimTemplates"))),
        *(_label_made(template, settings) for template in items(spec.get("templates"))),
    ]
    return any(changed)


def _label_metadata(holder: Mapping[str, Any], key: str, labels: Mapping[str, str]) -> bool:
    given = holder.get(key)
    if is_unknown(given):
        return False
    if mapping(given):
        return _label(mapping(given), labels)
    _put(holder, key, {"labels": dict(labels)})
    return True


def _label(metadata: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    given = metadata.get("labels")
    if not metadata or is_unknown(given) or not _missing(given, labels):
        return False
    _put(metadata, "labels", {**mapping(given), **labels})
    return True


def _missing(given: object, labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if mapping(given).get(name) != value}


def _label_made(template: object, settings: _Settings) -> bool:
    """Write the labels into manifests that can be read; one that can't stays, and is a violation."""
    changed = False
    resource = mapping(at(template, "resource"))
    manifest = _labelled_text(resource.get("manifest"), settings) if resource else None
    if manifest is not None:
        _put(resource, "manifest", manifest)
        changed = True
    for holder in ("script", "container"):
        for variable in items(at(template, holder, "env")):
            value = _labelled_text(at(variable, "value"), settings)
            if value is not None:
                _put(mapping(variable), "value", value)
                changed = True
    return changed


def _labelled_text(manifest: object, settings: _Settings) -> str | None:
    """Add the labels to a manifest, as JSON if it was JSON; None when nothing is missing or it isn't one."""
    if not isinstance(manifest, str) or is_unknown(manifest):
        return None
    is_json = manifest.startswith("{")
    try:
        read = json.loads(manifest) if is_json else yaml.safe_load(manifest)
    except (ValueError, yaml.YAMLError):
        return None
    if not isinstance(read, dict) or not {"apiVersion", "kind"} <= read.keys() or read["kind"] in settings.except_kinds:
        return None
    metadata = mapping(read.get("metadata"))
    if not _missing(metadata.get("labels"), settings.labels):
        return None
    read["metadata"] = {**metadata, "labels": {**mapping(metadata.get("labels")), **settings.labels}}
    return json.dumps(read, separators=(",", ":")) if is_json else yaml.safe_dump(read, sort_keys=False)


def _put(holder: Mapping[str, Any], key: str, value: object) -> None:
    # The engine's proxies can be written to, and keep what is secret in them secret, but don't say so by their type.
    holder[key] = value  # type: ignore[index]


CLEANUP_LABELS_PRESENT: Final = resource_rule(
    About(
        name="cleanup-labels",
        description="All that a run makes (workflow, pods, claims, CodeRuns) has the labels by which its leftovers are found.",
        remediation="Add the labels app.kubernetes.io/part-of=coderun and coderun/cleanup=on-exit to what the message names; at the level "
        "`remediate` the policy adds them.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo", "cleanup"),
    ),
    _Settings,
    WORKFLOW_KINDS,
    _faults,
    _add_labels,
)

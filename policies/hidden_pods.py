"""The policy on settings of pods that no template shows."""

import re
from collections.abc import Iterator
from typing import Final

from pulumi_policy import Severity

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import mapping, text
from policies.vocabulary import HIDDEN_POD_KEYS, PATCH_PATTERN
from policies.workflows import WORKFLOW_KINDS, defined_workflow, tasks, templates

_PATCH: Final = re.compile(PATCH_PATTERN)


def _faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    found = defined_workflow(resource)
    if found is None:
        return
    listed = templates(found)
    defaults = mapping(found.spec.get("templateDefaults"))
    brought = [key for key in HIDDEN_POD_KEYS if key in defaults]
    if brought:
        yield f"{found.path}.templateDefaults brings {', '.join(brought)} into every pod unseen. Remedy: write it into the templates that need it"
    for path, holder in ((found.path, found.spec), *((one.path, one.body) for one in listed)):
        patch = text(holder.get("podSpecPatch"))
        if "{{" in patch:
            yield f"{path}.podSpecPatch is made of a parameter: whoever submits a run changes its pods. Remedy: write the patch down"
        match = _PATCH.search(patch)
        if match:
            yield f"{path}.podSpecPatch sets {match.group(1)}, which undoes what the template shows. Remedy: set it in the template"
    for template in listed:
        for path, task in tasks(template):
            if task.get("inline") is not None:
                yield f"{path}.inline is a template without a name, which no other rule looks into. Remedy: give it a name under spec.templates"


HIDDEN_PODS: Final = resource_rule(
    About(
        name="no-hidden-pods",
        description="What a workflow's pods are made of stands in named templates, and not in defaults, patches or inline templates.",
        remediation="Write containers, volumes and security contexts into named templates.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("argo", "security"),
    ),
    PolicySettings,
    WORKFLOW_KINDS,
    _faults,
)

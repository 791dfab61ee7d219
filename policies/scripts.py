"""Policies on the scripts and manifests that steps carry."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pulumi_policy import EnforcementLevel, Severity

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, items, mapping, text
from policies.pods import POD_KINDS, pods
from policies.vocabulary import PARAMETER_PATTERN, RAW_PARAMETER_PATTERN
from policies.workflows import WORKFLOW_KINDS, containers, defined_workflow, templates

_PARAMETER: Final = re.compile(PARAMETER_PATTERN)
_RAW_PARAMETER: Final = re.compile(RAW_PARAMETER_PATTERN)

_GIT: Final = r"\bgit\b[^\n;|&]*?\s"
_DANGEROUS_GIT: Final = (
    (
        re.compile(rf"{_GIT}gc\b[^\n;|&]*--prune=(now|all)\b"),
        "git gc --prune=now deletes what parallel tasks are writing",
        "let a scheduled job collect what is older than any task can be",
    ),
    (
        re.compile(rf"{_GIT}(?<!remote\s)prune\b(?!-)(?![^\n;|&]*--expire)"),
        "a prune without --expire deletes what parallel tasks are writing",
        "give --expire with an age above any task's",
    ),
    (
        re.compile(r"\bgc\.pruneExpire[ =]+['\"]?now\b"),
        "gc.pruneExpire now deletes what parallel tasks are writing",
        "give an age above any task's",
    ),
    (
        re.compile(rf"{_GIT}fetch\b[^\n;|&]*--(depth|shallow-since|shallow-exclude)\b"),
        "a shallow fetch cuts off the history of a clone that others use",
        "fetch without --depth",
    ),
    (
        re.compile(rf"{_GIT}(worktree\s+add)\b[^\n;|&]*\bFETCH_HEAD\b"),
        "FETCH_HEAD may be another task's by then",
        "resolve the ref to a commit and add that",
    ),
)


def _parameter_faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    found = defined_workflow(resource)
    if found is None:
        return
    for template in templates(found):
        for path, container in containers(template):
            for key, script in _scripts(container):
                if _PARAMETER.search(script):
                    yield (
                        f"{path}.{key} has a parameter pasted in: a branch named $(…) runs. "
                        "Remedy: hand it over by env, with sprig.b64enc where a person gave it"
                    )
        if _RAW_PARAMETER.search(text(at(template.body, "resource", "manifest"))):
            yield (
                f"{template.path}.resource.manifest has a submitter's parameter pasted in: a line break in it adds fields. "
                "Remedy: use an output of a step that checked it, or {{=toJson(…)}}"
            )


def _scripts(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "source", text(container.get("source"))
    for key in ("command", "args"):
        yield key, "\n".join(text(part) for part in items(container.get(key)))


def _git_faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    for pod in pods(resource):
        for container in pod.containers:
            for key, script in _scripts(container.body):
                # The kubelet makes one dollar sign of two; what is in comments doesn't run.
                code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#")).replace("\\\n", " ")
                for pattern, danger, remedy in _DANGEROUS_GIT:
                    if pattern.search(code):
                        yield f"{container.path}.{key}: {danger}. Remedy: {remedy}"


def _retry_faults(resource: Resource, _settings: PolicySettings) -> Iterator[str]:
    found = defined_workflow(resource)
    if found is None:
        return
    for template in templates(found):
        if template.body.get("retryStrategy") is None:
            continue
        path, strategy = f"{template.path}.retryStrategy", mapping(template.body["retryStrategy"])
        if strategy.get("limit") in (None, ""):
            yield f"{path}.limit is missing: a step that always fails is tried for ever. Remedy: set it"
        if not text(strategy.get("expression")) and text(strategy.get("retryPolicy")) not in {"OnError", "OnTransientError"}:
            yield (
                f"{path} repeats a step that failed by its own answer, which will be the same. "
                "Remedy: set retryPolicy to OnError, or an expression that tells a lost pod from a failure"
            )


SCRIPT_PARAMETERS: Final = resource_rule(
    About(
        name="script-parameters",
        description="No parameter is pasted into a script, a command or a manifest.",
        remediation="Hand parameters to scripts by env, and put into manifests what a step has checked.",
        severity=Severity.CRITICAL,
        framework=OPERATIONS,
        tags=("argo", "security"),
    ),
    PolicySettings,
    WORKFLOW_KINDS,
    _parameter_faults,
)

GIT_SAFETY: Final = resource_rule(
    About(
        name="git-safety",
        description="No script runs a git command that takes away what parallel tasks use.",
        remediation="Leave collection to the scheduled maintenance, and give every prune an age.",
        severity=Severity.HIGH,
        framework=OPERATIONS,
        tags=("git", "concurrency"),
    ),
    PolicySettings,
    (*WORKFLOW_KINDS, *POD_KINDS),
    _git_faults,
)

BOUNDED_RETRIES: Final = resource_rule(
    About(
        name="bounded-retries",
        description="A step is tried again a limited number of times, and only when trying again can help.",
        remediation="Set retryStrategy.limit, and retryPolicy OnError or an expression.",
        severity=Severity.LOW,
        framework=OPERATIONS,
        tags=("argo", "reliability"),
        level=EnforcementLevel.ADVISORY,
    ),
    PolicySettings,
    WORKFLOW_KINDS,
    _retry_faults,
)

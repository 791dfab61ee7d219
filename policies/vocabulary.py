"""Words that the pack and the cluster's admission rules share, so that both mean the same. Imports nothing of Pulumi."""

from collections.abc import Mapping
from typing import Final

CLEANUP_LABELS: Final[Mapping[str, str]] = {"app.kubernetes.io/part-of": "coderun", "coderun/cleanup": "on-exit"}
"""Labels of all that a run makes: the sweeper and people look for them."""

TASK_KINDS: Final = ("CodeRun",)
"""Kinds of objects that are a task: what makes one has to hold a semaphore."""

RUN_TEMPLATES: Final = ("coderun-template", "coderun-batch")
"""WorkflowTemplates that Workflows may refer to."""

RUN_ENTRYPOINTS: Final = ("coderun-main", "coderun-event")
"""Templates that a Workflow may begin with in place of its WorkflowTemplate's own entrypoint: any other could begin behind the lock."""

SUBMITTED_SPEC_KEYS: Final = ("workflowTemplateRef", "arguments", "entrypoint", "priority", "suspend")
"""Keys of a Workflow's spec that leave a run what its template makes it: which one, from where, its parameters, its place in the queue, a pause."""

PARAMETER_KEYS: Final = ("name", "value")
"""Keys of a Workflow's parameter. valueFrom, for one, brings a value that nobody could check."""

HIDDEN_POD_KEYS: Final = (
    "container",
    "containerSet",
    "initContainers",
    "podSpecPatch",
    "script",
    "securityContext",
    "serviceAccountName",
    "sidecars",
    "volumes",
)
"""Keys of templateDefaults that would put something into pods whose templates don't show it."""

PATCH_PATTERN: Final = (
    r"(args|command|env|envFrom|ephemeralContainers|hostIPC|hostNetwork|hostPID|hostPath|hostUsers|image|initContainers|privileged"
    r"|serviceAccount|serviceAccountName|volumeMounts|volumes)['\x22]?\s*:"
)
"""Keys that a podSpecPatch must not set: it would undo what a template shows."""

PARAMETER_PATTERN: Final = r"\{\{[^}]*parameters"
"""A template tag that puts a parameter into a text."""

RAW_PARAMETER_PATTERN: Final = r"\{\{\s*workflow\.parameters"
"""A template tag that puts a parameter into a text as the submitter gave it."""

MAXIMUM_PARALLELISM: Final = 50
"""Pods of one workflow at once: ten times the stack's default of 5, well below the 110 pods that a node takes by default."""

MAXIMUM_DEADLINE_SECONDS: Final = 7 * 24 * 60 * 60
"""A week: above the stack's default (a day's pause, a day's queue and the work), and short enough to be noticed."""

"""Names and labels that runs, operators and several components rely on."""

import re
from typing import Final

WORKFLOW_TEMPLATE: Final = "coderun-template"
BATCH_TEMPLATE: Final = "coderun-batch"
BATCH_SERVICE_ACCOUNT: Final = "coderun-batch"
SEMAPHORES_CONFIG_MAP: Final = "workflow-semaphores"
REPOS_CONFIG_MAP: Final = "coderun-repos"
RUN_SERVICE_ACCOUNT: Final = "coderun-workflow"
SWEEPER: Final = "coderun-sweeper"
"""CronJob, ServiceAccount, Role and RoleBinding."""
SWEEPER_REPORT: Final = "coderun-sweeper-report"
"""ConfigMap that each sweep writes."""
GIT_MAINTENANCE: Final = "coderun-git-maintenance"
EVENT_BUS: Final = "default"
EVENT_SOURCE: Final = "github"
EVENT_NAME: Final = "pull-request"
SENSOR: Final = "repo-workflow-sensor"
WEBHOOK_SERVICE: Final = "github-webhook"
WEBHOOK_PORT: Final = 12000
WEBHOOK_PATH: Final = "/github"
WEBHOOK_SECRET: Final = "github-webhook"  # noqa: S105 - a Secret's name
HOOKS_SECRET: Final = "github-hooks"  # noqa: S105 - a Secret's name
COMMIT_STATUS_SECRET: Final = "coderun-commit-status"  # noqa: S105 - a Secret's name

PART_OF_LABEL: Final = "app.kubernetes.io/part-of"
PART_OF: Final = "coderun"
MANAGED_LABELS: Final = {PART_OF_LABEL: PART_OF, "app.kubernetes.io/managed-by": "pulumi"}
"""Labels of what the stack itself makes."""

WORKFLOW_LABEL: Final = "workflow"
WORKFLOW_UID_LABEL: Final = "coderun/workflow-uid"
TASK_LABEL: Final = "coderun/task-id"
STEP_LABEL: Final = "coderun/step"
CLEANUP_LABEL: Final = "coderun/cleanup"
CLEANUP_ON_EXIT: Final = "on-exit"
BATCH_LABEL: Final = "coderun/batch"
"""On a batch and on the runs of its tasks; its value is the batch's name."""

SEMAPHORE_ANNOTATION: Final = "coderun/semaphore-key"

REPO_LABEL: Final = "coderun/repo"
BASE_LABEL: Final = "coderun/base"
PR_LABEL: Final = "coderun/pr"
DELIVERY_LABEL: Final = "coderun/delivery"
"""On runs that an event has started, and on no others."""

REPO_ANNOTATION: Final = "coderun/repo"
"""OWNER/REPO in full: a label holds 63 characters."""

HEAD_ANNOTATION: Final = "coderun/head-commit"
"""The commit that the event told of; the run works on the head that it finds after its wait."""

_STACK: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def cluster_scoped(name: str, stack: str) -> str:
    """Name an object that belongs to no namespace, so that two stacks can live in one cluster.

    Args:
        name: What it is.
        stack: The stack's name.

    Raises:
        ValueError: The stack's name can't be part of a Kubernetes name.
    """
    if not _STACK.fullmatch(stack):
        raise ValueError(
            f"the stack's name {stack!r} becomes part of names in the cluster and must be small letters, digits and hyphens, at most 40. "
            "Remedy: pulumi stack rename"
        )
    return f"{name}-{stack}"

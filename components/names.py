"""Names and labels that runs, operators and several components rely on."""

import re
from typing import Final

WORKFLOW_TEMPLATE: Final = "coderun-template"
SEMAPHORES_CONFIG_MAP: Final = "workflow-semaphores"
REPOS_CONFIG_MAP: Final = "coderun-repos"
RUN_SERVICE_ACCOUNT: Final = "coderun-workflow"
SWEEPER: Final = "coderun-sweeper"
"""CronJob, ServiceAccount, Role and RoleBinding."""
SWEEPER_REPORT: Final = "coderun-sweeper-report"
"""ConfigMap that each sweep writes."""
GIT_MAINTENANCE: Final = "coderun-git-maintenance"
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
SEMAPHORE_ANNOTATION: Final = "coderun/semaphore-key"

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

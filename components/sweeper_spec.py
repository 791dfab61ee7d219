"""The spec of the CronJob ``coderun-sweeper``."""

from typing import Any, Final

import payload
from components.kubelet_text import literal
from components.names import MANAGED_LABELS, SWEEPER, SWEEPER_REPORT
from components.workflow_template_spec import (
    SLACK_SECONDS,
    api_variables,
    container_security_context,
    environment,
    git_folder_variables,
    git_resources,
    kept_variables,
    pod_security_context,
    root_variables,
    scratch_mounts,
    scratch_volumes,
    work_mounts,
)
from config.quantities import quantity_bytes
from config.settings import StackConfig

SWEEP_SCRIPTS: Final = (
    "task-messages.sh",
    "base-lock.sh",
    "coderun-end.sh",
    "task-removal.sh",
    "kept-work.sh",
    "gone-runs.sh",
    "claim-leftovers.sh",
    "claim-events.sh",
    "unbound-claims.sh",
    "claim-usage.sh",
    "sweep.sh",
)
"""Files of payload/ that make the sweep's script, in this order (payload/README.md)."""

_LOCK_SECONDS: Final = 60  # the lock of a base is held for moments; one that is not given up must not cost the rest of the sweep
_USAGE_SECONDS: Final = 60  # counting files where the volume has no size of its own; without it the report lacks the number
_STARTING_SECONDS: Final = 600  # a missed start is not made up for, as the next one does the same
_FINISHED_SECONDS: Final = 24 * 60 * 60  # long enough to read a sweep's log the day after


def cron_job_spec(config: StackConfig) -> dict[str, Any]:
    """Build the spec: one sweep at a time, never tried again, as the next one goes on where it stopped.

    Args:
        config: The stack's settings.

    Returns:
        The spec, as it is applied.

    Raises:
        FileNotFoundError: A script of payload/ is missing.
    """
    variables = {
        **api_variables(config),
        **root_variables(),
        **git_folder_variables(config),
        **kept_variables(config),
        "LOCK_TIMEOUT_SECONDS": str(_LOCK_SECONDS),
        "FENCE_TIMEOUT_SECONDS": str(config.deadlines.fence_seconds),
        "SWEEP_TIMEOUT_SECONDS": str(config.sweeper.deadline_seconds),
        "CLAIM_SIZE_BYTES": str(quantity_bytes(config.storage.shared.size)),
        "USAGE_TIMEOUT_SECONDS": str(_USAGE_SECONDS),
        # As long as Argo makes a deleted pod anew that waits for its claim.
        "CLAIM_TIMEOUT_SECONDS": str(config.deadlines.init_seconds + config.deadlines.fence_seconds + config.deadlines.claim_seconds),
        "CRON_JOB": SWEEPER,
        "REPORT": SWEEPER_REPORT,
    }
    container = {
        "name": "sweep",
        "image": config.images.workspace,
        "imagePullPolicy": config.image_pull_policy,
        "command": ["sh", "-c", literal(payload.source(*SWEEP_SCRIPTS))],
        "workingDir": "/work",
        "env": environment(variables),
        "resources": git_resources(config),
        "securityContext": container_security_context(),
        "volumeMounts": [*scratch_mounts(), *work_mounts()],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    pod = {
        "serviceAccountName": SWEEPER,
        "restartPolicy": "Never",
        "securityContext": pod_security_context(config),
        "containers": [container],
        "volumes": [*scratch_volumes(config), {"name": "work", "persistentVolumeClaim": {"claimName": config.storage.shared.claim_name}}],
    }
    return {
        "schedule": config.sweeper.schedule,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": _STARTING_SECONDS,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "metadata": {"labels": MANAGED_LABELS},
            "spec": {
                "backoffLimit": 0,
                # The script's own deadline comes first: it still writes its report.
                "activeDeadlineSeconds": config.sweeper.deadline_seconds + SLACK_SECONDS,
                "ttlSecondsAfterFinished": _FINISHED_SECONDS,
                "template": {"metadata": {"labels": MANAGED_LABELS}, "spec": pod},
            },
        },
    }

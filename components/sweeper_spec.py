"""The spec of the CronJob ``coderun-sweeper``."""

from typing import Any, Final

from components.names import SWEEPER, SWEEPER_REPORT
from components.scheduled_job_spec import scheduled_job_spec, script_container
from components.workflow_template_spec import (
    api_variables,
    git_folder_variables,
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
    container = script_container(config, "sweep", SWEEP_SCRIPTS, variables, [*scratch_mounts(), *work_mounts()], "/work")
    pod = {
        "serviceAccountName": SWEEPER,
        "restartPolicy": "Never",
        "securityContext": pod_security_context(config),
        "containers": [container],
        "volumes": [*scratch_volumes(config), {"name": "work", "persistentVolumeClaim": {"claimName": config.storage.shared.claim_name}}],
    }
    return scheduled_job_spec(config.sweeper.schedule, config.sweeper.deadline_seconds, _STARTING_SECONDS, _FINISHED_SECONDS, pod)

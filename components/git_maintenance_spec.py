"""The spec of the CronJob ``coderun-git-maintenance``."""

from typing import Any, Final

from components.argo_types import VolumeMount
from components.scheduled_job_spec import scheduled_job_spec, script_container
from components.workflow_template_spec import git_folder_variables, pod_security_context, root_variables
from config.quantities import quantity_bytes
from config.settings import StackConfig

MAINTENANCE_SCRIPTS: Final = ("task-messages.sh", "base-lock.sh", "task-removal.sh", "maintain.sh")
"""Files of payload/ that make the script, in this order (payload/README.md)."""

_LOCK_SECONDS: Final = 5  # a lock that isn't had at once is held by a download, or by a pod that hangs: the base has its turn the next night
_STARTING_SECONDS: Final = 3600  # later than that it would run into the day
_FINISHED_SECONDS: Final = 7 * 24 * 60 * 60  # long enough to find out when a clone went


def cron_job_spec(config: StackConfig) -> dict[str, Any]:
    """Build the spec: one job at a time, never tried again. Its pod has no token, as it asks neither the cluster nor a git server.

    Args:
        config: The stack's settings.

    Returns:
        The spec, as it is applied.

    Raises:
        FileNotFoundError: A script of payload/ is missing.
    """
    settings, shared = config.git_maintenance, config.storage.shared
    variables = {
        **root_variables(),
        **git_folder_variables(config),
        "CLAIM_SIZE_BYTES": str(quantity_bytes(shared.size)),
        "EVICT_ABOVE_PERCENT": str(settings.evict_above_percent),
        "EXPIRE_DAYS": str(settings.expire_days),
        "DEADLINE_SECONDS": str(settings.deadline_seconds),
        "LOCK_TIMEOUT_SECONDS": str(_LOCK_SECONDS),
        # A run that comes the moment after waits no longer than half of its patience.
        "HOLD_SECONDS": str(max(1, config.git.lock_timeout_seconds // 2)),
    }
    mounts: list[VolumeMount] = [
        {"name": "claim", "mountPath": "/work/base", "subPath": "base"},
        # To be counted only.
        {"name": "claim", "mountPath": "/work/trees", "subPath": "trees", "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
    ]
    container = script_container(config, "maintain", MAINTENANCE_SCRIPTS, variables, mounts, "/tmp")  # noqa: S108 - as above
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": pod_security_context(config),
        "containers": [container],
        "volumes": [
            {"name": "claim", "persistentVolumeClaim": {"claimName": shared.claim_name}},
            {"name": "tmp", "emptyDir": {"sizeLimit": config.resources.scratch}},
        ],
    }
    return scheduled_job_spec(settings.schedule, settings.deadline_seconds, _STARTING_SECONDS, _FINISHED_SECONDS, pod)

"""What the stack's CronJobs have in common: one job at a time, never tried again, its script confined as the steps of runs are."""

from collections.abc import Mapping
from typing import Any

import payload
from components.argo_types import VolumeMount
from components.kubelet_text import literal
from components.names import MANAGED_LABELS
from components.workflow_template_spec import SLACK_SECONDS, container_security_context, environment, git_resources
from config.settings import StackConfig


def script_container(
    config: StackConfig, name: str, scripts: tuple[str, ...], variables: Mapping[str, str], mounts: list[VolumeMount], folder: str
) -> dict[str, Any]:
    """Make the container of a script.

    Args:
        config: The stack's settings.
        name: The container's name.
        scripts: Files of payload/ that make the script, in this order.
        variables: Its environment, beside where it may write.
        mounts: What it sees.
        folder: Where it begins.

    Raises:
        FileNotFoundError: A script of payload/ is missing.
    """
    return {
        "name": name,
        "image": config.images.workspace,
        "imagePullPolicy": config.image_pull_policy,
        "command": ["sh", "-c", literal(payload.source(*scripts))],
        "workingDir": folder,
        "env": environment(variables),
        "resources": git_resources(config),
        "securityContext": container_security_context(),
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def scheduled_job_spec(schedule: str, deadline_seconds: int, starting_seconds: int, finished_seconds: int, pod: dict[str, Any]) -> dict[str, Any]:
    """Make the spec of a CronJob.

    Args:
        schedule: When it starts, as in a crontab.
        deadline_seconds: The script's own, which comes before the job's: it still says how far it got.
        starting_seconds: How late it may start; later it is left to the next.
        finished_seconds: How long an ended job stays, to be read.
        pod: The spec of its pod.
    """
    return {
        "schedule": schedule,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": starting_seconds,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "metadata": {"labels": MANAGED_LABELS},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": deadline_seconds + SLACK_SECONDS,
                "ttlSecondsAfterFinished": finished_seconds,
                "template": {"metadata": {"labels": MANAGED_LABELS}, "spec": pod},
            },
        },
    }

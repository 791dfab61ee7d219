"""Stack files that the settings accept and the policies don't: the dev stack's with one thing changed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from components.batch_spec import SCRIPTS as BATCH_SCRIPTS
from components.workflow_template_spec import SCRIPTS
from tests.policy.program_stacks import DEV

RUN: Final = "WorkflowTemplate/argo/coderun-template"
BATCH: Final = "WorkflowTemplate/argo/coderun-batch"
PREPARE: Final = "Job/argo/coderun-shared-prepare"
SWEEPER: Final = "CronJob/argo/coderun-sweeper"
MAINTENANCE: Final = "CronJob/argo/coderun-git-maintenance"
STEPS: Final = (*SCRIPTS, "init-worktree-own-claim", "create-coderun-own-claim")
"""Templates with a script."""
PREFIX: Final = "coderun-workspaces:"


@dataclass(frozen=True)
class BadStack:
    """A stack file and what the policies say of it.

    Attributes:
        name: What is wrong.
        change: Changes the settings, keys without prefix.
        violations: Policy, object and part of the message of each violation.
    """

    name: str
    change: Callable[[dict[str, Any]], None]
    violations: tuple[tuple[str, str, str], ...]

    def write(self, folder: Path) -> Path:
        """Write the stack file."""
        document = yaml.safe_load(DEV.read_text(encoding="utf-8"))
        config = document["config"]
        values = {key.removeprefix(PREFIX): copy.deepcopy(value) for key, value in config.items() if key.startswith(PREFIX)}
        self.change(values)
        others = {key: value for key, value in config.items() if not key.startswith(PREFIX)}
        document["config"] = {**others, **{PREFIX + key: value for key, value in values.items()}}
        path = folder / DEV.name
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path


# The gate in the cluster is allowed these, or the program would refuse its own template at once.
def _more_pods(values: dict[str, Any]) -> None:
    values["parallelism"] = "60"
    values.setdefault("admission", {})["maxParallelism"] = 100


def _a_long_queue(values: dict[str, Any]) -> None:
    values["deadlines"] = {"queueSeconds": 2592000}
    values.setdefault("admission", {})["maxDeadlineSeconds"] = 31536000


def _large_claims(values: dict[str, Any]) -> None:
    values["storage"]["own"]["size"] = "1Ti"
    values.setdefault("admission", {})["maxClaimSize"] = "2Ti"


def _no_class_for_own_claims(values: dict[str, Any]) -> None:
    del values["storage"]["own"]["storageClass"]


def _classes_that_leave_volumes(values: dict[str, Any]) -> None:
    create = {"provisioner": "csi.example.io", "reclaimPolicy": "Retain", "volumeBindingMode": "Immediate"}
    values["storage"]["shared"]["storageClass"] = {"name": "slow", "create": create}


def _a_limit_without_sense(values: dict[str, Any]) -> None:
    values["repos"][0]["branches"]["main"] = 500


def _a_token_for_the_agent(values: dict[str, Any]) -> None:
    values["git"]["server"] = "http://git.example.com"
    values["coderun"]["spec"]["env"] = [{"name": "TOKEN", "value": "ghp_0000000000madeUp0000000000"}]


BAD_STACKS: Final = (
    BadStack(
        "more pods than the maximum",
        _more_pods,
        tuple(
            ("parallelism-set", template, "spec.parallelism is 60, more than the maximum 50. Remedy: set coderun-workspaces:parallelism")
            for template in (RUN, BATCH)
        ),
    ),
    BadStack(
        "an image without a version",
        lambda values: values["images"].update(workspace="registry.example.com/coderun/workspace:latest"),
        (
            ("images", PREPARE, "spec.template.spec.containers[prepare].image"),
            ("images", SWEEPER, "spec.jobTemplate.spec.template.spec.containers[sweep].image"),
            ("images", MAINTENANCE, "spec.jobTemplate.spec.template.spec.containers[maintain].image"),
            *(
                ("images", template, f"spec.templates[{step}].script.image is registry.example.com/coderun/workspace:latest")
                for template, steps in ((RUN, STEPS), (BATCH, BATCH_SCRIPTS))
                for step in steps
            ),
        ),
    ),
    BadStack(
        "a queue of a month",
        _a_long_queue,
        (("deadlines", RUN, "spec.activeDeadlineSeconds is "),),
    ),
    BadStack(
        "own claims of any class",
        _no_class_for_own_claims,
        (("claim-spec", RUN, "spec.templates[claim].script.env[CLAIM_MANIFEST]: spec.storageClassName is missing"),),
    ),
    BadStack(
        "own claims of any size",
        _large_claims,
        (("claim-spec", RUN, "spec.resources.requests.storage is 1Ti, more than the maximum 100Gi"),),
    ),
    BadStack(
        "volumes that stay",
        _classes_that_leave_volumes,
        (
            ("storage-class", "StorageClass/slow-dev", "reclaimPolicy is Retain"),
            ("storage-class", "StorageClass/slow-dev", "volumeBindingMode is Immediate"),
        ),
    ),
    BadStack(
        "a limit without sense",
        _a_limit_without_sense,
        (("semaphore-keys", "ConfigMap/argo/workflow-semaphores", "data.exampleorg-sample-main is 500, more than the maximum 100"),),
    ),
    BadStack(
        "a token in clear",
        _a_token_for_the_agent,
        tuple(
            ("secret-literals", RUN, f"spec.templates[{step}].script.env[CODERUN_MANIFEST] holds a GitHub token")
            for step in ("create-coderun", "create-coderun-own-claim")
        ),
    ),
)


def everything_at_once() -> BadStack:
    """All of them in one stack file, as far as they don't exclude each other."""
    chosen = [one for one in BAD_STACKS if one.name != "own claims of any class"]

    def change(values: dict[str, Any]) -> None:
        for one in chosen:
            one.change(values)

    return BadStack("everything", change, tuple(violation for one in chosen for violation in one.violations))

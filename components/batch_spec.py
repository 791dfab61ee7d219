"""The spec of the WorkflowTemplate ``coderun-batch``: many tasks in one submission, a run of its own for each.

A batch's graph is fanned out by Argo, one step a task, and ``parallelism`` caps the steps that live at once. Each step makes a Workflow from
``coderun-template`` and waits for its end, so that a task has its own semaphore key, fence and cleanup, as any run has.
"""

from collections.abc import Mapping
from typing import Final

from components.argo_types import Parameter, Template, WorkflowSpec
from components.names import BATCH_LABEL, BATCH_SERVICE_ACCOUNT, STEP_LABEL, WORKFLOW_LABEL, WORKFLOW_TEMPLATE
from components.run_manifests import run_labels
from components.workflow_template_spec import (
    SLACK_SECONDS,
    after_loss_of_the_pod,
    parameters_declared,
    parameters_given,
    pod_security_context,
    scratch_mounts,
    scratch_volumes,
    script,
    source,
    timeout,
    waiting_resources,
    workflow_deadline_seconds,
)
from config.settings import StackConfig

MOST_TASKS: Final = 100
"""Tasks in a batch. Their results, of at most some 350 bytes each, reach the summary in an environment variable of at most 128 KiB, in base64."""

SCRIPTS: Final[Mapping[str, tuple[str, ...]]] = {
    "plan": ("task-messages.sh", "coderun-end.sh", "batch-tasks.sh", "batch-plan.sh"),
    "run": ("task-messages.sh", "coderun-end.sh", "watch-phase.sh", "failed-step.sh", "batch-tasks.sh", "batch-run.sh"),
    "summary": ("task-messages.sh", "batch-summary.sh"),
}
"""Files of payload/ that make each step's script, in this order (payload/README.md)."""

_API_TIMEOUT_SECONDS: Final = 300  # how long the API server may be away before a step gives up
_OUTPUTS: Final = "/work/batch"


def batch_spec(config: StackConfig) -> WorkflowSpec:
    """Build the spec.

    A batch has no deadline of its own: it is as long as its tasks, and each of these has one.

    Args:
        config: The stack's settings.

    Returns:
        The spec, as it is applied.

    Raises:
        ValueError: A script of payload/ contains ``{{`` or ``$$``.
        FileNotFoundError: A script of payload/ is missing.
    """
    labels = {**run_labels(), BATCH_LABEL: "{{workflow.name}}"}
    return {
        "entrypoint": "batch-main",
        "serviceAccountName": BATCH_SERVICE_ACCOUNT,
        "parallelism": config.parallelism,
        "arguments": {
            "parameters": [
                {"name": "tasks", "description": "JSON list of objects with owner, repo and, as needed, the other parameters of coderun-template."}
            ]
        },
        "podGC": {"strategy": "OnPodCompletion", "deleteDelayDuration": "60s"},
        "ttlStrategy": {
            "secondsAfterSuccess": config.retention.success_seconds,
            "secondsAfterFailure": config.retention.failure_seconds,
        },
        "workflowMetadata": {"labels": labels},
        "podMetadata": {"labels": labels},
        "securityContext": pod_security_context(config),
        "templates": [_main(), _plan(config), _run(config), _summary(config)],
    }


def most_batches(config: StackConfig) -> int | None:
    """Batches that may run at once, so that their tasks still find a place; None where the number of workflows isn't limited."""
    return None if config.workflows_at_once is None else config.workflows_at_once // 2


def _main() -> Template:
    planned = "{{tasks.plan.outputs.parameters.%s}}"
    return {
        "name": "batch-main",
        "dag": {
            # A task whose step is lost must not keep the others from starting.
            "failFast": False,
            "tasks": [
                {"name": "plan", "template": "plan"},
                {
                    "name": "run",
                    "template": "run",
                    "depends": "plan.Succeeded",
                    "withParam": planned % "tasks",
                    "arguments": parameters_given({"task": "{{item}}"}),
                },
                {
                    "name": "summary",
                    "template": "summary",
                    "depends": "run.Succeeded || run.Failed || run.Errored",
                    "arguments": parameters_given({"count": planned % "count", "results": "{{tasks.run.outputs.parameters.result}}"}),
                },
            ],
        },
    }


def _plan(config: StackConfig) -> Template:
    limit = most_batches(config)
    variables = {
        **_batch_variables(config),
        "MOST_TASKS": str(MOST_TASKS),
        "OUTPUT_DIR": _OUTPUTS,
        **({} if limit is None else {"MOST_BATCHES": str(limit)}),
    }
    return _step(config, "plan", variables, outputs=[_output("tasks"), _output("count")])


def _run(config: StackConfig) -> Template:
    variables = {
        **_batch_variables(config),
        "ITEM": "{{inputs.parameters.task}}",
        "RUN_TEMPLATE": WORKFLOW_TEMPLATE,
        "RESULT_FILE": f"{_OUTPUTS}/result",
    }
    # The run that it waits for has deadlines of its own; this one only ends a wait for a run that never gets a place.
    deadline = workflow_deadline_seconds(config) + SLACK_SECONDS
    return _step(config, "run", variables, inputs=["task"], outputs=[_output("result")], deadline=deadline)


def _summary(config: StackConfig) -> Template:
    variables = {
        "RESULTS_B64": "{{=sprig.b64enc(inputs.parameters.results)}}",
        "COUNT": "{{inputs.parameters.count}}",
        "OUTPUT_DIR": _OUTPUTS,
    }
    outputs: list[Parameter] = [{**_output(name), "globalName": name} for name in ("results", "summary")]
    return _step(config, "summary", variables, inputs=["count", "results"], outputs=outputs)


def _step(
    config: StackConfig,
    name: str,
    variables: Mapping[str, str],
    *,
    outputs: list[Parameter],
    inputs: list[str] | None = None,
    deadline: int = SLACK_SECONDS,
) -> Template:
    template: Template = {
        "name": name,
        "outputs": {"parameters": outputs},
        "metadata": {"labels": {STEP_LABEL: f"batch-{name}", WORKFLOW_LABEL: "{{workflow.name}}"}},
        "activeDeadlineSeconds": deadline,
        "timeout": timeout(deadline),
        "retryStrategy": after_loss_of_the_pod(),
        "volumes": scratch_volumes(config),
        "script": script(config, source(f"batch-{name}", SCRIPTS[name]), variables, scratch_mounts(), waiting_resources(config)),
    }
    if inputs:
        template["inputs"] = parameters_declared(inputs)
    return template


def _batch_variables(config: StackConfig) -> dict[str, str]:
    return {
        "NAMESPACE": config.namespace,
        "WORKFLOW_NAME": "{{workflow.name}}",
        "WORKFLOW_UID": "{{workflow.uid}}",
        "API_TIMEOUT_SECONDS": str(_API_TIMEOUT_SECONDS),
    }


def _output(name: str) -> Parameter:
    return {"name": name, "valueFrom": {"path": f"{_OUTPUTS}/{name}"}}

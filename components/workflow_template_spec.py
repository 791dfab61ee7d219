"""The spec of the WorkflowTemplate ``coderun-template``.

What users give reaches one place only, as environment variables in base64: the step ``resolve``, which checks it. Everything after
that works with resolve's outputs. The lock is on an inner graph, so that neither waiting for a paused repo nor the
cleanup occupies it, and there is one lock only: lists of locks can deadlock in Argo.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import payload
from components.argo_types import (
    DagTask,
    EnvVar,
    LabelValueFrom,
    Metadata,
    Parameter,
    Parameters,
    PodSecurityContext,
    ResourceRequirements,
    RetryStrategy,
    Script,
    SecurityContext,
    Template,
    Volume,
    VolumeMount,
    WorkflowSpec,
)
from components.names import (
    BASE_LABEL,
    COMMIT_STATUS_SECRET,
    PR_LABEL,
    REPO_LABEL,
    REPOS_CONFIG_MAP,
    RUN_SERVICE_ACCOUNT,
    SEMAPHORE_ANNOTATION,
    SEMAPHORES_CONFIG_MAP,
    STEP_LABEL,
    TASK_LABEL,
    WORKFLOW_LABEL,
)
from components.run_manifests import OBJECTS_ROOT, OWN_CLAIM, as_environment_value, coderun_manifest, own_claim_manifest, run_labels
from components.storage_spec import own_class_name
from config.event_rate import hold_seconds
from config.quantities import quantity_bytes
from config.repos import REPOS_FILE
from config.settings import GitFolder, StackConfig

SLACK_SECONDS: Final = 900
"""Added to a budget for what isn't work of the step: scheduling, binding of a volume, pulling an image. A guess with
room: a claim or an image that isn't there by then needs a person."""

SCRIPTS: Final[Mapping[str, tuple[str, ...]]] = {
    "resolve": ("task-messages.sh", "commit-status.sh", "resolve.sh"),
    "init-worktree": (
        "task-messages.sh",
        "base-lock.sh",
        "coderun-end.sh",
        "commit-status.sh",
        "superseding-run.sh",
        "fence.sh",
        "task-removal.sh",
        "seed-copy.sh",
        "base-repair.sh",
        "private-git-folder.sh",
        "repo-content.sh",
        "init-worktree.sh",
    ),
    "claim": ("task-messages.sh", "coderun-end.sh", "claim-events.sh", "own-claim.sh"),
    "create-coderun": ("task-messages.sh", "coderun-end.sh", "watch-phase.sh", "superseding-run.sh", "run-coderun.sh"),
    "cleanup": (
        "task-messages.sh",
        "base-lock.sh",
        "coderun-end.sh",
        "task-removal.sh",
        "claim-events.sh",
        "kept-work.sh",
        "failed-step.sh",
        "commit-status.sh",
        "run-outcome.sh",
        "cleanup.sh",
    ),
    "keep-own-claim": ("task-messages.sh", "base-lock.sh", "coderun-end.sh", "kept-work.sh", "keep-own-claim.sh"),
}
"""Files of payload/ that make each step's script, in this order (payload/README.md)."""

KEEP_SECONDS: Final = 120
"""Longest time for keeping the work of one run. A guess with room: 1,000 changed files and 50 commits of the fixture repository
take a second or two (tests/payload/test_kept_work.py), and what takes minutes is above any sensible size."""

KEPT_SUB_PATH: Final = "base/.kept"
"""Folder of kept work on the shared claim."""

ENTRYPOINT: Final = "coderun-main"
EVENT_ENTRYPOINT: Final = "coderun-event"
"""Entry of runs that an event starts: they wait before anything looks up the head of their pull request."""

HEAD_PARAMETER: Final = "headCommit"
"""Parameter of such runs only: the commit that the event told of, at which their state is shown until they know the one they work on."""

_POD_DELETE_DELAY: Final = "60s"  # long enough to read an ended step's log, short enough not to fill the node
_PAUSE_POLL_SECONDS: Final = 10  # the kubelet brings a changed ConfigMap into a pod within about a minute
_RESOLVED: Final = "/work/resolved"
_RESOLVE_OUTPUTS: Final = ("owner", "repo", "ref", "task-id", "key", "mode", "credentials-secret", "github-app")
_PARAMETER_VARIABLES: Final = {
    "OWNER": "owner",
    "REPO": "repo",
    "REF": "ref",
    "BASE_REF": "baseRef",
    "TASK_ID": "taskId",
    "PR_NUMBER": "prNumber",
    "GITHUB_APP": "github-app",
    "USE_PVC": "usePVC",
}
_INIT_INPUTS: Final = ("owner", "repo", "ref", "task-id", "key", "credentials-secret")
_RUN_INPUTS: Final = ("owner", "repo", "task-id", "key", "github-app", "claim", "workspace-path")
_TOKEN_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a folder
_CREDENTIALS_FOLDER: Final = "/etc/coderun/credentials"
_REPOS_FOLDER: Final = "/etc/coderun/repos"
_STATUS_FOLDER: Final = "/etc/coderun/status"


def workflow_template_spec(config: StackConfig, stack: str) -> WorkflowSpec:
    """Build the spec. It depends on the stack's settings, but not on the repo list.

    Args:
        config: The stack's settings.
        stack: The stack's name, part of the name of a storage class that it creates.

    Returns:
        The spec, as it is applied.

    Raises:
        ValueError: A script of payload/ contains ``{{``.
        FileNotFoundError: A script of payload/ is missing.
    """
    return {
        "entrypoint": ENTRYPOINT,
        "onExit": "on-exit",
        "serviceAccountName": RUN_SERVICE_ACCOUNT,
        "parallelism": config.parallelism,
        "activeDeadlineSeconds": workflow_deadline_seconds(config),
        "arguments": {"parameters": _arguments(config)},
        "podGC": {"strategy": "OnPodCompletion", "deleteDelayDuration": _POD_DELETE_DELAY},
        "ttlStrategy": {
            "secondsAfterSuccess": config.retention.success_seconds,
            "secondsAfterFailure": config.retention.failure_seconds,
        },
        "workflowMetadata": {"labels": run_labels(), "labelsFrom": _labels_from()},
        "podMetadata": {"labels": run_labels()},
        "securityContext": pod_security_context(config),
        "templates": [
            _main(),
            *_event_main(config),
            _resolve(config),
            _locked(config),
            _claim(config, stack),
            _init_worktree(config),
            _init_worktree_own_claim(config),
            _create_coderun(config, "create-coderun", config.coderun.git_folder),
            # Nobody else uses that claim: its base is the task's own.
            _create_coderun(config, "create-coderun-own-claim", "shared"),
            _on_exit(),
            _cleanup(config),
            _keep_own_claim(config),
        ],
    }


def workflow_deadline_seconds(config: StackConfig) -> int:
    """Add up the longest wait after an event, pause, queue, wait for a claim, init and run: waiting is never ended as if it were work."""
    budgets = config.deadlines
    work = budgets.claim_seconds + budgets.init_seconds + budgets.fence_seconds + budgets.run_seconds + budgets.fence_seconds
    return _hold_seconds(config) + budgets.resolve_seconds + budgets.queue_seconds + work + SLACK_SECONDS


def _hold_seconds(config: StackConfig) -> int:
    return hold_seconds(config.events.debounce_seconds, config.events.max_per_minute) if config.events else 0


def pod_security_context(config: StackConfig) -> PodSecurityContext:
    """Make the security settings of every pod that touches a claim: one user, never root."""
    return {
        "runAsNonRoot": True,
        "runAsUser": config.pod_security.uid,
        "runAsGroup": config.pod_security.gid,
        "fsGroup": config.pod_security.gid,
        # Always would walk through every tree of every task at each step.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security_context() -> SecurityContext:
    """Make the security settings of every container."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
    }


def waiting_resources(config: StackConfig) -> ResourceRequirements:
    """Size a container that talks and waits."""
    return {
        "requests": {"cpu": config.resources.cpu, "memory": config.resources.memory},
        "limits": {"memory": config.resources.memory},
    }


def git_resources(config: StackConfig) -> ResourceRequirements:
    """Size a container that runs git. No CPU limit: a throttled checkout holds the lock for longer."""
    return {
        "requests": {"cpu": config.resources.git_cpu, "memory": config.resources.git_memory_request},
        "limits": {"memory": config.resources.git_memory_limit},
    }


def _arguments(config: StackConfig) -> list[Parameter]:
    # For the runs of events, and for a person who submits one by hand: an expression over a parameter that isn't there would hang it.
    told: list[Parameter] = [{"name": HEAD_PARAMETER, "value": "", "description": "Set by events: the commit that they tell of."}]
    return [
        {"name": "owner", "description": "Owner of the repo. Required."},
        {"name": "repo", "description": "Name of the repo. Required."},
        {"name": "ref", "value": "refs/heads/main", "description": "Branch, tag, refs/pull/N/head or commit id to work on."},
        {"name": "taskId", "value": "", "description": "Name of the task's folder; default pr-N-<workflow> or <workflow>."},
        {"name": "prNumber", "value": "", "description": "Number of the pull request, if there is one."},
        {"name": "baseRef", "value": "", "description": "Ref whose branch picks the semaphore; default ref."},
        {"name": "github-app", "value": config.default_github_app, "description": "Name of the credentials, also given to the CodeRun."},
        {"name": "usePVC", "value": "false", "description": "true: the run gets a claim of its own."},
        *(told if config.events else []),
    ]


def _labels_from() -> dict[str, LabelValueFrom]:
    """Label a workflow with what it is for, for ``kubectl get workflows -l``. Whatever was submitted, the values are ones that Kubernetes takes."""

    def label(value: str) -> LabelValueFrom:
        plain = f"sprig.trunc(63, sprig.regexReplaceAll('[^A-Za-z0-9._-]', {value}, '_'))"
        return {"expression": f"sprig.regexReplaceAll('^[._-]+|[._-]+$', {plain}, '')"}

    base = "(workflow.parameters['baseRef'] == '' ? workflow.parameters['ref'] : workflow.parameters['baseRef'])"
    return {
        REPO_LABEL: label("workflow.parameters['owner'] + '.' + workflow.parameters['repo']"),
        BASE_LABEL: label(f"sprig.regexReplaceAll('^refs/heads/', {base}, '')"),
        PR_LABEL: label("workflow.parameters['prNumber']"),
    }


def _main() -> Template:
    return {"name": ENTRYPOINT, "dag": {"tasks": _tasks({"name": "resolve", "template": "resolve"})}}


def _event_main(config: StackConfig) -> list[Template]:
    if config.events is None:
        return []
    resolve: DagTask = {"name": "resolve", "template": "resolve", "depends": "hold.Succeeded"}
    return [
        {"name": EVENT_ENTRYPOINT, "dag": {"tasks": [{"name": "hold", "template": "hold"}, *_tasks(resolve)]}},
        {"name": "hold", "suspend": {"duration": f"{_hold_seconds(config)}s"}},
    ]


def _tasks(resolve: DagTask) -> list[DagTask]:
    resolved = "{{tasks.resolve.outputs.parameters.%s}}"
    return [
        resolve,
        {
            "name": "locked",
            "template": "locked",
            "depends": "resolve.Succeeded",
            "arguments": parameters_given({name: resolved % name for name in _RESOLVE_OUTPUTS}),
        },
    ]


def _resolve(config: StackConfig) -> Template:
    budget = config.deadlines.resolve_seconds
    outputs: list[Parameter] = [{"name": name, "valueFrom": {"path": f"{_RESOLVED}/{name}"}} for name in _RESOLVE_OUTPUTS]
    for output in outputs:
        # In the workflow's status, so that kubectl shows what a run waits for.
        if output["name"] == "key":
            output["globalName"] = "semaphore-key"
    submitted = {**_PARAMETER_VARIABLES, **({"HEAD_COMMIT": HEAD_PARAMETER} if config.events else {})}
    variables = {
        **{f"{variable}_B64": f"{{{{=sprig.b64enc(workflow.parameters['{name}'])}}}}" for variable, name in submitted.items()},
        "WORKFLOW_NAME": "{{workflow.name}}",
        "DEFAULT_GITHUB_APP": config.default_github_app,
        "REPOS_FILE": f"{_REPOS_FOLDER}/{REPOS_FILE}",
        "OUTPUT_DIR": _RESOLVED,
        "PAUSE_POLL_SECONDS": str(_PAUSE_POLL_SECONDS),
        "PAUSE_TIMEOUT_SECONDS": str(budget),
        **_event_variables(config),
        **_status_variables(config),
    }
    mounts: list[VolumeMount] = [
        *scratch_mounts(),
        _repos_mount(),
        *_status_mounts(config),
        # An empty folder in the token's place keeps it from this container; Argo's own container beside it needs one.
        {"name": "tmp", "mountPath": _TOKEN_FOLDER, "subPath": "no-token", "readOnly": True},
    ]
    return {
        "name": "resolve",
        "outputs": {"parameters": outputs},
        "metadata": _step_metadata("resolve"),
        "activeDeadlineSeconds": budget + SLACK_SECONDS,
        "timeout": timeout(budget + SLACK_SECONDS),
        "retryStrategy": after_loss_of_the_pod(),
        "volumes": [*scratch_volumes(config), _repos_volume(), *_status_volumes(config)],
        "script": script(config, source("resolve", SCRIPTS["resolve"]), variables, mounts, waiting_resources(config)),
    }


def _locked(config: StackConfig) -> Template:
    given = "{{inputs.parameters.%s}}"
    from_task = "{{tasks.%s.outputs.parameters.workspace-path}}"
    in_init = parameters_given({name: given % name for name in _INIT_INPUTS})

    def run(name: str, init: str, claim: str) -> DagTask:
        handed_on = {name: given % name for name in ("owner", "repo", "task-id", "key", "github-app")}
        return {
            "name": name,
            "template": name,
            "depends": f"{init}.Succeeded",
            "arguments": parameters_given({**handed_on, "claim": claim, "workspace-path": from_task % init}),
        }

    return {
        "name": "locked",
        "inputs": parameters_declared(_RESOLVE_OUTPUTS),
        "synchronization": {"semaphores": [{"configMapKeyRef": {"name": SEMAPHORES_CONFIG_MAP, "key": given % "key"}}]},
        "dag": {
            "tasks": [
                {"name": "init-worktree", "template": "init-worktree", "when": f"{given % 'mode'} == shared", "arguments": in_init},
                run("create-coderun", "init-worktree", config.storage.shared.claim_name),
                {
                    "name": "claim",
                    "template": "claim",
                    "when": f"{given % 'mode'} == claim",
                    "arguments": parameters_given({"task-id": given % "task-id"}),
                },
                {"name": "init-worktree-own-claim", "template": "init-worktree-own-claim", "depends": "claim.Succeeded", "arguments": in_init},
                run("create-coderun-own-claim", "init-worktree-own-claim", OWN_CLAIM),
            ],
        },
    }


def _claim(config: StackConfig, stack: str) -> Template:
    # Not a resource step: it ends when the claim is made, and whether the claim can be used is known later.
    budget = config.deadlines.claim_seconds
    variables = {
        **_run_variables(config),
        "CLAIM_MANIFEST": as_environment_value(own_claim_manifest(config, stack)),
        "CLAIM_CLASS": own_class_name(config, stack) or "",
        "CLAIM_TIMEOUT_SECONDS": str(budget),
    }
    return {
        "name": "claim",
        "inputs": parameters_declared(["task-id"]),
        "metadata": _task_metadata("claim"),
        "activeDeadlineSeconds": budget + SLACK_SECONDS,
        "timeout": timeout(budget + SLACK_SECONDS),
        "retryStrategy": after_loss_of_the_pod(),
        "volumes": scratch_volumes(config),
        "script": script(config, source("claim", SCRIPTS["claim"]), variables, scratch_mounts(), waiting_resources(config)),
    }


def _init_worktree(config: StackConfig) -> Template:
    volumes: list[Volume] = [{"name": "work", "persistentVolumeClaim": {"claimName": config.storage.shared.claim_name}}]
    return _init(config, "init-worktree", volumes, [], git_folder_variables(config))


def _init_worktree_own_claim(config: StackConfig) -> Template:
    # The shared claim is a second volume here and nowhere else: one claim in two volumes of a pod hangs.
    volumes: list[Volume] = [
        {"name": "work", "persistentVolumeClaim": {"claimName": OWN_CLAIM}},
        {"name": "seed", "persistentVolumeClaim": {"claimName": config.storage.shared.claim_name, "readOnly": True}},
    ]
    mounts: list[VolumeMount] = [{"name": "seed", "mountPath": "/work/seed", "subPath": "base", "readOnly": True}]
    own = {"SEED_ROOT": "/work/seed", "GIT_FOLDER": "shared", "CLAIM_NAME": OWN_CLAIM}
    # A claim that binds late is bound while the pod is pending, and a provisioner may never deliver: the sweep then ends the pod
    # (payload/unbound-claims.sh). Argo makes a pending pod anew unless its time is over, and begins a step again unless told.
    deadline = config.deadlines.init_seconds + config.deadlines.fence_seconds + config.deadlines.claim_seconds
    # It gives up on making it anew up to two seconds before that (3.7.17, workflow/controller/workflowpod.go: newActiveDeadlineSeconds <= 1).
    retry: RetryStrategy = {**after_loss_of_the_pod(), "expression": f"asFloat(lastRetry.duration) < {deadline - 2}"}
    return {**_init(config, "init-worktree-own-claim", volumes, mounts, own), "timeout": f"{deadline}s", "retryStrategy": retry}


def _init(config: StackConfig, name: str, volumes: list[Volume], mounts: list[VolumeMount], extra: Mapping[str, str]) -> Template:
    variables = {
        **_run_variables(config),
        "KEY": "{{inputs.parameters.key}}",
        "OWNER": "{{inputs.parameters.owner}}",
        "REPO": "{{inputs.parameters.repo}}",
        "REF": "{{inputs.parameters.ref}}",
        "TASK_ID": "{{inputs.parameters.task-id}}",
        "GIT_SERVER": config.git.server,
        **root_variables(),
        "OBJECTS_ROOT": OBJECTS_ROOT,
        "REPOS_FILE": f"{_REPOS_FOLDER}/{REPOS_FILE}",
        **extra,
        "WORKSPACE_PATH_FILE": "/work/workspace_path",
        "COMMIT_FILE": "/work/commit",
        "CREDENTIALS_DIR": _CREDENTIALS_FOLDER,
        "LOCK_TIMEOUT_SECONDS": str(config.git.lock_timeout_seconds),
        "LOW_SPEED_SECONDS": str(config.git.low_speed_seconds),
        "FENCE_TIMEOUT_SECONDS": str(config.deadlines.fence_seconds),
        **_event_variables(config),
        **_status_variables(config),
    }
    # Group-readable, not only the owner: with fsGroup the files of a Secret belong to root.
    credentials: Volume = {
        "name": "credentials",
        "secret": {"secretName": "{{inputs.parameters.credentials-secret}}", "optional": True, "defaultMode": 0o440},
    }
    all_mounts: list[VolumeMount] = [
        *scratch_mounts(),
        *work_mounts(),
        *mounts,
        _repos_mount(),
        {"name": "credentials", "mountPath": _CREDENTIALS_FOLDER, "readOnly": True},
        *_status_mounts(config),
    ]
    return {
        "name": name,
        "inputs": parameters_declared(_INIT_INPUTS),
        "outputs": {
            "parameters": [
                {"name": "workspace-path", "valueFrom": {"path": "/work/workspace_path"}},
                {"name": "commit", "valueFrom": {"path": "/work/commit"}, "globalName": "commit"},
            ],
        },
        "metadata": _task_metadata("init-worktree"),
        "activeDeadlineSeconds": config.deadlines.init_seconds + config.deadlines.fence_seconds,
        "timeout": timeout(config.deadlines.init_seconds + config.deadlines.fence_seconds),
        "retryStrategy": after_loss_of_the_pod(),
        "volumes": [*scratch_volumes(config), *volumes, _repos_volume(), credentials, *_status_volumes(config)],
        "script": script(config, source("init-worktree", SCRIPTS["init-worktree"]), variables, all_mounts, git_resources(config)),
    }


def _create_coderun(config: StackConfig, name: str, git_folder: GitFolder) -> Template:
    # No retry: with the pod the agent is ended, and a second one would start in the tree that the first has changed.
    variables = {
        **_run_variables(config),
        "CODERUN_MANIFEST": as_environment_value(coderun_manifest(config, git_folder)),
        "SUCCEEDED_PHASES": " ".join(config.coderun.succeeded_phases),
        "FAILED_PHASES": " ".join(config.coderun.failed_phases),
        "RUN_TIMEOUT_SECONDS": str(config.deadlines.run_seconds),
        "FENCE_TIMEOUT_SECONDS": str(config.deadlines.fence_seconds),
        **_event_variables(config),
    }
    metadata = _task_metadata("create-coderun")
    return {
        "name": name,
        "inputs": parameters_declared(_RUN_INPUTS),
        "metadata": {**metadata, "annotations": {SEMAPHORE_ANNOTATION: "{{inputs.parameters.key}}"}},
        # The script's own deadline comes first: it ends the agent while the lock is still held.
        "activeDeadlineSeconds": config.deadlines.run_seconds + config.deadlines.fence_seconds + SLACK_SECONDS,
        "timeout": timeout(config.deadlines.run_seconds + config.deadlines.fence_seconds + SLACK_SECONDS),
        "volumes": scratch_volumes(config),
        "script": script(config, source("create-coderun", SCRIPTS["create-coderun"]), variables, scratch_mounts(), waiting_resources(config)),
    }


def _on_exit() -> Template:
    # A pod that mounts a claim which isn't there waits for ever: so cleanup looks, and only then says that there is something to keep.
    return {
        "name": "on-exit",
        "steps": [
            [{"name": "cleanup", "template": "cleanup"}],
            [{"name": "keep-own-claim", "template": "keep-own-claim", "when": "{{steps.cleanup.outputs.parameters.own-claim}} == keep"}],
        ],
    }


def _cleanup(config: StackConfig) -> Template:
    # It mounts the shared claim always and the own one never: what is to be deleted must not be in use.
    volumes: list[Volume] = [
        *scratch_volumes(config),
        {"name": "work", "persistentVolumeClaim": {"claimName": config.storage.shared.claim_name}},
        *_status_volumes(config),
    ]
    variables = {
        **_run_variables(config),
        **root_variables(),
        **git_folder_variables(config),
        **kept_variables(config),
        **_exit_variables(config),
        **_event_variables(config),
        **_status_variables(config),
        "OWN_CLAIM_FILE": "/work/own-claim",
    }
    return {
        "name": "cleanup",
        "outputs": {"parameters": [{"name": "own-claim", "valueFrom": {"path": "/work/own-claim", "default": "gone"}}]},
        "metadata": _step_metadata("cleanup"),
        "activeDeadlineSeconds": config.deadlines.cleanup_seconds + SLACK_SECONDS,
        "timeout": timeout(config.deadlines.cleanup_seconds + SLACK_SECONDS),
        "retryStrategy": after_loss_of_the_pod(),
        "volumes": volumes,
        "script": script(
            config,
            source("cleanup", SCRIPTS["cleanup"]),
            variables,
            [*scratch_mounts(), *work_mounts(), *_status_mounts(config)],
            git_resources(config),
        ),
    }


def _keep_own_claim(config: StackConfig) -> Template:
    # The only pod beside init that sees both claims. What it may write to is the folder of kept work alone.
    volumes: list[Volume] = [
        *scratch_volumes(config),
        {"name": "work", "persistentVolumeClaim": {"claimName": config.storage.shared.claim_name}},
        {"name": "own", "persistentVolumeClaim": {"claimName": OWN_CLAIM, "readOnly": True}},
    ]
    mounts: list[VolumeMount] = [
        *scratch_mounts(),
        {"name": "work", "mountPath": "/work/base", "subPath": "base", "readOnly": True},
        {"name": "work", "mountPath": "/work/kept", "subPath": KEPT_SUB_PATH},
        {"name": "own", "mountPath": "/work/own", "readOnly": True},
    ]
    variables = {
        **_run_variables(config),
        **kept_variables(config),
        **_exit_variables(config),
        "BASE_ROOT": "/work/base",
        "KEPT_ROOT": "/work/kept",
        "OWN_ROOT": "/work/own",
        "TREES_ROOT": "/work/own/trees",
    }
    deadline = KEEP_SECONDS + config.deadlines.cleanup_seconds
    return {
        "name": "keep-own-claim",
        "metadata": _step_metadata("keep-own-claim"),
        "activeDeadlineSeconds": deadline,
        "timeout": timeout(deadline),
        "retryStrategy": after_loss_of_the_pod(),
        "volumes": volumes,
        "script": script(config, source("keep-own-claim", SCRIPTS["keep-own-claim"]), variables, mounts, git_resources(config)),
    }


def source(step: str, files: Iterable[str]) -> str:
    """Join the files of payload/ that make a step's script; ValueError if Argo or the kubelet would change it."""
    text = payload.source(*files)
    # Argo hands a script to its pod in an environment variable, where the kubelet makes one dollar sign of two.
    if "$$" in text:
        raise ValueError(
            f"a script of the step {step} contains '$$', which the kubelet would change. Remedy: use a name made by mktemp, not the process id."
        )
    return text


def script(config: StackConfig, text: str, variables: Mapping[str, str], mounts: list[VolumeMount], resources: ResourceRequirements) -> Script:
    """Make a step that runs a script in the workspace image."""
    return {
        "image": config.images.workspace,
        "imagePullPolicy": config.image_pull_policy,
        "command": ["sh"],
        "workingDir": "/work",
        "source": text,
        "env": environment(variables),
        "resources": resources,
        "securityContext": container_security_context(),
        "volumeMounts": mounts,
    }


def environment(variables: Mapping[str, str]) -> list[EnvVar]:
    """Write the environment of a script: its variables, and where it may write."""
    return [{"name": name, "value": value} for name, value in {"HOME": "/tmp", "TMPDIR": "/tmp", **variables}.items()]  # noqa: S108 - an emptyDir


def api_variables(config: StackConfig) -> dict[str, str]:
    """Name for payload/coderun-end.sh what it asks the API server for."""
    return {
        "NAMESPACE": config.namespace,
        "CODERUN_RESOURCE": f"{config.coderun.plural}.{config.coderun.group}",
        "CODERUN_VERSION": config.coderun.version,
        "POD_LABEL": config.coderun.pod_label,
    }


def kept_variables(config: StackConfig) -> dict[str, str]:
    """Say for payload/kept-work.sh what is kept, and within which limits."""
    kept = config.keep_on_failure
    return {
        "KEPT_ROOT": "/work/base/.kept",
        "KEPT_MAX_BYTES": str(quantity_bytes(kept.max_size) if kept.enabled else 0),
        "KEPT_DAYS": str(kept.days),
        # Half of the container's: git's and the rest's together stay below what would end the whole container.
        "KEPT_MEMORY_KIB": str(quantity_bytes(config.resources.git_memory_limit) // 1024 // 2),
        "KEPT_TIMEOUT_SECONDS": str(KEEP_SECONDS),
    }


def root_variables() -> dict[str, str]:
    """Say where the shared claim's two folders are."""
    return {"BASE_ROOT": "/work/base", "TREES_ROOT": "/work/trees"}


def _run_variables(config: StackConfig) -> dict[str, str]:
    return {**api_variables(config), "WORKFLOW_NAME": "{{workflow.name}}", "WORKFLOW_UID": "{{workflow.uid}}"}


def _exit_variables(config: StackConfig) -> dict[str, str]:
    return {
        "WORKFLOW_STATUS": "{{workflow.status}}",
        "LOCK_TIMEOUT_SECONDS": str(config.git.lock_timeout_seconds),
        "CLEANUP_TIMEOUT_SECONDS": str(config.deadlines.cleanup_seconds),
    }


def git_folder_variables(config: StackConfig) -> dict[str, str]:
    """Say who writes in the bases of the shared claim, and how messages name it."""
    return {"GIT_FOLDER": config.coderun.git_folder, "CLAIM_NAME": config.storage.shared.claim_name}


def _repos_volume() -> Volume:
    return {"name": "repos", "configMap": {"name": REPOS_CONFIG_MAP}}


def _repos_mount() -> VolumeMount:
    # The folder, not one file of it by subPath: only then a change reaches a run that waits for the end of a pause.
    return {"name": "repos", "mountPath": _REPOS_FOLDER, "readOnly": True}


def _event_variables(config: StackConfig) -> dict[str, str]:
    """Tell a step whether an event has started its run, and whether a newer run of the same pull request ends it."""
    if config.events is None:
        return {}
    return {"ENTRYPOINT": "{{workflow.mainEntrypoint}}", "SUPERSEDE": str(config.events.supersede).lower()}


def _status_variables(config: StackConfig) -> dict[str, str]:
    if config.events is None or config.events.commit_status is None:
        return {}
    status = config.events.commit_status
    return {
        "STATUS_API": config.events.api_url,
        "STATUS_CONTEXT": status.context,
        "STATUS_TOKEN_FILE": f"{_STATUS_FOLDER}/password",
        "STATUS_LINK": f"{status.link}{{{{workflow.name}}}}" if status.link else "",
    }


def _status_volumes(config: StackConfig) -> list[Volume]:
    if config.events is None or config.events.commit_status is None:
        return []
    secret = config.events.commit_status.secret_name or COMMIT_STATUS_SECRET
    # Optional: a run is worth more than the report on it.
    return [{"name": "status-token", "secret": {"secretName": secret, "optional": True, "defaultMode": 0o440}}]


def _status_mounts(config: StackConfig) -> list[VolumeMount]:
    return [{"name": volume["name"], "mountPath": _STATUS_FOLDER, "readOnly": True} for volume in _status_volumes(config)]


def scratch_volumes(config: StackConfig) -> list[Volume]:
    """Give a pod of the scripts its own /work and /tmp."""
    limit = config.resources.scratch
    return [{"name": "scratch", "emptyDir": {"sizeLimit": limit}}, {"name": "tmp", "emptyDir": {"sizeLimit": limit}}]


def scratch_mounts() -> list[VolumeMount]:
    """Mount the pod's own /work and /tmp."""
    return [{"name": "scratch", "mountPath": "/work"}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the pod's own emptyDir


def work_mounts() -> list[VolumeMount]:
    """Mount the two folders of the volume ``work``."""
    return [
        {"name": "work", "mountPath": "/work/base", "subPath": "base"},
        {"name": "work", "mountPath": "/work/trees", "subPath": "trees"},
    ]


def _step_metadata(step: str) -> Metadata:
    return {"labels": {STEP_LABEL: step, WORKFLOW_LABEL: "{{workflow.name}}"}}


def _task_metadata(step: str) -> Metadata:
    return {"labels": {**_step_metadata(step)["labels"], TASK_LABEL: "{{inputs.parameters.task-id}}"}}


def timeout(deadline_seconds: int) -> str:
    """Write a template's ``timeout`` for its ``activeDeadlineSeconds``."""
    # The deadline counts from the pod's start. This also ends a pod that can't start, so that it gives the lock back.
    return f"{deadline_seconds + SLACK_SECONDS}s"


def after_loss_of_the_pod() -> RetryStrategy:
    """Try a step again whose pod was lost."""
    # Only when Argo lost the pod, never when the script failed: its answer would be the same. The steps may be repeated.
    return {"limit": 2, "retryPolicy": "OnError", "backoff": {"duration": "10s", "factor": 2}}


def parameters_declared(names: Iterable[str]) -> Parameters:
    """Declare inputs."""
    return {"parameters": [{"name": name} for name in names]}


def parameters_given(values: Mapping[str, str]) -> Parameters:
    """Give arguments."""
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}

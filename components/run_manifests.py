"""What a run makes in the cluster: its own claim and its CodeRun.

Every ``{{…}}`` in here names something that Argo or the step ``resolve`` made and checked, never a raw parameter.
"""

import json
from typing import Any, Final

from components.kubelet_text import literal
from components.names import (
    CLEANUP_LABEL,
    CLEANUP_ON_EXIT,
    PART_OF,
    PART_OF_LABEL,
    SEMAPHORE_ANNOTATION,
    TASK_LABEL,
    WORKFLOW_LABEL,
    WORKFLOW_UID_LABEL,
)
from components.storage_spec import own_class_name
from config.settings import GitFolder, StackConfig

OWN_CLAIM: Final = "{{workflow.name}}-work"
"""Name of the claim that a run with usePVC=true makes."""

OBJECTS_ROOT: Final = "/work/objects"
"""Below it an agent with a git folder of its own sees the objects of the shared clone, at OWNER/REPO."""

_BASE: Final = "base/{{inputs.parameters.owner}}/{{inputs.parameters.repo}}.git"
_PRIVATE: Final = "base/.private/{{inputs.parameters.task-id}}"
_OBJECTS: Final = f"{OBJECTS_ROOT}/{{{{inputs.parameters.owner}}}}/{{{{inputs.parameters.repo}}}}"
_TREE: Final = "trees/{{inputs.parameters.task-id}}"


def run_labels() -> dict[str, str]:
    """Label what a run makes from its first moment, before its task id is known."""
    # The name may come again, the UID never does: proof that a run is gone is looked up by it.
    return {WORKFLOW_LABEL: "{{workflow.name}}", WORKFLOW_UID_LABEL: "{{workflow.uid}}", PART_OF_LABEL: PART_OF, CLEANUP_LABEL: CLEANUP_ON_EXIT}


def own_claim_manifest(config: StackConfig, stack: str) -> dict[str, Any]:
    """Make the claim of a run with usePVC=true for a step with the input ``task-id``."""
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": config.storage.own.size}}}
    class_name = own_class_name(config, stack)
    if class_name:
        spec["storageClassName"] = class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": OWN_CLAIM,
            "namespace": config.namespace,
            "labels": {**run_labels(), TASK_LABEL: "{{inputs.parameters.task-id}}"},
            "ownerReferences": [_workflow_as_owner()],
        },
        "spec": spec,
    }


def coderun_manifest(config: StackConfig, git_folder: GitFolder) -> dict[str, Any]:
    """Make the CodeRun for a step with the inputs owner, repo, task-id, key, github-app, claim and workspace-path.

    Args:
        config: The stack's settings.
        git_folder: ``private``: at the base's path the agent's pod has the task's own git folder, which leans on the base's objects, mounted
            read-only. ``shared``: it has the base itself.
    """
    security = config.pod_security
    return {
        "apiVersion": f"{config.coderun.group}/{config.coderun.version}",
        "kind": config.coderun.kind,
        "metadata": {
            "name": "{{workflow.name}}",
            "namespace": config.namespace,
            "labels": {**run_labels(), TASK_LABEL: "{{inputs.parameters.task-id}}"},
            "annotations": {SEMAPHORE_ANNOTATION: "{{inputs.parameters.key}}"},
            "ownerReferences": [_workflow_as_owner()],
        },
        "spec": {
            **config.coderun.spec,
            "githubApp": "{{inputs.parameters.github-app}}",
            "workspace": {
                "path": "{{inputs.parameters.workspace-path}}",
                "mounts": [
                    {"claimName": "{{inputs.parameters.claim}}", "subPath": folder, "mountPath": path, "readOnly": read_only}
                    for folder, path, read_only in _mounts(git_folder)
                ],
                "securityContext": {"runAsUser": security.uid, "runAsGroup": security.gid, "fsGroup": security.gid},
                # One uid for all pods makes git content with the folders' owner; this keeps it so where the volume maps owners.
                "env": [
                    {"name": "GIT_CONFIG_COUNT", "value": "2"},
                    {"name": "GIT_CONFIG_KEY_0", "value": "safe.directory"},
                    {"name": "GIT_CONFIG_VALUE_0", "value": f"/work/{_BASE}"},
                    {"name": "GIT_CONFIG_KEY_1", "value": "safe.directory"},
                    {"name": "GIT_CONFIG_VALUE_1", "value": f"/work/{_TREE}"},
                ],
            },
        },
    }


def _mounts(git_folder: GitFolder) -> list[tuple[str, str, bool]]:
    tree = (_TREE, f"/work/{_TREE}", False)
    if git_folder == "shared":
        return [(_BASE, f"/work/{_BASE}", False), tree]
    return [(_PRIVATE, f"/work/{_BASE}", False), (f"{_BASE}/objects", _OBJECTS, True), tree]


def as_environment_value(manifest: dict[str, Any]) -> str:
    """Write a manifest as JSON for an environment variable."""
    return literal(json.dumps(manifest, separators=(",", ":")))


def _workflow_as_owner() -> dict[str, Any]:
    # Not blocking: a deleted Workflow is gone at once, its claim and CodeRun follow.
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "name": "{{workflow.name}}",
        "uid": "{{workflow.uid}}",
        "controller": False,
        "blockOwnerDeletion": False,
    }

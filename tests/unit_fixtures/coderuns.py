"""CodeRuns and a cluster in memory for the controller's tests."""

from dataclasses import dataclass, field
from typing import Any

from tests.fixtures.coderun_controller import pods
from tests.fixtures.coderun_controller.api import ApiError, JsonObject
from tests.fixtures.coderun_controller.reconcile import coderun_path, pods_path

DEFAULTS = pods.Defaults(image="example/agent:1", command=("sh", "task.sh"))
NAMESPACE = "argo"


def coderun(name: str = "run-1", uid: str = "uid-1", **spec: Any) -> JsonObject:  # noqa: ANN401 (any JSON)
    """A CodeRun as a run applies it."""
    return {
        "apiVersion": "platform.example.io/v1alpha1",
        "kind": "CodeRun",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid,
            "labels": {
                "workflow": name,
                "app.kubernetes.io/part-of": "coderun",
                "coderun/task-id": "t1",
                "coderun/workflow-uid": "wf-uid",
                "unrelated": "label",
            },
            "annotations": {"coderun/semaphore-key": "exampleorg-sample-main", "unrelated": "annotation"},
        },
        "spec": {
            "githubApp": "rex",
            "workspace": {
                "path": "/work/trees/t1",
                "mounts": [
                    {
                        "claimName": "shared",
                        "subPath": "base/exampleorg/sample.git",
                        "mountPath": "/work/base/exampleorg/sample.git",
                        "readOnly": False,
                    },
                    {"claimName": "shared", "subPath": "trees/t1", "mountPath": "/work/trees/t1"},
                ],
                "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000},
                "env": [{"name": "GIT_CONFIG_COUNT", "value": "1"}],
            },
            **spec,
        },
    }


@dataclass
class FakeCluster:
    """Objects by path. A deletion marks a living pod and removes an ended one, as the API server does."""

    objects: dict[str, JsonObject] = field(default_factory=dict)
    refuse_create: ApiError | None = None
    log: str = ""
    deleted: list[str] = field(default_factory=list)

    def put_coderun(self, run: JsonObject) -> str:
        """Stores a CodeRun; returns its path."""
        path = coderun_path(NAMESPACE, run["metadata"]["name"])
        self.objects[path] = run
        return path

    def pod(self, name: str = "run-1-agent") -> JsonObject:
        """A stored pod."""
        return self.objects[f"{pods_path(NAMESPACE)}/{name}"]

    def status(self, name: str = "run-1") -> JsonObject:
        """A CodeRun's status."""
        status: JsonObject = self.objects[coderun_path(NAMESPACE, name)].get("status", {})
        return status

    def find(self, path: str) -> JsonObject | None:
        """The object, if any."""
        return self.objects.get(path)

    def items(self, path: str, label_selector: str = "") -> list[JsonObject]:
        """The objects right below a path that carry one label."""
        key, _, value = label_selector.partition("=")
        found = [o for p, o in self.objects.items() if p.rpartition("/")[0] == path]
        return [o for o in found if not key or o["metadata"].get("labels", {}).get(key) == value]

    def create(self, path: str, manifest: JsonObject) -> JsonObject:
        """Stores a pod with what the server adds."""
        if self.refuse_create:
            raise self.refuse_create
        name = manifest["metadata"]["name"]
        if f"{path}/{name}" in self.objects:
            raise ApiError(409, "AlreadyExists", name)
        manifest["metadata"] |= {"uid": f"pod-of-{name}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        self.objects[f"{path}/{name}"] = manifest
        return manifest

    def merge(self, path: str, patch: JsonObject) -> JsonObject:
        """Merges a status."""
        run = self.objects[path.removesuffix("/status")]
        if patch["metadata"]["uid"] != run["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "Precondition failed: UID in precondition")
        run["status"] = {**run.get("status", {}), **patch["status"]}
        return run

    def delete(self, path: str, options: JsonObject | None = None) -> bool:
        """Marks a living pod as being deleted, removes any other object."""
        self.deleted.append(path)
        found = self.objects.get(path)
        if found is None:
            return False
        if found.get("status", {}).get("phase", "Pending") in ("Pending", "Running"):
            found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:10Z"
        else:
            del self.objects[path]
        return True

    def log_tail(self, namespace: str, pod: str) -> str:
        """The same log for every pod."""
        return self.log

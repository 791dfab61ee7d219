"""A look at the shared claim, from a pod that mounts it whole as the runs' own user."""

import json
from dataclasses import dataclass

from tests.e2e import commands
from tests.e2e.runs import NAMESPACE, PODS
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api

POD = "e2e-inspector"
CLAIM = "coderun-shared"
IMAGE = "coderun.local/workspace:dev"
USER = 1000
"""The dev stack's podSecurity.uid and gid."""

MANIFEST = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": POD, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "coderun-e2e"}},
    "spec": {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "inspector",
                "image": IMAGE,
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"],
                "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 (in the pod: an emptyDir of its own)
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "512Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "shared", "mountPath": "/work/base", "subPath": "base"},
                    {"name": "shared", "mountPath": "/work/trees", "subPath": "trees"},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 (in the pod)
                ],
            }
        ],
        "volumes": [
            {"name": "shared", "persistentVolumeClaim": {"claimName": CLAIM}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
    },
}

LEFTOVERS = r"""
list() {
    kind=$1
    shift
    for entry; do
        if [ -e "$entry" ]; then echo "$kind $entry"; fi
    done
}
list tree /work/trees/* /work/trees/.[!.]*
list git-folder /work/base/.private/* /work/base/.private/.[!.]*
list record /work/base/.tasks/* /work/base/.tasks/.[!.]*
for base in /work/base/*/*.git; do
    if [ -d "$base" ]; then
        list admin "$base"/worktrees/*
        git --git-dir="$base" for-each-ref --format="ref $base %(refname)" refs/coderun
    fi
done
list clone /work/base/*/*.staging
"""


@dataclass(frozen=True)
class Volume:
    """The shared claim as the inspector pod sees it; made by `open_volume`."""

    def sh(self, script: str, *arguments: str) -> str:
        """Runs a shell script in the inspector pod, returns what it printed."""
        return commands.run(["kubectl", "exec", "-n", NAMESPACE, POD, "--", "sh", "-euc", script, "inspector", *arguments])

    def leftovers(self) -> frozenset[str]:
        """Trees, git folders, admin folders, refs/coderun, task records and unfinished clones, all that only a live run may have."""
        return frozenset(self.sh(LEFTOVERS).splitlines())

    def listing(self) -> frozenset[str]:
        """Every entry of the upper folders, to see that nothing was made or removed."""
        return frozenset(self.sh("find /work/base /work/trees -maxdepth 3").splitlines())

    def fsck(self, owner: str, repo: str) -> str:
        """What `git fsck --strict` says of a base, without its notes on unreachable objects. Fails on an error."""
        script = 'git --git-dir="/work/base/$1/$2.git" fsck --strict --full --no-dangling --no-progress 2>&1'
        return self.sh(script, owner, repo).strip()

    def remove_base(self, owner: str, repo: str) -> None:
        """Takes a base away, so that the next run downloads it. Only while no run uses it."""
        self.sh('rm -rf "/work/base/$1/$2.git"', owner, repo)

    def remote_commit(self, url: str, ref: str) -> str:
        """The commit of a ref at the git server (of an annotated tag: what it points to)."""
        found: dict[str, str] = {}
        for line in self.sh('git ls-remote "$1" "$2" "$2^{}"', url, ref).splitlines():
            commit, _, name = line.partition("\t")
            found[name] = commit
        assert ref in found, f"{url} has no {ref}"
        return found.get(f"{ref}^{{}}", found[ref])


def open_volume(api: Api) -> Volume:
    """Starts the inspector pod (anew, if a broken session left one) and waits for it."""
    close_volume(api)
    wait_for("end of an older inspector pod", lambda: api.find(f"{PODS}/{POD}") is None, 60)
    commands.run(["kubectl", "apply", "-f", "-"], stdin=json.dumps(MANIFEST))
    commands.run(["kubectl", "wait", "-n", NAMESPACE, f"pod/{POD}", "--for=condition=Ready", "--timeout=120s"])
    return Volume()


def close_volume(api: Api) -> None:
    """Removes the inspector pod."""
    api.delete(f"{PODS}/{POD}")

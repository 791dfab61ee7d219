"""Checks a cluster before or after `pulumi up`; every finding comes with its remedy."""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import payload
from config.errors import ConfigError
from config.settings import StackConfig
from config.stack_file import load_stack_file

KUBERNETES = (1, 30)
"""ValidatingAdmissionPolicy is stable since Kubernetes 1.30."""

ARGO_WORKFLOWS = (3, 7, 17)
"""Earlier ones forget semaphore holders on restart (argo-workflows 16160) and leak slots (16405)."""

VOLUME_SECONDS = 120
"""How long the pod on the claim may take: a claim that binds late is bound for it first."""

_STACK_KINDS = (
    "configmaps",
    "persistentvolumeclaims",
    "serviceaccounts",
    "jobs.batch",
    "cronjobs.batch",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "workflowtemplates.argoproj.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is right, what was seen, and else the remedy."""

    right: bool
    seen: str
    remedy: str = ""


def _kubectl(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True, check=False)


def _object(*arguments: str) -> dict[str, Any] | None:
    done = _kubectl("get", *arguments, "--output=json")
    found: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return found


def _numbers(version: str) -> tuple[int, ...]:
    match = re.search(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part) for part in match.groups(default="0")) if match else ()


def kubernetes_version() -> Finding:
    """The API server answers and is recent enough."""
    done = _kubectl("version", "--output=json")
    if done.returncode != 0:
        return Finding(right=False, seen=f"the API server does not answer: {done.stderr.strip()}", remedy="check KUBECONFIG and the context")
    version = json.loads(done.stdout)["serverVersion"]["gitVersion"]
    wanted = ".".join(map(str, KUBERNETES))
    return Finding(_numbers(version) >= KUBERNETES, f"Kubernetes {version}", f"upgrade to {wanted} or newer: admission policies are needed")


def argo_version(config: StackConfig) -> Finding:
    """The workflow controller runs and is recent enough."""
    remedy = f"install Argo Workflows {'.'.join(map(str, ARGO_WORKFLOWS))} or newer in the namespace {config.namespace}"
    done = _kubectl("--namespace", config.namespace, "exec", "deployment/workflow-controller", "--", "workflow-controller", "version")
    if done.returncode != 0:
        return Finding(right=False, seen=f"no workflow controller answers in {config.namespace}: {done.stderr.strip()}", remedy=remedy)
    version = done.stdout.split()[1].rstrip(":") if len(done.stdout.split()) > 1 else done.stdout.strip()
    return Finding(_numbers(done.stdout) >= ARGO_WORKFLOWS, f"Argo Workflows {version}", remedy)


def coderun_kind(config: StackConfig) -> Finding:
    """The cluster knows the kind CodeRun."""
    name = f"{config.coderun.plural}.{config.coderun.group}"
    there = _object("customresourcedefinition", name) is not None
    return Finding(there, f"the kind {name}", "install the platform's CodeRun controller, or correct coderun.group and coderun.plural")


def storage_classes(config: StackConfig) -> Iterator[Finding]:
    """Every class that the stack refers to is there."""
    for where, claim in (("storage.shared", config.storage.shared), ("storage.own", config.storage.own)):
        chosen = claim.storage_class
        if chosen is not None and chosen.create is None:
            there = _object("storageclass", chosen.name) is not None
            yield Finding(
                there, f"the storage class {chosen.name} of {where}", f"correct {where}.storageClass; `kubectl get storageclass` lists what is there"
            )


def permissions(config: StackConfig) -> Finding:
    """Whoever runs this may create what the stack is made of."""
    refused = [kind for kind in _STACK_KINDS if _kubectl("auth", "can-i", "create", kind, "--namespace", config.namespace, "--quiet").returncode != 0]
    seen = f"you may not create {', '.join(refused)}" if refused else "you may create everything that the stack is made of"
    return Finding(not refused, seen, f"have these rights granted in the namespace {config.namespace}")


def shared_claim(config: StackConfig) -> Finding:
    """A pod on the shared claim writes, locks and deletes, as every run does."""
    claim = config.storage.shared.claim_name
    seen = f"the claim {claim}, used from a pod"
    if _object("persistentvolumeclaim", claim, "--namespace", config.namespace) is None:
        return Finding(right=False, seen=f"{seen}: there is no such claim yet", remedy="run `pulumi up`, then this again")
    name = "coderun-doctor"
    kubectl = ("--namespace", config.namespace)
    _kubectl(*kubectl, "delete", "pod", name, "--ignore-not-found", "--wait=true")
    _kubectl(*kubectl, "create", "--filename=-", given=json.dumps(_claim_pod(config, name)))
    for phase in ("Succeeded", "Failed"):
        ended = _kubectl(
            *kubectl, "wait", "pod", name, f"--for=jsonpath={{.status.phase}}={phase}", f"--timeout={VOLUME_SECONDS if phase == 'Succeeded' else 1}s"
        )
        if ended.returncode == 0:
            break
    said = _kubectl(*kubectl, "logs", name).stdout.strip()
    state = _object("pod", name, *kubectl)
    _kubectl(*kubectl, "delete", "pod", name, "--ignore-not-found", "--wait=false")
    phase = (state or {}).get("status", {}).get("phase", "not created")
    return Finding(
        phase == "Succeeded", f"{seen}: {phase} {said}".strip(), "check the claim's volume: `kubectl describe pvc` and docs/troubleshooting.md"
    )


def _claim_pod(config: StackConfig, name: str) -> dict[str, Any]:
    security = config.pod_security
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "coderun"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": security.uid,
                "runAsGroup": security.gid,
                "fsGroup": security.gid,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": config.images.workspace,
                    "imagePullPolicy": config.image_pull_policy,
                    "command": ["sh", "-c", payload.source("task-messages.sh", "base-lock.sh", "prepare-claim.sh")],
                    "env": [{"name": "CLAIM_ROOT", "value": "/claim"}],
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "claim", "mountPath": "/claim"}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a path in the pod
                }
            ],
            "volumes": [
                {"name": "claim", "persistentVolumeClaim": {"claimName": config.storage.shared.claim_name}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
            ],
        },
    }


def findings(config: StackConfig) -> Iterator[Finding]:
    """Every check in turn; only the first one where the API server does not answer."""
    first = kubernetes_version()
    yield first
    if not first.seen.startswith("Kubernetes"):
        return
    yield argo_version(config)
    yield coderun_kind(config)
    yield from storage_classes(config)
    yield permissions(config)
    yield shared_claim(config)


def main() -> int:
    """Print a line for every finding; 1 if one of them is wrong."""
    parser = argparse.ArgumentParser(prog="python -m operations.doctor", description=__doc__)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the stack file")
    options = parser.parse_args()
    wrong = 0
    try:
        for finding in findings(load_stack_file(options.config)):
            wrong += not finding.right
            mark = "ok   " if finding.right else "WRONG"
            remedy = "" if finding.right else f". Remedy: {finding.remedy}"
            sys.stdout.write(f"{mark} {finding.seen}{remedy}\n")
            sys.stdout.flush()
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

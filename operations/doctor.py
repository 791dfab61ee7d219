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

import yaml

import payload
from components.namespace_limit import LIMIT_LABEL
from config.errors import ConfigError
from config.settings import Events, StackConfig
from config.stack_file import load_stack_file

KUBERNETES = (1, 30)
"""ValidatingAdmissionPolicy is stable since Kubernetes 1.30."""

ARGO_WORKFLOWS = (3, 7, 17)
"""Earlier ones forget semaphore holders on restart (argo-workflows 16160) and leak slots (16405)."""

ARGO_EVENTS = (1, 9, 10)
"""The version that the Sensor was made for and is tested with."""

EVENTS_KINDS = ("eventbus.argoproj.io", "eventsources.argoproj.io", "sensors.argoproj.io")
_INSTALL_EVENTS = f"install Argo Events {'.'.join(map(str, ARGO_EVENTS))} or newer in the namespace of events.namespace (docs/setup.md)"

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


def namespace_limit(config: StackConfig) -> Iterator[Finding]:
    """The limit of workflows at once is on the namespace, and the controller can see it: else it is silently off."""
    if config.workflows_at_once is None:
        return
    account = "argo"
    deployment = _object("deployment", "workflow-controller", "--namespace", config.namespace)
    if deployment is not None:
        account = deployment["spec"]["template"]["spec"].get("serviceAccountName", "default")
    user = f"--as=system:serviceaccount:{config.namespace}:{account}"
    allowed = all(_kubectl("auth", "can-i", verb, "namespaces", user, "--quiet").returncode == 0 for verb in ("get", "list", "watch"))
    yield Finding(
        allowed,
        f"the workflow controller ({account}) and its right to get, list and watch namespaces, which workflowsAtOnce needs",
        "give its ClusterRole get, list and watch on namespaces, then restart it",
    )
    found = ((_object("namespace", config.namespace) or {}).get("metadata", {}).get("labels") or {}).get(LIMIT_LABEL)
    yield Finding(
        found == str(config.workflows_at_once),
        f"the label {LIMIT_LABEL} of the namespace {config.namespace} is {found}, workflowsAtOnce is {config.workflows_at_once}",
        "run `pulumi up`",
    )


def events_kinds() -> Finding:
    """The cluster knows the kinds of Argo Events."""
    missing = [kind for kind in EVENTS_KINDS if _object("customresourcedefinition", kind) is None]
    seen = f"the cluster does not know the kinds {', '.join(missing)}" if missing else "the kinds of Argo Events"
    return Finding(not missing, seen, _INSTALL_EVENTS)


def events_controller(events: Events) -> Iterator[Finding]:
    """The controller of Argo Events runs, is recent enough and knows the version of the bus."""
    deployments = (_object("deployments", "--namespace", events.namespace) or {}).get("items", [])
    controller = next((each for each in deployments if _events_image(each)), None)
    if controller is None:
        yield Finding(right=False, seen=f"no controller of Argo Events in the namespace {events.namespace}", remedy=_INSTALL_EVENTS)
        return
    yield _events_version(controller)
    name = controller["metadata"]["name"]
    running = controller.get("status", {}).get("availableReplicas", 0) > 0
    seen = f"the controller of Argo Events, {name}, {'runs' if running else 'has no pod that is ready'}"
    yield Finding(running, seen, f"see why: `kubectl -n {events.namespace} logs deployment/{name}`")
    yield _bus_version(controller, events)


def _events_version(controller: dict[str, Any]) -> Finding:
    image = _events_image(controller)
    labels = controller["metadata"].get("labels") or {}
    # The program has no command that tells its version; a digest after the tag is no version.
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    version = tag if _numbers(tag) else labels.get("app.kubernetes.io/version", "")
    if not _numbers(version):
        return Finding(
            right=False,
            seen=f"the version of Argo Events can't be told from the image {image}",
            remedy="give the image a tag with its version, or the controller's Deployment the label app.kubernetes.io/version",
        )
    return Finding(_numbers(version) >= ARGO_EVENTS, f"Argo Events {version}", _INSTALL_EVENTS)


def _bus_version(controller: dict[str, Any], events: Events) -> Finding:
    seen = f"version {events.bus.version} of the event bus in the controller's configuration"
    for volume in controller["spec"]["template"]["spec"].get("volumes") or ():
        name = (volume.get("configMap") or {}).get("name", "")
        data = (_object("configmap", name, "--namespace", events.namespace) or {}).get("data") or {} if name else {}
        document = yaml.safe_load(data.get("controller-config.yaml", "")) or {}
        known = [str(each.get("version")) for each in ((document.get("eventBus") or {}).get("jetstream") or {}).get("versions") or ()]
        if known:
            lacking = "" if events.bus.version in known else f": it has {', '.join(known)}"
            return Finding(not lacking, seen + lacking, f"add it to eventBus.jetstream.versions in the ConfigMap {name}")
    return Finding(right=False, seen=f"{seen}: none was found", remedy="mount a controller-config.yaml into the controller (docs/setup.md)")


def _events_image(deployment: dict[str, Any]) -> str:
    """The image that a controller of Argo Events starts its pods from; empty for another Deployment."""
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        for variable in container.get("env") or ():
            if variable["name"] == "ARGO_EVENTS_IMAGE":
                return str(variable.get("value", ""))
    return ""


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


def permissions(namespace: str, kinds: tuple[str, ...]) -> Finding:
    """Whoever runs this may create what the stack is made of in that namespace."""
    refused = [kind for kind in kinds if _kubectl("auth", "can-i", "create", kind, "--namespace", namespace, "--quiet").returncode != 0]
    seen = f"you may not create {', '.join(refused)} in {namespace}" if refused else f"you may create what the stack is made of in {namespace}"
    return Finding(not refused, seen, f"have these rights granted in the namespace {namespace}")


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
    yield from namespace_limit(config)
    if config.events:
        yield from argo_events(config.events)
    yield coderun_kind(config)
    yield from storage_classes(config)
    yield permissions(config.namespace, _STACK_KINDS)
    yield shared_claim(config)


def argo_events(events: Events) -> Iterator[Finding]:
    """Argo Events is there as the stack's event settings need it."""
    kinds = events_kinds()
    yield kinds
    if kinds.right:
        yield from events_controller(events)
    yield permissions(events.namespace, EVENTS_KINDS)


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

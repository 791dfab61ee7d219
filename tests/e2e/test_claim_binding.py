"""Storage classes that never give a volume: the run ends in time and says why, and leaves nothing."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from components.workflow_template_spec import workflow_template_spec
from config.settings import StackConfig, StorageClass
from config.stack_file import load_stack_file
from tests.e2e import commands, stack
from tests.e2e.open_gate import open_gate
from tests.e2e.runs import E2E_LABEL, NAMESPACE, Runs, messages, phase
from tests.e2e.sightings import Sightings
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, JsonObject
from tests.fixtures.coderun_controller.phases import timestamp

PROVISIONER: Final = "nobody.example.io"
CLASSES: Final = {"immediate": "Immediate", "late": "WaitForFirstConsumer"}
CASES: Final = ("missing", *CLASSES)
CLAIM_SECONDS: Final = 15
INIT_SECONDS: Final = 20
FENCE_SECONDS: Final = 10
WAIT_SECONDS: Final = CLAIM_SECONDS + INIT_SECONDS + FENCE_SECONDS
"""Longest wait of init's pod for its claim."""

SLACK_SECONDS: Final = 150.0
"""Starts of pods, and Argo's and the controller's own rhythm, on 2 cores."""


@dataclass(frozen=True)
class Unbound:
    """How a case ended."""

    workflow: JsonObject
    said: str
    seconds: float


def class_name(case: str) -> str:
    """The class that a case's runs ask for."""
    return f"e2e-{case}"


def template(case: str) -> JsonObject:
    """The dev stack's WorkflowTemplate with another class and shorter budgets, under a name of its own."""
    config: StackConfig = load_stack_file(stack.STACK_FILE)
    own = config.storage.own.model_copy(update={"storage_class": StorageClass(name=class_name(case))})
    budgets = {"claim_seconds": CLAIM_SECONDS, "init_seconds": INIT_SECONDS, "fence_seconds": FENCE_SECONDS}
    changed = config.model_copy(
        update={"storage": config.storage.model_copy(update={"own": own}), "deadlines": config.deadlines.model_copy(update=budgets)}
    )
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": f"e2e-unbound-{case}", "namespace": NAMESPACE},
        "spec": workflow_template_spec(changed, "dev"),
    }


@pytest.fixture(scope="module")
def templates() -> Iterator[dict[str, str]]:
    """Two classes that nobody serves, and the name of a template for each case."""
    classes = [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": class_name(case)},
            "provisioner": PROVISIONER,
            "volumeBindingMode": mode,
        }
        for case, mode in CLASSES.items()
    ]
    made = {case: template(case) for case in CASES}
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*classes, *made.values()]})
    with open_gate():
        try:
            commands.run(["kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-"], stdin=manifests)
            yield {case: manifest["metadata"]["name"] for case, manifest in made.items()}
        finally:
            commands.run(["kubectl", "delete", "--ignore-not-found", "--wait=false", "-f", "-"], stdin=manifests)


def asked_for(name: str) -> bool:
    """Whether a volume was asked for, and the pod has waited long enough."""
    selector = f"involvedObject.name={name}-work,reason=ExternalProvisioning"
    events = json.loads(commands.run(["kubectl", "get", "events", "-n", NAMESPACE, "--field-selector", selector, "-o", "json"]))["items"]
    selector = f"workflows.argoproj.io/workflow={name},coderun/step=init-worktree"
    pods = json.loads(commands.run(["kubectl", "get", "pods", "-n", NAMESPACE, "-l", selector, "-o", "json"]))["items"]
    return bool(events and pods) and all(time.time() > timestamp(pod["metadata"]["creationTimestamp"]).timestamp() + WAIT_SECONDS for pod in pods)


def sweep(api: Api) -> None:
    """Sweeps once, with the time for claims that the templates have."""
    job = api.get(f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs/coderun-sweeper")["spec"]["jobTemplate"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    for variable in container["env"]:
        if variable["name"] == "CLAIM_TIMEOUT_SECONDS":
            variable["value"] = str(WAIT_SECONDS)
    name = f"sweep-{uuid.uuid4().hex[:6]}"
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": job["spec"]}
    commands.run(["kubectl", "create", "-f", "-"], stdin=json.dumps(manifest))
    try:
        commands.run(["kubectl", "-n", NAMESPACE, "wait", f"job/{name}", "--for=condition=Complete", "--timeout=180s"])
    finally:
        commands.run(["kubectl", "-n", NAMESPACE, "delete", "job", name, "--wait=false"])


@pytest.fixture(scope="module")
def unbound(api: Api, runs: Runs, templates: dict[str, str]) -> dict[str, Unbound]:
    """Runs every case at once."""
    names = {}
    for case, name in templates.items():
        command = ["argo", "submit", "--from", f"workflowtemplate/{name}", "-n", NAMESPACE, "-l", f"{E2E_LABEL}=true", "-o", "name"]
        for parameter in ("owner=exampleorg", "repo=sample", "usePVC=true"):
            command += ["-p", parameter]
        names[case] = commands.run(command).strip().splitlines()[-1].strip()
    # It is at the sweep to end a pod that waits in vain.
    late = names["late"]
    wait_for("a pod that waits for its claim", lambda: asked_for(late), 180, lambda: runs.explain(late))
    ended = runs.wait_ended([name for name in names.values() if name != late], 600)
    sweep(api)
    ended |= runs.wait_ended([late], 300)
    found = {}
    for case, name in names.items():
        workflow = ended[name]
        took = timestamp(workflow["status"]["finishedAt"]) - timestamp(workflow["metadata"]["creationTimestamp"])
        found[case] = Unbound(workflow, messages(workflow), took.total_seconds())
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_run_fails_in_time_with_the_remedy(unbound: dict[str, Unbound], runs: Runs, case: str) -> None:
    found = unbound[case]
    assert phase(found.workflow) in ("Failed", "Error"), runs.explain(found.workflow["metadata"]["name"])
    assert "storage.own.storageClass" in found.said
    assert "Remedy:" in found.said
    if case != "late":
        assert found.seconds < CLAIM_SECONDS + SLACK_SECONDS


def test_a_missing_class_is_named(unbound: dict[str, Unbound]) -> None:
    said = unbound["missing"].said
    assert "-work can't be bound (class e2e-missing)" in said
    assert 'storageclass.storage.k8s.io "e2e-missing" not found' in said


def test_a_provisioner_that_nobody_is_is_named_by_the_claims_step(unbound: dict[str, Unbound]) -> None:
    said = unbound["immediate"].said
    assert f"is not bound after {CLAIM_SECONDS} s (class e2e-immediate)" in said
    assert PROVISIONER in said


def test_a_provisioner_that_nobody_is_is_named_by_the_exit_handler(unbound: dict[str, Unbound]) -> None:
    said = unbound["late"].said
    assert "-work was not bound when the run ended" in said
    assert PROVISIONER in said


@pytest.mark.parametrize("case", CASES)
def test_no_agent_ran_and_nothing_is_left(unbound: dict[str, Unbound], runs: Runs, sightings: Sightings, case: str) -> None:
    name = unbound[case].workflow["metadata"]["name"]
    assert not sightings.coderun_seen(name)
    assert runs.objects_left([name]) == []

"""Submitting runs as a user does, following them, and explaining them when they go wrong."""

from collections.abc import Iterable
from typing import Literal

from tests.e2e import commands
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, ApiError, JsonObject
from tests.fixtures.coderun_controller.pods import GROUP, PLURAL, POD_LABEL, VERSION

NAMESPACE = "argo"
TEMPLATE = "coderun-template"
BATCH_TEMPLATE = "coderun-batch"
E2E_LABEL = "coderun-e2e"
"""On every workflow that these tests submit, so that a later session finds what a broken one left."""

FINISHED = frozenset({"Succeeded", "Failed", "Error"})
NOT_RUN = frozenset({"Omitted", "Skipped"})
RUN_SECONDS = 180.0
"""For a few runs at once to end: one takes 15 to 30 s on 2 cores."""

WORKFLOWS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflows"
CODERUNS = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
CLAIMS = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"

Template = Literal[
    "resolve",
    "claim",
    "init-worktree",
    "init-worktree-own-claim",
    "create-coderun",
    "create-coderun-own-claim",
    "cleanup",
    "keep-own-claim",
    "locked",
]


class SubmitRefusedError(Exception):
    """`argo submit` was refused; the text is what the user sees."""


class Runs:
    """The runs of one cluster."""

    def __init__(self, api: Api) -> None:
        """Takes the cluster; argo and kubectl find it by KUBECONFIG."""
        self._api = api

    def submit(self, template: str = TEMPLATE, /, **parameters: str) -> str:
        """Submits a run, returns the workflow's name. Underscores in names stand for hyphens.

        Raises SubmitRefusedError when the API server or argo refuses it.
        """
        command = ["argo", "submit", "--from", f"workflowtemplate/{template}", "-n", NAMESPACE]
        command += ["-l", f"{E2E_LABEL}=true", "-o", "name"]
        for name, value in parameters.items():
            command += ["-p", f"{name.replace('_', '-')}={value}"]
        done = commands.attempt(command)
        if done.code != 0:
            raise SubmitRefusedError(done.text)
        return done.out.strip().splitlines()[-1].strip()

    def sample(self, **parameters: str) -> str:
        """Submits a run on the sample repository."""
        return self.submit(**{"owner": "exampleorg", "repo": "sample", "github_app": "rex", **parameters})

    def batch(self, tasks: str) -> str:
        """Submits a batch of tasks, which are JSON."""
        return self.submit(BATCH_TEMPLATE, tasks=tasks)

    def of_batch(self, batch: str) -> dict[str, JsonObject]:
        """The runs of a batch's tasks by name."""
        found = self._api.items(WORKFLOWS, f"coderun/batch={batch}")
        return {w["metadata"]["name"]: w for w in found if w["metadata"]["name"] != batch}

    def stop(self, name: str) -> None:
        """Stops a run as a user does."""
        commands.run(["argo", "stop", name, "-n", NAMESPACE])

    def get(self, name: str) -> JsonObject:
        """The workflow as it is now."""
        return self._api.get(f"{WORKFLOWS}/{name}")

    def wait_ended(self, names: Iterable[str], seconds: float = RUN_SECONDS) -> dict[str, JsonObject]:
        """The workflows, once all have ended (onExit included)."""
        open_names = list(names)
        ended: dict[str, JsonObject] = {}

        def all_ended() -> bool:
            for name in [n for n in open_names if n not in ended]:
                workflow = self.get(name)
                if phase(workflow) in FINISHED:
                    ended[name] = workflow
            return len(ended) == len(open_names)

        wait_for(
            f"end of {', '.join(open_names)}",
            all_ended,
            seconds,
            lambda: "\n".join(self.explain(name) for name in open_names if name not in ended),
        )
        return ended

    def wait_succeeded(self, names: Iterable[str], seconds: float = RUN_SECONDS) -> dict[str, JsonObject]:
        """As wait_ended; a run that didn't succeed fails the test with its explanation."""
        ended = self.wait_ended(names, seconds)
        bad = [name for name, workflow in ended.items() if phase(workflow) != "Succeeded"]
        assert not bad, "\n".join(self.explain(name) for name in bad)
        return ended

    def wait_agent(self, name: str, seconds: float = RUN_SECONDS) -> JsonObject:
        """The pod of the run's agent, once it runs."""

        def running() -> JsonObject | None:
            workflow = self.get(name)
            assert phase(workflow) not in FINISHED, f"ended before its agent ran\n{self.explain(name)}"
            for pod in self.agent_pods(name):
                if pod["status"].get("phase") == "Running":
                    return pod
            return None

        return wait_for(f"agent of {name} runs", running, seconds, lambda: self.explain(name))

    def wait_for_lock(self, name: str, seconds: float = RUN_SECONDS) -> str:
        """The message of the run's locked part, once it waits for its semaphore."""

        def waiting() -> str | None:
            found = node(self.get(name), "locked")
            message = str(found.get("message", "")) if found else ""
            return message if message.startswith("Waiting for") else None

        return wait_for(f"{name} waits for its lock", waiting, seconds, lambda: self.explain(name))

    def agent_pods(self, name: str) -> list[JsonObject]:
        """The pods of the run's CodeRun (which has the run's name)."""
        return self._api.items(PODS, f"{POD_LABEL}={name}")

    def step_pods(self, name: str) -> list[JsonObject]:
        """The pods of the workflow's own steps."""
        return self._api.items(PODS, f"workflows.argoproj.io/workflow={name}")

    def step_pod(self, name: str, template: Template) -> JsonObject | None:
        """The pod of one step."""
        found = node(self.get(name), template)
        for pod in self.step_pods(name):
            if found and pod["metadata"]["annotations"].get("workflows.argoproj.io/node-id") == found["id"]:
                return pod
        return None

    def coderun(self, name: str) -> JsonObject | None:
        """The run's CodeRun, if it is there."""
        return self._api.find(f"{CODERUNS}/{name}")

    def claims(self) -> dict[str, JsonObject]:
        """All claims of the namespace by name."""
        return {c["metadata"]["name"]: c for c in self._api.items(CLAIMS)}

    def objects_left(self, names: Iterable[str]) -> list[str]:
        """CodeRuns, agents' pods and claims of these runs that are still there."""
        wanted = set(names)
        left = []
        for kind, path in (("coderun", CODERUNS), ("claim", CLAIMS), ("pod", PODS)):
            for found in self._api.items(path):
                labels = found["metadata"].get("labels") or {}
                if labels.get("workflow") in wanted and (kind != "pod" or POD_LABEL in labels):
                    left.append(f"{kind}/{found['metadata']['name']}")
        return left

    def log(self, pod: str, container: str = "main", lines: int = 1000) -> str:
        """A container's log, empty when there is none any more."""
        query = {"container": container, "tailLines": str(lines)}
        try:
            return self._api.request("GET", f"{PODS}/{pod}/log", query=query).decode("utf-8", "replace")
        except ApiError:
            return ""

    def explain(self, name: str) -> str:
        """What the cluster knows of a run: nodes, messages, logs."""
        workflow = self.get(name)
        lines = [f"--- {name}: {phase(workflow)} {workflow.get('status', {}).get('message', '')}"]
        lines += [
            f"  {n.get('templateName', n['displayName'])}: {n.get('phase')} {n.get('message', '')}"
            for n in sorted(nodes(workflow), key=lambda n: str(n.get("startedAt")))
        ]
        coderun = self.coderun(name)
        if coderun:
            lines.append(f"  CodeRun: {coderun.get('status')}")
        pods = [(p, "main") for p in self.step_pods(name)] + [(p, "agent") for p in self.agent_pods(name)]
        for pod, container in pods:
            pod_name = pod["metadata"]["name"]
            lines.append(f"  pod {pod_name}: {pod['status'].get('phase')}")
            lines += [f"    | {line}" for line in self.log(pod_name, container, 30).splitlines()]
        return "\n".join(lines)


def phase(workflow: JsonObject) -> str:
    """The workflow's phase; empty when the controller hasn't seen it yet."""
    return str(workflow.get("status", {}).get("phase", ""))


def nodes(workflow: JsonObject) -> list[JsonObject]:
    """The workflow's nodes."""
    return list((workflow.get("status", {}).get("nodes") or {}).values())


def node(workflow: JsonObject, template: Template) -> JsonObject | None:
    """The node of one template: the last that had a pod, where there are several.

    A template with retries has a node for itself and one for each try; one that two tasks use has
    nodes for both, of which one was left out.
    """
    found = [n for n in nodes(workflow) if n.get("templateName") == template]
    return max(
        found,
        key=lambda n: (n["phase"] not in NOT_RUN, n["type"] == "Pod", str(n.get("startedAt"))),
        default=None,
    )


def output(workflow: JsonObject, template: Template, parameter: str) -> str:
    """An output parameter of a step. Fails when the step or its output isn't there."""
    found = node(workflow, template)
    assert found is not None, f"{workflow['metadata']['name']} has no step {template}"
    for entry in found.get("outputs", {}).get("parameters", []):
        if entry["name"] == parameter:
            return str(entry["value"])
    raise AssertionError(f"{template} of {workflow['metadata']['name']} has no output {parameter}")


def messages(workflow: JsonObject) -> str:
    """All that the workflow tells its user."""
    own = str(workflow.get("status", {}).get("message", ""))
    return "\n".join([own, *(str(n.get("message", "")) for n in nodes(workflow))])

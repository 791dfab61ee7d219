"""What the rounds of chaos are played with: the cluster, its node, and every run that was submitted, by semaphore key."""

import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from config.repos import REPOS_FILE
from tests.chaos.built_in_node import BuiltInNode
from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import E2E_LABEL, FINISHED, NAMESPACE, TEMPLATE, WORKFLOWS, Runs, Template, phase
from tests.e2e.sightings import Life, Sightings, is_agent
from tests.e2e.volume import Volume
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, JsonObject

SEMAPHORE_ANNOTATION: Final = "coderun/semaphore-key"
CONFIG_MAPS: Final = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
REPOS: Final = "coderun-repos"
ARRIVAL_SECONDS: Final = 180.0
"""For a run to get to a step while several others start: 10 to 40 s on 2 cores."""

END_SECONDS: Final = 420.0
"""For all runs of a round to end: agents that are ended take their grace period, lost pods a backoff."""


@dataclass
class Arena:
    """One session of chaos."""

    api: Api
    node: BuiltInNode
    runs: Runs
    git: GitServerControl
    volume: Volume
    sightings: Sightings
    submitted: dict[str, str] = field(default_factory=dict)
    """Semaphore key by run, of the whole session."""
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _tasks: dict[str, str] = field(default_factory=dict)

    def submit(self, key: str, parameters: Mapping[str, str], deadline: int | None = None) -> str:
        """Submits a run with a task id of its own.

        Args:
            key: The semaphore key that its parameters lead to.
            parameters: The run's parameters, without owner and taskId.
            deadline: Seconds until Argo ends the workflow; None is the template's deadline.

        Returns:
            The workflow's name.
        """
        task = f"chaos-{uuid.uuid4().hex[:12]}"
        given = {"owner": "exampleorg", "taskId": task, **parameters}
        spec: JsonObject = {
            "workflowTemplateRef": {"name": TEMPLATE},
            "arguments": {"parameters": [{"name": name, "value": value} for name, value in given.items()]},
        }
        if deadline is not None:
            spec["activeDeadlineSeconds"] = deadline
        manifest = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": "chaos-", "namespace": NAMESPACE, "labels": {E2E_LABEL: "true"}},
            "spec": spec,
        }
        name = str(self.api.create(WORKFLOWS, manifest)["metadata"]["name"])
        with self._guard:
            self.submitted[name] = key
            self._tasks[name] = task
        return name

    def task(self, run: str) -> str:
        """The task id of a run."""
        return self._tasks[run]

    def workflow(self, run: str) -> JsonObject | None:
        """The workflow, None once it is deleted."""
        return self.api.find(f"{WORKFLOWS}/{run}")

    def explain(self, names: Iterable[str]) -> str:
        """What the cluster knows of runs that are still there."""
        return "\n".join(self.runs.explain(name) if self.workflow(name) else f"--- {name}: deleted" for name in names)

    def wait_running(self, run: str, template: Template) -> JsonObject:
        """The pod of a run's step, once its main container runs."""

        def pod_runs() -> JsonObject | None:
            pod = self.runs.step_pod(run, template)
            for container in (pod or {}).get("status", {}).get("containerStatuses") or []:
                if container["name"] == "main" and "running" in container["state"]:
                    return pod
            return None

        return wait_for(f"{template} of {run} runs", pod_runs, ARRIVAL_SECONDS, lambda: self.runs.explain(run))

    def wait_record(self, run: str) -> None:
        """Waits until the run's init has begun: it makes the task's record before all else."""
        record = self.node.base_root / ".tasks" / self.task(run)
        wait_for(f"record of {run}", record.exists, ARRIVAL_SECONDS, lambda: self.runs.explain(run))

    def wait_gone_or_ended(self, names: Iterable[str]) -> dict[str, str]:
        """The phases of runs, once each has ended or was deleted ("Deleted")."""
        wanted = list(names)
        ended: dict[str, str] = {}

        def all_ended() -> bool:
            for name in [n for n in wanted if n not in ended]:
                workflow = self.workflow(name)
                if workflow is None or phase(workflow) in FINISHED:
                    ended[name] = phase(workflow) if workflow else "Deleted"
            return len(ended) == len(wanted)

        wait_for(f"end of {', '.join(wanted)}", all_ended, END_SECONDS, lambda: self.explain(name for name in wanted if name not in ended))
        return ended

    def most_living(self, key: str) -> int:
        """The largest number of agents' pods of a semaphore key that lived at one moment of this session."""

        def wanted(life: Life) -> bool:
            return is_agent(life) and life.annotations.get(SEMAPHORE_ANNOTATION) == key

        return self.sightings.most_living([run for run, its in self.submitted.items() if its == key], wanted)

    def kubectl(self, *arguments: str) -> str:
        """Runs kubectl on the runs' namespace."""
        return commands.run(["kubectl", "-n", NAMESPACE, *arguments])

    @contextmanager
    def paused(self, repo: str) -> Iterator[None]:
        """A repository that holds new runs back; lifted however the block ends."""
        before: str = self.api.get(f"{CONFIG_MAPS}/{REPOS}")["data"][REPOS_FILE]
        active, paused = f"\texampleorg\t{repo}\tactive\t", f"\texampleorg\t{repo}\tpaused\t"
        assert before.count(active) == 1, f"{REPOS} has no active repo {repo}"
        self._set_repos(before.replace(active, paused))
        try:
            yield
        finally:
            self._set_repos(before)

    def _set_repos(self, text: str) -> None:
        self.kubectl("patch", "configmap", REPOS, "--type", "merge", "-p", json.dumps({"data": {REPOS_FILE: text}}))

"""What lived when: every agent's pod and every CodeRun, recorded as the API server tells it.

A watch delivers each change once and in order, so "never two at a time" is read from what happened
and not from samples of it.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from tests.e2e.runs import CODERUNS, PODS
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, ApiError, JsonObject
from tests.fixtures.coderun_controller.phases import timestamp
from tests.fixtures.coderun_controller.pods import POD_LABEL

WATCH_SECONDS = 10
"""One watch's length, and so the longest that ending the recorder takes."""


@dataclass
class Life:
    """One pod from its first sighting to its end."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    seen_at: float
    ended_at: float | None = None
    started: float | None = None
    finished: float | None = None
    deletion_asked: float | None = None
    states: list[JsonObject] = field(default_factory=list)

    @property
    def workflow(self) -> str:
        """The run that the pod belongs to."""
        return self.labels.get("workflow") or self.labels.get("workflows.argoproj.io/workflow", "")


class Sightings:
    """A recorder of the namespace's pods and CodeRuns; a context manager."""

    def __init__(self, api: Api) -> None:
        """Takes the cluster; records only between enter and exit."""
        self._api = api
        self._lock = threading.Lock()
        self._lives: dict[str, Life] = {}
        self._events: list[tuple[str, bool]] = []
        self._coderuns: dict[str, JsonObject] = {}
        self._done = threading.Event()
        self._ready = {PODS: threading.Event(), CODERUNS: threading.Event()}
        self._broken: list[str] = []
        self._threads = [
            threading.Thread(target=self._record, args=(PODS, self._pod), daemon=True),
            threading.Thread(target=self._record, args=(CODERUNS, self._coderun), daemon=True),
        ]

    def __enter__(self) -> Self:
        """Starts recording and returns once both lists were read."""
        for thread in self._threads:
            thread.start()
        for ready in self._ready.values():
            assert ready.wait(30), "the recorder could not list pods and CodeRuns"
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the recorder; fails when it had missed something."""
        self._done.set()
        for thread in self._threads:
            thread.join(WATCH_SECONDS + 15)
        assert not self._broken, self._broken

    def lives(self, workflow: str) -> list[Life]:
        """The pods seen of one run, steps and agent, oldest first."""
        with self._lock:
            return sorted((x for x in self._lives.values() if x.workflow == workflow), key=lambda x: x.seen_at)

    def agent(self, workflow: str) -> Life:
        """The one agent's pod of a run. Fails when there was none or several."""
        agents = [x for x in self.lives(workflow) if is_agent(x)]
        assert len(agents) == 1, f"{workflow} had {len(agents)} agents' pods"
        return agents[0]

    def coderun(self, name: str) -> JsonObject:
        """The last that was seen of a CodeRun, which may be gone."""
        with self._lock:
            assert name in self._coderuns, f"no CodeRun {name} was seen"
            return self._coderuns[name]

    def coderun_seen(self, name: str) -> bool:
        """Whether there ever was a CodeRun of this name."""
        with self._lock:
            return name in self._coderuns

    def wait_ended(self, life: Life, seconds: float) -> None:
        """Waits for the recorder to have seen the pod's end."""
        wait_for(f"end of pod {life.name}", lambda: life.ended_at is not None, seconds)

    def most_living(self, workflows: Iterable[str], wanted: Callable[[Life], bool]) -> int:
        """The largest number of pods of these runs, of the wanted sort, that lived at one moment."""
        names = set(workflows)
        with self._lock:
            living: set[str] = set()
            most = 0
            for uid, alive in self._events:
                life = self._lives[uid]
                if life.workflow not in names or not wanted(life):
                    continue
                if alive:
                    living.add(uid)
                else:
                    living.discard(uid)
                most = max(most, len(living))
            return most

    def _record(self, path: str, take: Callable[[str, JsonObject], None]) -> None:
        try:
            listed = self._api.get(path)
            for found in listed["items"]:
                take("ADDED", found)
            version = str(listed["metadata"]["resourceVersion"])
            self._ready[path].set()
            while not self._done.is_set():
                query = {"resourceVersion": version, "allowWatchBookmarks": "true"}
                for kind, found in self._api.watch(path, query, WATCH_SECONDS):
                    version = str(found["metadata"]["resourceVersion"])
                    if kind != "BOOKMARK":
                        take(kind, found)
        except (ApiError, OSError) as failure:
            self._broken.append(f"recorder of {path}: {failure}")

    def _pod(self, kind: str, pod: JsonObject) -> None:
        metadata, status = pod["metadata"], pod.get("status") or {}
        now = time.time()
        alive = kind != "DELETED" and status.get("phase") not in ("Succeeded", "Failed")
        with self._lock:
            life = self._lives.setdefault(
                metadata["uid"],
                Life(metadata["name"], metadata.get("labels") or {}, metadata.get("annotations") or {}, now),
            )
            life.states.append(pod)
            if metadata.get("deletionTimestamp") and life.deletion_asked is None:
                life.deletion_asked = now
            for container in status.get("containerStatuses") or []:
                if container["name"] in ("agent", "main"):
                    _note_times(life, container.get("state") or {})
            if not alive and life.ended_at is None:
                life.ended_at = now
            self._events.append((metadata["uid"], alive))

    def _coderun(self, _kind: str, coderun: JsonObject) -> None:
        with self._lock:
            self._coderuns[coderun["metadata"]["name"]] = coderun


def _note_times(life: Life, state: JsonObject) -> None:
    """The container's own times, as the kubelet reports them (whole seconds)."""
    running, ended = state.get("running"), state.get("terminated")
    if running and running.get("startedAt"):
        life.started = timestamp(running["startedAt"]).timestamp()
    if ended and ended.get("startedAt") and ended.get("finishedAt"):
        life.started = timestamp(ended["startedAt"]).timestamp()
        life.finished = timestamp(ended["finishedAt"]).timestamp()


def is_agent(life: Life) -> bool:
    """Whether a pod is an agent's (and not a step of the workflow)."""
    return POD_LABEL in life.labels

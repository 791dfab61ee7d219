"""What strikes a run that stands at a stage, and what strikes the node beneath all of them."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from tests.chaos.arena import Arena
from tests.chaos.stages import Held, hold
from tests.e2e import commands
from tests.e2e.runs import NAMESPACE
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import JsonObject
from tests.fixtures.coderun_controller.phases import timestamp

BlowName = Literal["kill", "pod deletion", "agent pod deletion", "stop", "terminate", "delete", "deadline"]
NodeBlowName = Literal["controller", "kubelet", "containerd"]

DEADLINE_SECONDS: Final = 90
"""Of runs that are to meet their deadline; they have to be at their stage by then, which takes 10 to 40 s."""

KILL_SECONDS: Final = 60.0
KILL_TRIES: Final = 6
"""The two shortest moments last for milliseconds; on a loaded machine one may be missed."""


def _pod(arena: Arena, held: Held) -> JsonObject:
    pod = arena.runs.step_pod(held.run, held.stage.step)
    assert pod is not None, arena.runs.explain(held.run)
    return pod


def _git_folders(arena: Arena, task: str) -> tuple[Path, ...]:
    """Where a task's admin folder may be: in a git folder of its own, or in the base."""
    return arena.node.base_root / ".private" / task / "worktrees" / task, arena.node.base("wide") / "worktrees" / task


def _kill(arena: Arena, held: Held) -> None:
    if held.stage.name not in ("git folder", "checkout"):
        assert arena.node.kill_when(arena.node.first_process(_pod(arena, held), "main"), lambda: True, 0), arena.runs.explain(held.run)
        return
    for _ in range(KILL_TRIES):
        if _kill_at_once(arena, held):
            return
        held = hold(arena, held.stage)
    raise AssertionError(f"the moment {held.stage.name!r} was missed {KILL_TRIES} times. Remedy: play it on a machine with less load")


def _kill_at_once(arena: Arena, held: Held) -> bool:
    """Lets the run go on and kills it in its next moments; False if it was past them."""
    task = arena.task(held.run)
    folders, tree = _git_folders(arena, task), arena.node.trees_root / task

    def files() -> bool:
        return tree.is_dir() and any(entry.name != ".git" for entry in os.scandir(tree))

    def registered() -> bool:
        return any(folder.exists() for folder in folders)

    pid = arena.node.first_process(_pod(arena, held), "main")
    held.release()
    struck = arena.node.kill_when(pid, files if held.stage.name == "checkout" else registered, KILL_SECONDS)
    # Git writes the index last: without it the checkout was not at its end.
    return struck and not any((folder / "index").exists() for folder in folders) and files() == (held.stage.name == "checkout")


def _delete_pod(arena: Arena, held: Held) -> None:
    arena.kubectl("delete", "pod", _pod(arena, held)["metadata"]["name"], "--wait=false")


def _delete_agent_pod(arena: Arena, held: Held) -> None:
    (agent,) = arena.runs.agent_pods(held.run)
    arena.kubectl("delete", "pod", agent["metadata"]["name"], "--wait=false")


def _stop(arena: Arena, held: Held) -> None:
    arena.runs.stop(held.run)


def _terminate(_: Arena, held: Held) -> None:
    commands.run(["argo", "terminate", held.run, "-n", NAMESPACE])


def _delete(arena: Arena, held: Held) -> None:
    arena.kubectl("delete", "workflow", held.run, "--wait=false")


def _deadline(arena: Arena, held: Held) -> None:
    started = timestamp(arena.runs.get(held.run)["status"]["startedAt"]).timestamp()
    wait_for(f"deadline of {held.run}", lambda: time.time() > started + DEADLINE_SECONDS + 2, 2 * DEADLINE_SECONDS)


def _controller(arena: Arena) -> None:
    arena.kubectl("delete", "pod", "-l", "app=workflow-controller", "--grace-period=0", "--force")
    arena.kubectl("rollout", "status", "deployment/workflow-controller", "--timeout=120s")


def _kubelet(arena: Arena) -> None:
    arena.node.kill_kubelet()


def _containerd(arena: Arena) -> None:
    arena.node.kill_containerd()


BLOWS: Final[dict[BlowName, Callable[[Arena, Held], None]]] = {
    "kill": _kill,
    "pod deletion": _delete_pod,
    "agent pod deletion": _delete_agent_pod,
    "stop": _stop,
    "terminate": _terminate,
    "delete": _delete,
    "deadline": _deadline,
}

NODE_BLOWS: Final[dict[NodeBlowName, Callable[[Arena], None]]] = {"controller": _controller, "kubelet": _kubelet, "containerd": _containerd}

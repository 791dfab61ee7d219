"""The plans of chaos, and how a round of them is played."""

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Literal

from tests.chaos.arena import Arena
from tests.chaos.blows import BLOWS, DEADLINE_SECONDS, NODE_BLOWS, BlowName, NodeBlowName
from tests.chaos.stages import STAGES, Held, Stage, StageName, hold
from tests.e2e.runs import FINISHED
from tests.e2e.waiting import wait_for

REPOS: Final = ("sample", "wide", "private")
SWEEPER: Final = "cronjob/coderun-sweeper"
SWEEP_SECONDS: Final = 300
CLAIM_SECONDS: Final = 180.0
"""For a claim whose deletion was asked for: Argo deletes the pods that name it 60 s after their end."""


@dataclass(frozen=True)
class Round:
    """Runs that are brought to their stages together, struck, and waited for."""

    name: str
    victims: tuple[tuple[StageName, BlowName | None], ...]
    node_blow: NodeBlowName | None = None


def _everywhere(blow: BlowName | None) -> tuple[tuple[StageName, BlowName | None], ...]:
    stages: tuple[StageName, ...] = ("resolve", "init", "agent", "own claim", "cleanup")
    return tuple((stage, blow) for stage in stages)


_KILLS: Final[tuple[StageName, ...]] = ("before clone", "clone", "rename", "fetch", "git folder", "checkout")

PLANS: Final[dict[Literal["short", "long"], tuple[Round, ...]]] = {
    "short": (
        Round("kill, terminate, delete", (("checkout", "kill"), ("agent", "terminate"), ("own claim", "delete"))),
        Round("controller", (("init", None), ("agent", None)), "controller"),
    ),
    "long": (
        *(Round(f"kill in: {stage}", ((stage, "kill"),)) for stage in _KILLS),
        Round("pod deletion", _everywhere("pod deletion")),
        Round("agent pod deletion", (("agent", "agent pod deletion"), ("own claim", "agent pod deletion"))),
        Round("stop", _everywhere("stop")),
        Round("terminate", _everywhere("terminate")),
        Round("delete", _everywhere("delete")),
        Round("deadline", _everywhere("deadline")),
        Round("controller", _everywhere(None), "controller"),
        Round("kubelet", _everywhere(None), "kubelet"),
        Round("containerd", _everywhere(None), "containerd"),
    ),
}


@dataclass(frozen=True)
class Outcome:
    """What a round has come to."""

    ends: dict[str, str]
    """Phase by run; "Deleted" for a workflow that is gone."""
    followers: frozenset[str]
    left_by_exit_handlers: list[str]
    sweep: str
    """What the one sweep printed."""
    left: list[str]
    faults_of_bases: dict[str, str]


def play(arena: Arena, plan: Round, live: str) -> Outcome:
    """Plays a round, with one sweep after it.

    Args:
        arena: The cluster.
        plan: The round.
        live: A run that lives through it; what belongs to it is not taken for left over.

    Raises:
        AssertionError: A run doesn't get to its stage or to its end.
    """
    earlier = set(arena.submitted)
    with ExitStack() as holds:
        followers = _strike(arena, plan, holds)
    runs = [run for run in arena.submitted if run not in earlier]
    ends = arena.wait_gone_or_ended(runs)
    handlers_left = _left(arena, runs, live)
    said = sweep(arena)
    wait_for("the end of claims that are being deleted", lambda: not _going(arena, runs), CLAIM_SECONDS, lambda: ", ".join(_going(arena, runs)))
    return Outcome(
        ends=ends,
        followers=followers,
        left_by_exit_handlers=handlers_left,
        sweep=said,
        left=_left(arena, runs, live),
        faults_of_bases={repo: arena.volume.fsck("exampleorg", repo) for repo in REPOS if arena.node.base(repo).is_dir()},
    )


def _strike(arena: Arena, plan: Round, holds: ExitStack) -> frozenset[str]:
    """Holds the runs, lets others queue behind them, and strikes."""
    stages = [STAGES[name] for name, _ in plan.victims]
    # A repository is paused for this one, and would keep others from getting to their stages.
    last = [stage for stage in stages if stage.name == "resolve"]
    held = _hold_all(arena, [stage for stage in stages if stage not in last], plan, holds)
    followers = [arena.submit(stage.key, stage.follower) for stage in stages if stage.follower is not None]
    held |= _hold_all(arena, last, plan, holds)
    for name, blow in plan.victims:
        if blow is not None:
            BLOWS[blow](arena, held[name])
    if plan.node_blow is not None:
        NODE_BLOWS[plan.node_blow](arena)
    return frozenset(followers)


def _hold_all(arena: Arena, stages: Sequence[Stage], plan: Round, holds: ExitStack) -> dict[StageName, Held]:
    blows = dict(plan.victims)
    with ThreadPoolExecutor(max(len(stages), 1)) as pool:
        coming = {stage.name: pool.submit(hold, arena, stage, DEADLINE_SECONDS if blows[stage.name] == "deadline" else None) for stage in stages}
    # One that failed must not keep the others from being released.
    for future in coming.values():
        if future.exception() is None:
            holds.callback(future.result().release)
    return {name: future.result() for name, future in coming.items()}


def sweep(arena: Arena) -> str:
    """Sweeps once, as an operator does, and returns what the sweeper printed; fails if it fails."""
    job = f"chaos-sweep-{uuid.uuid4().hex[:8]}"
    arena.kubectl("create", "job", job, f"--from={SWEEPER}")
    try:
        arena.kubectl("wait", f"job/{job}", "--for=condition=Complete", f"--timeout={SWEEP_SECONDS}s")
        return arena.kubectl("logs", f"job/{job}")
    finally:
        arena.kubectl("delete", "job", job, "--wait=false")


def _going(arena: Arena, runs: Sequence[str]) -> list[str]:
    """Claims of runs whose deletion was asked for; nobody has to do anything more for it."""
    claims = arena.runs.claims().items()
    return [name for name, claim in claims if name.removesuffix("-work") in runs and "deletionTimestamp" in claim["metadata"]]


def _left(arena: Arena, runs: Sequence[str], live: str) -> list[str]:
    """What runs left in the cluster and on the claim."""
    living = [f"pod/{pod['metadata']['name']}" for run in runs for pod in arena.runs.step_pods(run) if pod["status"].get("phase") not in FINISHED]
    on_claim = [line for line in arena.volume.leftovers() if arena.task(live) not in line.replace("/", " ").split()]
    return sorted([*arena.runs.objects_left(runs), *living, *on_claim])

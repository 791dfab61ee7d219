"""Where runs are struck: each stage submits a run and holds it at one point of its way.

A held run stands where it is until its hold is released. The names of the stages of init are those of what it is kept from finishing.
"""

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.chaos.arena import ARRIVAL_SECONDS, Arena
from tests.e2e.runs import Template
from tests.e2e.waiting import wait_for

StageName = Literal["resolve", "init", "agent", "own claim", "cleanup", "before clone", "clone", "rename", "fetch", "git folder", "checkout"]

WIDE: Final = "exampleorg-wide"
PRIVATE: Final = "exampleorg-private"
SAMPLE: Final = "exampleorg-sample"
LIMITED: Final = "exampleorg-sample-limited"
AFTER: Final = 20_000
"""Bytes of a download that come before it stands still; `wide` has more than 100 000, and what stages commit has that much."""


@dataclass(frozen=True)
class Stage:
    """One point of a run's way.

    Attributes:
        name: What it is called in plans.
        step: The step whose pod is at work there.
        key: The semaphore key of its runs.
        follower: Parameters of a run that waits for the key behind the held one; None where nobody can.
        hold: Submits a run, waits until it stands at the stage, and returns its name. What releases it is put on the stack.
    """

    name: StageName
    step: Template
    key: str
    follower: dict[str, str] | None
    hold: Callable[[Arena, ExitStack, int | None], str]


@dataclass
class Held:
    """A run that stands at a stage."""

    stage: Stage
    run: str
    stack: ExitStack = field(repr=False)

    def release(self) -> None:
        """Lets it go on; does nothing the second time."""
        self.stack.close()


def hold(arena: Arena, stage: Stage, deadline: int | None = None) -> Held:
    """Brings a run to a stage; DEADLINE as in :meth:`Arena.submit`."""
    with ExitStack() as stack:
        run = stage.hold(arena, stack, deadline)
        return Held(stage, run, stack.pop_all())


def _resolve(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    stack.enter_context(arena.paused("private"))
    run = arena.submit(PRIVATE, {"repo": "private"}, deadline)
    pod = arena.wait_running(run, "resolve")["metadata"]["name"]
    wait_for(f"{run} is paused", lambda: "is paused" in arena.runs.log(pod), ARRIVAL_SECONDS, lambda: arena.runs.explain(run))
    return run


def new_commit(arena: Arena) -> str:
    """A commit that no base has; large enough to be cut short on its way."""
    noise = "".join(f"{uuid.uuid4().hex}\n" for _ in range(4 * AFTER // 33))
    return arena.git.commit("wide", "refs/heads/chaos", {"noise.txt": noise})


def _init_on_wide(arena: Arena, deadline: int | None, ref: str) -> str:
    run = arena.submit(WIDE, {"repo": "wide", "ref": ref}, deadline)
    arena.wait_running(run, "init-worktree")
    arena.wait_record(run)
    return run


def _init(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    # It needs a commit, and another has the lock of fetches: it can stand there for as long as a round takes.
    stack.enter_context(arena.node.lock(arena.node.base("wide").with_name("wide.fetch.lock")))
    return _init_on_wide(arena, deadline, new_commit(arena))


def _agent(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    # An agent that takes no notice of being asked to stop: it lives on for its grace period.
    stack.enter_context(arena.git.gate("b"))
    run = arena.submit(LIMITED, {"repo": "sample", "ref": "refs/heads/stubborn/b", "baseRef": "refs/heads/limited"}, deadline)
    arena.runs.wait_agent(run, ARRIVAL_SECONDS)
    return run


def _own_claim(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    stack.enter_context(arena.git.gate("a"))
    run = arena.submit(SAMPLE, {"repo": "sample", "ref": "refs/heads/gate/a", "usePVC": "true"}, deadline)
    arena.runs.wait_agent(run, ARRIVAL_SECONDS)
    return run


def _cleanup(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    with arena.git.gate("c"):
        run = arena.submit(PRIVATE, {"repo": "private", "ref": "refs/heads/gate/c"}, deadline)
        arena.runs.wait_agent(run, ARRIVAL_SECONDS)
        stack.enter_context(arena.node.lock(arena.node.base("private").with_name("private.lock")))
    arena.wait_running(run, "cleanup")
    return run


def _without_base(arena: Arena) -> None:
    arena.volume.remove_base("exampleorg", "wide")


def _with_base(arena: Arena) -> None:
    if not arena.node.base("wide").is_dir():
        arena.runs.wait_succeeded([arena.submit(WIDE, {"repo": "wide"})])


def _before_clone(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    _without_base(arena)
    stack.enter_context(arena.node.lock(arena.node.base("wide").with_name("wide.fetch.lock")))
    return _init_on_wide(arena, deadline, "refs/heads/main")


def _clone(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    _without_base(arena)
    return _stalled(arena, stack, deadline, "refs/heads/main")


def _fetch(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    _with_base(arena)
    return _stalled(arena, stack, deadline, new_commit(arena))


def _stalled(arena: Arena, stack: ExitStack, deadline: int | None, ref: str) -> str:
    before = arena.git.stalled("wide")
    stack.enter_context(arena.git.stalled_download("wide", AFTER))
    run = _init_on_wide(arena, deadline, ref)
    wait_for(f"{run} downloads", lambda: arena.git.stalled("wide") > before, ARRIVAL_SECONDS, lambda: arena.runs.explain(run))
    return run


def _rename(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    # The base is in its place, and the next that init needs is its lock.
    _without_base(arena)
    stack.enter_context(arena.node.lock(arena.node.base("wide").with_name("wide.lock")))
    run = _init_on_wide(arena, deadline, "refs/heads/main")
    wait_for(f"{run} has made the base", arena.node.base("wide").is_dir, ARRIVAL_SECONDS, lambda: arena.runs.explain(run))
    return run


def _before_tree(arena: Arena, stack: ExitStack, deadline: int | None) -> str:
    _with_base(arena)
    stack.enter_context(arena.node.lock(arena.node.base("wide").with_name("wide.lock")))
    return _init_on_wide(arena, deadline, "refs/heads/main")


_ON_WIDE: Final = {"repo": "wide"}

STAGES: Final[dict[StageName, Stage]] = {
    stage.name: stage
    for stage in (
        Stage("resolve", "resolve", PRIVATE, None, _resolve),
        Stage("init", "init-worktree", WIDE, _ON_WIDE, _init),
        Stage("agent", "create-coderun", LIMITED, {"repo": "sample", "baseRef": "refs/heads/limited"}, _agent),
        Stage("own claim", "create-coderun-own-claim", SAMPLE, {"repo": "sample", "baseRef": "refs/heads/fail"}, _own_claim),
        Stage("cleanup", "cleanup", PRIVATE, {"repo": "private"}, _cleanup),
        Stage("before clone", "init-worktree", WIDE, _ON_WIDE, _before_clone),
        Stage("clone", "init-worktree", WIDE, _ON_WIDE, _clone),
        Stage("rename", "init-worktree", WIDE, _ON_WIDE, _rename),
        Stage("fetch", "init-worktree", WIDE, _ON_WIDE, _fetch),
        # Held before these two: who strikes lets it go and strikes at once.
        Stage("git folder", "init-worktree", WIDE, _ON_WIDE, _before_tree),
        Stage("checkout", "init-worktree", WIDE, _ON_WIDE, _before_tree),
    )
}

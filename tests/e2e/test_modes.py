"""One run on the shared claim and one on its own, side by side, looked at while their agents run."""

import json
import uuid
from dataclasses import dataclass

import pytest

from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import NAMESPACE, Runs, messages, output, phase
from tests.e2e.sightings import Sightings
from tests.e2e.volume import CLAIM, Volume
from tests.fixtures.coderun_controller.api import JsonObject

GATE = "a"
GATED = {"ref": f"refs/heads/gate/{GATE}", "baseRef": "refs/heads/main"}
"""A branch whose agent waits for the gate; main's semaphore, which lets five run."""

TASK = f"e2e-modes-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Held:
    """What was seen of a run while its agent waited."""

    name: str
    coderun: JsonObject
    agent: JsonObject
    init_pod: JsonObject
    head: str
    status: str
    claims: dict[str, JsonObject]


@dataclass(frozen=True)
class Modes:
    """Both runs while held and after their end, and a third that asked for the first one's task id."""

    shared: Held
    own: Held
    workflows: dict[str, JsonObject]
    intruder: JsonObject
    tree_after_intruder: str
    wanted_commit: str
    claims_before: frozenset[str]
    leftovers: frozenset[str]


def look(runs: Runs, name: str, own: bool) -> Held:  # noqa: FBT001 (one of two modes)
    """Looks into a run whose agent waits at the gate."""
    agent = runs.wait_agent(name)
    coderun = runs.coderun(name)
    assert coderun is not None
    init = runs.step_pod(name, "init-worktree-own-claim" if own else "init-worktree")
    assert init is not None, runs.explain(name)

    def in_agent(*command: str) -> str:
        pod = agent["metadata"]["name"]
        return commands.run(["kubectl", "exec", "-n", NAMESPACE, pod, "-c", "agent", "--", *command]).strip()

    return Held(
        name=name,
        coderun=coderun,
        agent=agent,
        init_pod=init,
        head=in_agent("git", "rev-parse", "HEAD"),
        status=in_agent("git", "status", "--porcelain"),
        claims=runs.claims(),
    )


@pytest.fixture(scope="module")
def modes(runs: Runs, git: GitServerControl, shared_volume: Volume, sightings: Sightings) -> Modes:
    """Runs both modes at once, holds them at the gate, looks, lets them go."""
    claims_before = frozenset(runs.claims())
    before = shared_volume.leftovers()
    with git.gate(GATE):
        shared = runs.sample(**GATED, taskId=TASK, usePVC="false")
        own = runs.sample(**GATED, usePVC="true")
        held_shared = look(runs, shared, own=False)
        second = runs.sample(**GATED, taskId=TASK)
        intruder = runs.wait_ended([second])[second]
        tree_after_intruder = shared_volume.sh('cat "/work/trees/$1/.git"', TASK)
        held_own = look(runs, own, own=True)
    workflows = runs.wait_ended([shared, own])
    assert sightings.coderun_seen(shared)
    return Modes(
        shared=held_shared,
        own=held_own,
        workflows=workflows,
        intruder=intruder,
        tree_after_intruder=tree_after_intruder,
        wanted_commit=shared_volume.remote_commit(git.repository("sample"), GATED["ref"]),
        claims_before=claims_before,
        leftovers=shared_volume.leftovers() - before,
    )


def test_both_modes_succeed(modes: Modes, runs: Runs) -> None:
    for name, workflow in modes.workflows.items():
        assert phase(workflow) == "Succeeded", runs.explain(name)


def test_shared_run_makes_no_claim(modes: Modes) -> None:
    made = set(modes.shared.claims) - modes.claims_before
    assert made <= {f"{modes.own.name}-work"}
    labelled = [c for c in modes.shared.claims.values() if c["metadata"].get("labels", {}).get("workflow") == modes.shared.name]
    assert labelled == []


@pytest.mark.parametrize("mode", ["shared", "own"])
def test_work_is_an_empty_dir_and_the_claim_is_below_it(modes: Modes, mode: str) -> None:
    held: Held = getattr(modes, mode)
    spec = held.init_pod["spec"]
    sources = {v["name"]: v for v in spec["volumes"]}
    (main,) = [c for c in spec["containers"] if c["name"] == "main"]
    mounted = {m["mountPath"]: sources[m["name"]] for m in main["volumeMounts"]}
    assert "emptyDir" in mounted["/work"]
    claim = CLAIM if mode == "shared" else f"{held.name}-work"
    for path in ("/work/base", "/work/trees"):
        assert mounted[path]["persistentVolumeClaim"]["claimName"] == claim


def test_workspace_path_is_the_tree_of_the_task(modes: Modes) -> None:
    path = f"/work/trees/{TASK}"
    assert output(modes.workflows[modes.shared.name], "init-worktree", "workspace-path") == path
    assert modes.shared.coderun["spec"]["workspace"]["path"] == path


def test_without_a_task_id_the_workflow_name_is_the_task(modes: Modes) -> None:
    path = f"/work/trees/{modes.own.name}"
    assert output(modes.workflows[modes.own.name], "init-worktree-own-claim", "workspace-path") == path
    assert modes.own.coderun["spec"]["workspace"]["path"] == path


@pytest.mark.parametrize("mode", ["shared", "own"])
def test_agent_sees_the_tree_clean_at_the_wanted_commit(modes: Modes, mode: str) -> None:
    held: Held = getattr(modes, mode)
    assert held.head == modes.wanted_commit
    assert held.status == ""


@pytest.mark.parametrize("mode", ["shared", "own"])
def test_agent_mounts_what_the_coderun_names_as_its_user(modes: Modes, mode: str) -> None:
    held: Held = getattr(modes, mode)
    workspace = held.coderun["spec"]["workspace"]
    (agent,) = held.agent["spec"]["containers"]
    mounted = {m["mountPath"] for m in agent["volumeMounts"]}
    assert {m["mountPath"] for m in workspace["mounts"]} <= mounted
    assert workspace["path"] in mounted
    for pod in (held.agent, held.init_pod):
        security = pod["spec"].get("securityContext", {})
        assert security.get("runAsUser") == workspace["securityContext"]["runAsUser"], json.dumps(security)


def test_coderun_belongs_to_its_workflow(modes: Modes) -> None:
    metadata = modes.shared.coderun["metadata"]
    uid = modes.workflows[modes.shared.name]["metadata"]["uid"]
    assert [o["uid"] for o in metadata["ownerReferences"]] == [uid]
    assert metadata["labels"]["workflow"] == modes.shared.name
    assert metadata["labels"]["coderun/task-id"] == TASK
    assert metadata["labels"]["coderun/cleanup"] == "on-exit"
    assert metadata["labels"]["app.kubernetes.io/part-of"] == "coderun"


def test_own_claim_lives_as_long_as_its_run(modes: Modes, runs: Runs) -> None:
    claim = modes.own.claims[f"{modes.own.name}-work"]
    assert claim["metadata"]["labels"]["workflow"] == modes.own.name
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert f"{modes.own.name}-work" not in runs.claims()


def test_same_task_id_is_refused_and_leaves_the_first_alone(modes: Modes, sightings: Sightings) -> None:
    said = messages(modes.intruder)
    assert phase(modes.intruder) == "Failed"
    assert "parameter taskId" in said
    assert "Remedy:" in said
    assert not sightings.coderun_seen(modes.intruder["metadata"]["name"])
    assert modes.tree_after_intruder.startswith("gitdir:")


def test_nothing_is_left(modes: Modes, runs: Runs) -> None:
    assert modes.leftovers == frozenset()
    assert runs.objects_left([*modes.workflows, modes.intruder["metadata"]["name"]]) == []

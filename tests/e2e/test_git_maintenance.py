"""The maintenance as the cluster runs it, beside a run that is at work."""

import json
import uuid
from dataclasses import dataclass

import pytest

from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import NAMESPACE, Runs, phase
from tests.e2e.volume import Volume
from tests.fixtures.coderun_controller.api import JsonObject

GATE = "c"
JOB_SECONDS = 180


@dataclass(frozen=True)
class Maintained:
    """A maintenance beside a run."""

    job: JsonObject
    pod: JsonObject
    log: str
    status: str
    workflow: JsonObject


@pytest.fixture(scope="module")
def maintained(runs: Runs, git: GitServerControl) -> Maintained:
    """Starts one by hand, as the docs say, while an agent waits at a gate."""
    with git.gate(GATE):
        name = runs.sample(ref=f"refs/heads/gate/{GATE}", baseRef="refs/heads/main")
        agent = runs.wait_agent(name)["metadata"]["name"]
        job = f"e2e-maintain-{uuid.uuid4().hex[:8]}"
        commands.run(["kubectl", "-n", NAMESPACE, "create", "job", "--from=cronjob/coderun-git-maintenance", job])
        try:
            commands.run(["kubectl", "-n", NAMESPACE, "wait", f"job/{job}", "--for=condition=Complete", f"--timeout={JOB_SECONDS}s"])
            found = json.loads(commands.run(["kubectl", "-n", NAMESPACE, "get", "job", job, "-o", "json"]))
            (pod,) = json.loads(commands.run(["kubectl", "-n", NAMESPACE, "get", "pods", "-l", f"job-name={job}", "-o", "json"]))["items"]
            log = commands.run(["kubectl", "-n", NAMESPACE, "logs", f"job/{job}"])
        finally:
            commands.run(["kubectl", "-n", NAMESPACE, "delete", "job", job, "--wait=false"])
        status = commands.run(["kubectl", "exec", "-n", NAMESPACE, agent, "-c", "agent", "--", "git", "status", "--porcelain"])
    return Maintained(found, pod, log, status, runs.wait_ended([name])[name])


def test_it_tells_of_every_base_and_of_the_claim(maintained: Maintained) -> None:
    lines = maintained.log.splitlines()
    assert any(line.startswith("base exampleorg/sample: ") and "MiB, last used 0 day(s) ago" in line for line in lines)
    assert "coderun-shared holds " in lines[-1]
    assert " of 20480.0 MiB " in lines[-1]


def test_its_pod_has_no_token(maintained: Maintained) -> None:
    sources = [source for volume in maintained.pod["spec"]["volumes"] for source in volume.get("projected", {}).get("sources", [])]
    assert not any("serviceAccountToken" in source for source in sources)


def test_the_run_beside_it_does_not_notice(maintained: Maintained, runs: Runs) -> None:
    assert maintained.status == ""
    assert phase(maintained.workflow) == "Succeeded", runs.explain(maintained.workflow["metadata"]["name"])


def test_the_base_is_sound_and_has_its_commit_graph(maintained: Maintained, shared_volume: Volume) -> None:
    assert maintained.job
    assert shared_volume.fsck("exampleorg", "sample") == ""
    shared_volume.sh("git --git-dir=/work/base/exampleorg/sample.git commit-graph verify --no-progress")

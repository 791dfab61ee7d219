"""The fence: what runs under the key for workflows that no longer hold it is ended; all else is left alone."""

import pytest

from tests.payload.steps import POD_LABEL, Bench, uid


@pytest.mark.parametrize(
    ("case", "ended"),
    [
        ("holder", False),
        ("holder that had queued", False),
        ("stopped", True),
        ("terminated", True),
        ("failed", True),
        ("deleted", True),
        ("another of the same name", True),
        ("not locked yet", True),
        ("lock given up", True),
        ("nodes compressed", False),
    ],
)
def test_who_holds_the_key_still_goes_on(bench: Bench, case: str, ended: bool) -> None:  # noqa: FBT001 - a table
    cluster = bench.cluster
    cluster.coderun("old", 9)
    cluster.agent_pod("old")
    cluster.step_pod("old", 9)
    match case:
        case "holder":
            cluster.workflow("old", 9)
        case "holder that had queued":
            cluster.workflow("old", 9, locked="Pending")
        case "stopped":
            cluster.workflow("old", 9, shutdown="Stop")
        case "terminated":
            cluster.workflow("old", 9, shutdown="Terminate")
        case "failed":
            cluster.workflow("old", 9, phase="Failed", locked="Failed")
        case "another of the same name":
            cluster.workflow("old", 8)
        case "not locked yet":
            cluster.workflow("old", 9, locked=None)
        case "lock given up":
            cluster.workflow("old", 9, locked="Failed")
        case "nodes compressed":
            cluster.put("workflows", "old", uid=uid(9), spec={}, status={"phase": "Running", "compressedNodes": "H4sIAAA="})
    bench.init().assert_succeeded()
    # The step's pod first: it could apply the CodeRun again.
    assert cluster.deletions() == (["pods/old-create-coderun", "coderuns/old"] if ended else [])
    assert cluster.names("coderuns") == (set() if ended else {"old"})
    assert cluster.names("pods") == (set() if ended else {"old-agent", "old-create-coderun"})


def test_other_keys_are_left_alone(bench: Bench) -> None:
    bench.cluster.coderun("old", 9, key="exampleorg-sample-other")
    bench.cluster.agent_pod("old")
    bench.cluster.step_pod("old", 9, key="exampleorg-sample-other")
    bench.init().assert_succeeded()
    assert bench.cluster.deletions() == []


def test_its_own_are_left_alone(bench: Bench) -> None:
    bench.cluster.coderun("run-1", 1)
    bench.cluster.agent_pod("run-1")
    bench.cluster.step_pod("run-1", 1)
    bench.init().assert_succeeded()
    assert bench.cluster.deletions() == []


def test_waits_until_the_old_agent_is_gone(bench: Bench) -> None:
    bench.cluster.coderun("old", 9, fake={"goneAfter": 2})
    bench.cluster.agent_pod("old", fake={"goneAfter": 1000})
    step = bench.start("init-worktree")
    assert step.process.stdout is not None
    for words in ("fence: CodeRun old", "ending CodeRun old", "ending pod old-agent"):
        assert words in step.process.stdout.readline()
    assert not bench.base().exists()
    bench.cluster.remove("pods", "old-agent")
    step.outcome().assert_succeeded()


def test_a_pod_that_never_ends_stops_the_run_and_not_the_fence(bench: Bench) -> None:
    bench.cluster.agent_pod("old", fake={"goneAfter": 1000})
    bench.init(FENCE_TIMEOUT_SECONDS="1").assert_refused("pod old-agent has not ended", "check its node")
    assert not bench.base().exists()


def test_a_coderun_that_never_goes_stops_the_run(bench: Bench) -> None:
    bench.cluster.coderun("old", 9, fake={"goneAfter": 1000})
    bench.init(FENCE_TIMEOUT_SECONDS="1").assert_refused("CodeRun old is still there", "controller")
    assert not bench.base().exists()


def test_pods_that_outlived_their_coderun_are_ended_whatever_their_key(bench: Bench) -> None:
    bench.cluster.agent_pod("orphan", fake={"goneAfter": 2})
    bench.cluster.agent_pod("ended", status={"phase": "Succeeded"})
    bench.cluster.coderun("other", 8, key="exampleorg-sample-other")
    bench.cluster.agent_pod("other")
    bench.init().assert_succeeded()
    assert bench.cluster.deletions() == ["pods/orphan-agent"]
    assert bench.cluster.names("pods") == {"ended-agent", "other-agent"}


def test_ended_step_pods_are_left_for_their_logs(bench: Bench) -> None:
    bench.cluster.step_pod("old", 9, status={"phase": "Failed"})
    bench.init().assert_succeeded()
    assert bench.cluster.deletions() == []


def test_an_api_server_that_is_away_is_waited_for(bench: Bench) -> None:
    bench.cluster.coderun("old", 9)
    bench.cluster.fail_calls(4)
    bench.init().assert_succeeded()
    assert bench.cluster.names("coderuns") == set()


def test_an_api_server_that_stays_away_stops_the_run(bench: Bench) -> None:
    bench.cluster.fail_calls(100_000)
    bench.init(FENCE_TIMEOUT_SECONDS="1").assert_refused("Kubernetes: kubectl get pods", "was refused")
    assert not bench.base().exists()


def test_the_objects_are_read_by_the_configured_names(bench: Bench) -> None:
    bench.init().assert_succeeded()
    assert "coderuns.platform.example.io" in bench.cluster.log()
    assert POD_LABEL.replace(".", "\\\\.") in bench.cluster.log()

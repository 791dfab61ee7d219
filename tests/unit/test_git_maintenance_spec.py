"""The CronJob of the nightly maintenance."""

import re
from typing import Any

import pytest

from components.git_maintenance_spec import cron_job_spec
from tests.unit.stack_files import config_with


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    settings = {"schedule": "0 4 * * *", "expireDays": 7, "evictAbovePercent": 70, "deadlineSeconds": 600}
    return cron_job_spec(config_with(gitMaintenance=settings, git={"lockTimeoutSeconds": 100}, storage={"shared": {"size": "3Gi"}}))


def pod(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["jobTemplate"]["spec"]["template"]["spec"]
    return found


def container(spec: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod(spec)["containers"]
    return dict(found)


def env(spec: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container(spec)["env"]}


def test_it_comes_at_its_time_and_one_at_a_time(spec: dict[str, Any]) -> None:
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("0 4 * * *", "Forbid")
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod(spec)["restartPolicy"] == "Never"


def test_it_has_nobodys_rights_and_is_confined(spec: dict[str, Any]) -> None:
    assert pod(spec)["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod(spec)
    assert pod(spec)["securityContext"]["runAsNonRoot"] is True
    assert container(spec)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
    }
    assert container(spec)["resources"]["limits"]["memory"]


def test_it_sees_the_bases_and_counts_the_trees(spec: dict[str, Any]) -> None:
    mounts = {mount["mountPath"]: mount for mount in container(spec)["volumeMounts"]}
    assert mounts["/work/base"] == {"name": "claim", "mountPath": "/work/base", "subPath": "base"}
    assert mounts["/work/trees"]["readOnly"] is True
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod(spec)["volumes"] if "persistentVolumeClaim" in volume]
    assert claims == ["coderun-shared"]


def test_the_settings_reach_the_script(spec: dict[str, Any]) -> None:
    given = env(spec)
    assert (given["EXPIRE_DAYS"], given["EVICT_ABOVE_PERCENT"], given["DEADLINE_SECONDS"]) == ("7", "70", "600")
    assert given["CLAIM_SIZE_BYTES"] == str(3 * 2**30)
    assert int(given["HOLD_SECONDS"]) < 100, "who waits for the lock of fetches must not run out of patience"
    assert int(given["LOCK_TIMEOUT_SECONDS"]) < 10


def test_the_script_gets_all_that_it_asks_for_and_ends_before_its_pod_is_ended(spec: dict[str, Any]) -> None:
    script = container(spec)["command"][2]
    checked = re.search(r"for name in ([A-Z_ ]+); do", script)
    assert checked
    assert set(checked[1].split()) <= set(env(spec))
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] > int(env(spec)["DEADLINE_SECONDS"])


def test_the_kubelet_changes_nothing_of_the_script(spec: dict[str, Any]) -> None:
    script = container(spec)["command"][2]
    assert "$" not in script.replace("$$", "")

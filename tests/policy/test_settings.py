"""Levels, values and exemptions: what a settings file takes, and what it does."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from policies.analyzer import Pack, Report, Violation
from policies.check import as_resource
from policies.rules import RULES
from policies.settings_file import SETTINGS_FILE, SettingsError, for_pack, read_settings

CLAIM: dict[str, Any] = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "coderun-shared", "namespace": "argo"}}
NO_LIMIT: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "agents", "namespace": "argo"},
    "spec": {"entrypoint": "main"},
}
REASON = "made up for this test"


def of(report: Report, policy: str) -> list[Violation]:
    return [one for one in report.violations if one.policy == policy]


def file_with(folder: Path, settings: object) -> Path:
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def test_the_projects_own_settings_are_right() -> None:
    assert read_settings(SETTINGS_FILE, RULES)


def test_an_exemption_leaves_one_object_alone_and_is_told(pack: Pack) -> None:
    other = {**CLAIM, "metadata": {"name": "other", "namespace": "argo"}}
    settings = {"claim-protected": {"exemptions": [{"object": "PersistentVolumeClaim/argo/coderun-shared", "reason": REASON}]}}
    report = pack.run([as_resource(CLAIM), as_resource(other)], settings)
    assert [one.object for one in of(report, "claim-protected")] == ["PersistentVolumeClaim/argo/other"]
    (exempt,) = report.exempt
    assert exempt.object == "PersistentVolumeClaim/argo/coderun-shared"
    assert REASON in exempt.reason


@pytest.mark.parametrize(("stack", "violations"), [("dev", 0), ("production", 1)])
def test_an_exemption_can_be_for_one_stack(pack: Pack, stack: str, violations: int) -> None:
    report = pack.run([as_resource(CLAIM, stack)])
    assert len(of(report, "claim-protected")) == violations, "policies/settings.yaml exempts the dev stack's claim only"


def test_a_policy_on_the_whole_stack_has_exemptions_too(pack: Pack) -> None:
    template = {
        **NO_LIMIT,
        "spec": {"synchronization": {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "all"}}]}},
    }
    stack = [as_resource(template)]
    assert len(of(pack.run(stack), "semaphore-keys")) == 1
    settings = {"semaphore-keys": {"exemptions": [{"object": "WorkflowTemplate/argo/agents", "reason": REASON}]}}
    assert of(pack.run(stack, settings), "semaphore-keys") == []


@pytest.mark.parametrize(
    ("level", "told"), [("mandatory", ["mandatory"]), ("advisory", ["advisory"]), ("disabled", []), ("remediate", ["mandatory"])]
)
def test_levels(pack: Pack, level: str, told: list[str]) -> None:
    report = pack.run([as_resource(NO_LIMIT)], {"parallelism-set": {"enforcementLevel": level}})
    assert [one.level for one in of(report, "parallelism-set")] == told


def test_a_level_for_all(pack: Pack) -> None:
    settings = {"all": {"enforcementLevel": "disabled"}, "parallelism-set": {"enforcementLevel": "advisory"}}
    report = pack.run([as_resource(NO_LIMIT)], settings)
    assert [(one.policy, one.level) for one in report.violations] == [("parallelism-set", "advisory")]


def test_settings_of_one_run_are_gone_in_the_next(pack: Pack) -> None:
    pack.run([as_resource(NO_LIMIT)], {"parallelism-set": {"enforcementLevel": "disabled"}})
    assert len(of(pack.run([as_resource(NO_LIMIT)]), "parallelism-set")) == 1


def test_a_level_that_is_not_given_stays_what_it_was(pack: Pack) -> None:
    """The engine reads a level that isn't sent as advisory; the project's own settings give none for this policy."""
    assert "enforcementLevel" not in read_settings(SETTINGS_FILE, RULES)["claim-protected"]
    (found,) = of(pack.run([as_resource(CLAIM, "production")]), "claim-protected")
    assert found.level == "mandatory"


def test_a_setting_that_no_policy_takes_is_a_violation_and_not_ignored(pack: Pack) -> None:
    """The engine checks types, but takes any key."""
    (found,) = of(pack.run([as_resource(NO_LIMIT)], {"parallelism-set": {"maximun": 3}}), "parallelism-set")
    assert "the policy's setting maximun is wrong" in found.message


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"paralelism-set": {"maximum": 3}}, "paralelism-set: there is no such policy"),
        ({"parallelism-set": {"maximun": 3}}, "parallelism-set.maximun: Extra inputs are not permitted"),
        ({"parallelism-set": {"maximum": 0}}, "parallelism-set.maximum: Input should be greater than or equal to 1"),
        ({"parallelism-set": {"enforcementLevel": "strict"}}, "'strict' is no level"),
        ({"parallelism-set": 3}, "parallelism-set: isn't a mapping"),
        ({"all": {"maximum": 3}}, "all.maximum: only enforcementLevel can be set for all"),
        ({"parallelism-set": {"exemptions": [{"object": "WorkflowTemplate/argo/agents"}]}}, "exemptions.0.reason: Field required"),
        ({"parallelism-set": {"exemptions": [{"object": "WorkflowTemplate/argo/agents", "reason": "x"}]}}, "exemptions.0.reason: String should have"),
        ({"parallelism-set": {"exemptions": [{"object": "agents", "reason": REASON}]}}, "exemptions.0.object: String should match"),
        (["parallelism-set"], "isn't a mapping"),
    ],
)
def test_a_wrong_settings_file_is_refused(tmp_path: Path, settings: object, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(file_with(tmp_path, settings), RULES)
    assert problem in str(raised.value)
    assert "Remedy: " in str(raised.value)


def test_a_settings_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Remedy"):
        read_settings(tmp_path / "none.yaml", RULES)


def test_a_level_alone_is_enough(tmp_path: Path) -> None:
    assert read_settings(file_with(tmp_path, {"images": "disabled"}), RULES) == {"images": {"enforcementLevel": "disabled"}}


def test_the_pack_always_says_the_level(tmp_path: Path) -> None:
    initial = for_pack(read_settings(file_with(tmp_path, {"bounded-retries": {"exemptions": []}, "images": "disabled"}), RULES), RULES)
    levels = {name: values["enforcementLevel"].value for name, values in initial.items() if isinstance(values, dict)}
    assert levels == {"bounded-retries": "advisory", "images": "disabled"}

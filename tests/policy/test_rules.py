"""Each rule on good, bad and unknown inputs, wrapped as the engine wraps them."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi_policy.proxy import UNKNOWN_NUMBER_VALUE, UNKNOWN_OBJECT_VALUE, UnknownValueError

from components.workflow_template_spec import workflow_template_spec
from policies import check
from policies.rules import RULES
from tests.unit.stack_files import config_with


@pytest.fixture
def good() -> dict[str, Any]:
    template: dict[str, Any] = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "coderun-template", "namespace": "argo"},
        "spec": workflow_template_spec(config_with(), "test"),
    }
    return copy.deepcopy(template)


def template_called(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    (template,) = [template for template in manifest["spec"]["templates"] if template["name"] == name]
    assert isinstance(template, dict)
    return template


def test_the_stacks_own_template_is_good(good: dict[str, Any]) -> None:
    assert check.violations(good) == []


def test_numbers_come_as_floating_point(good: dict[str, Any]) -> None:
    good["spec"]["parallelism"] = 5.0
    assert check.violations(good) == []


@pytest.mark.parametrize(
    ("parallelism", "reason"),
    [
        (None, "is missing"),
        ("{{workflow.parameters.parallelism}}", "not a whole number"),
        (0, "is 0"),
        (-1, "is -1"),
        (2.5, "not a whole number"),
        (True, "not a whole number"),
        (51, "more than the maximum 50"),
    ],
)
def test_parallelism_must_be_set(good: dict[str, Any], parallelism: object, reason: str) -> None:
    if parallelism is None:
        del good["spec"]["parallelism"]
    else:
        good["spec"]["parallelism"] = parallelism
    (line,) = check.violations(good)
    assert line.startswith("parallelism-set: WorkflowTemplate argo/coderun-template: ")
    assert reason in line
    assert "Remedy: " in line


def test_the_maximum_is_configurable(good: dict[str, Any]) -> None:
    good["spec"]["parallelism"] = 60
    assert check.violations(good, {"parallelism-set": {"maximum": 60.0}}) == []
    (line,) = check.violations(good, {"parallelism-set": {"maximum": 59.0}})
    assert "more than the maximum 59" in line


def test_a_template_without_spec_breaks_every_rule(good: dict[str, Any]) -> None:
    del good["spec"]
    assert {line.partition(":")[0] for line in check.violations(good)} == {rule.name for rule in RULES}


@pytest.mark.parametrize("place", ["workflowMetadata", "podMetadata"])
@pytest.mark.parametrize("label", ["app.kubernetes.io/part-of", "coderun/cleanup"])
def test_labels_of_pods_and_workflow(good: dict[str, Any], place: str, label: str) -> None:
    del good["spec"][place]["labels"][label]
    (line,) = check.violations(good)
    assert line.startswith("cleanup-labels: ")
    assert f"spec.{place} lacks" in line
    assert label in line


@pytest.mark.parametrize("place", ["workflowMetadata", "podMetadata"])
def test_no_labels_at_all(good: dict[str, Any], place: str) -> None:
    del good["spec"][place]
    (line,) = check.violations(good)
    assert "app.kubernetes.io/part-of=coderun, coderun/cleanup=on-exit" in line


def test_a_wrong_value_is_no_label(good: dict[str, Any]) -> None:
    good["spec"]["podMetadata"]["labels"]["coderun/cleanup"] = "never"
    assert len(check.violations(good)) == 1


def test_labels_of_the_claim(good: dict[str, Any]) -> None:
    (variable,) = [one for one in template_called(good, "claim")["script"]["env"] if one["name"] == "CLAIM_MANIFEST"]
    manifest = json.loads(variable["value"])
    del manifest["metadata"]["labels"]["coderun/cleanup"]
    variable["value"] = json.dumps(manifest)
    (line,) = check.violations(good)
    assert "the claim that template claim makes" in line


def test_labels_of_what_a_resource_step_makes(good: dict[str, Any]) -> None:
    manifest = {"metadata": {"labels": {"app.kubernetes.io/part-of": "coderun"}}}
    good["spec"]["templates"].append({"name": "another", "resource": {"action": "apply", "manifest": yaml.safe_dump(manifest)}})
    (line,) = check.violations(good)
    assert "the object that template another makes" in line


def test_labels_of_the_coderun(good: dict[str, Any]) -> None:
    (variable,) = [one for one in template_called(good, "create-coderun")["script"]["env"] if one["name"] == "CODERUN_MANIFEST"]
    manifest = json.loads(variable["value"])
    del manifest["metadata"]["labels"]["app.kubernetes.io/part-of"]
    variable["value"] = json.dumps(manifest)
    (line,) = check.violations(good)
    assert "the CodeRun that template create-coderun makes" in line


@pytest.mark.parametrize("text", ["{{ not: yaml", "", "[]", "just a text"])
def test_a_manifest_that_cannot_be_read_counts_as_unlabelled(good: dict[str, Any], text: str) -> None:
    good["spec"]["templates"].append({"name": "another", "resource": {"action": "create", "manifest": text}})
    assert len(check.violations(good)) == 1


def test_other_kinds_are_left_alone() -> None:
    assert check.violations({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}) == []


@pytest.mark.parametrize("unknown", ["parallelism", "spec"])
def test_unknown_values_stop_the_rule_instead_of_passing(good: dict[str, Any], unknown: str) -> None:
    if unknown == "spec":
        good["spec"] = UNKNOWN_OBJECT_VALUE
    else:
        good["spec"]["parallelism"] = UNKNOWN_NUMBER_VALUE
    with pytest.raises(UnknownValueError):
        check.violations(good)


def test_unknown_values_that_a_rule_does_not_read_do_not_stop_it(good: dict[str, Any]) -> None:
    good["spec"]["activeDeadlineSeconds"] = UNKNOWN_NUMBER_VALUE
    assert check.violations(good) == []


def test_the_command_fails_on_a_violation(good: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(yaml.safe_dump(good), encoding="utf-8")
    assert check.main([str(tmp_path)]) == 0
    good["spec"]["parallelism"] = 0
    file.write_text(yaml.safe_dump(good), encoding="utf-8")
    assert check.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("\n") == 1


def test_the_command_fails_when_there_is_nothing_to_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(tmp_path)]) == 1
    assert "Remedy" in capsys.readouterr().err

"""Cleanup labels are added at the level remediate, and nothing else is touched."""

import copy
import json
from dataclasses import replace
from typing import Any, Final

import pytest
from pulumi_policy import proxy

from policies.analyzer import Pack, Report, StackResource
from policies.check import as_resource
from policies.vocabulary import CLEANUP_LABELS
from tests.policy.program_stacks import DEV, program_stack

REMEDIATE: Final = {"cleanup-labels": {"enforcementLevel": "remediate"}}
SECRET: Final = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


@pytest.fixture(scope="module")
def good() -> StackResource:
    (template,) = [one for one in program_stack(DEV) if one.label == "WorkflowTemplate/argo/coderun-template"]
    return template


def stripped(good: StackResource) -> tuple[StackResource, dict[str, Any]]:
    """The template without any cleanup label."""
    props: dict[str, Any] = copy.deepcopy(dict(good.props))
    props["metadata"]["labels"] = {"team": "agents"}
    del props["spec"]["workflowMetadata"]
    props["spec"]["podMetadata"] = {"annotations": {"a": "b"}}
    for template in props["spec"]["templates"]:
        for variable in template.get("script", {}).get("env", []):
            if variable["name"] in ("CLAIM_MANIFEST", "CODERUN_MANIFEST"):
                manifest = json.loads(variable["value"])
                manifest["metadata"]["labels"] = {"workflow": "{{workflow.name}}"}
                variable["value"] = json.dumps(manifest)
    return replace(good, props=props), props


def run(pack: Pack, props: dict[str, Any]) -> tuple[Report, dict[str, Any]]:
    """Remediates, and gives back what was made of the properties."""
    report = pack.run([as_resource(props)], REMEDIATE)
    remediated = report.remediated.get("cleanup-labels")
    return report, dict(remediated.props) if remediated else props


def test_every_label_is_added_and_the_rest_stays(pack: Pack, good: StackResource) -> None:
    resource, before = stripped(good)
    assert len([one for one in pack.run([resource]).violations if one.policy == "cleanup-labels"]) == 6
    report, after = run(pack, before)
    assert [one for one in report.violations if one.policy == "cleanup-labels"] == []
    assert after["metadata"]["labels"] == {"team": "agents", **CLEANUP_LABELS}
    assert after["spec"]["workflowMetadata"] == {"labels": dict(CLEANUP_LABELS)}
    assert after["spec"]["podMetadata"] == {"annotations": {"a": "b"}, "labels": dict(CLEANUP_LABELS)}
    for props in (before, after):
        props["metadata"].pop("labels")
        for key in ("workflowMetadata", "podMetadata"):
            props["spec"].pop(key, None)
    differing = [one["name"] for one, other in zip(after["spec"]["templates"], before["spec"]["templates"], strict=True) if one != other]
    assert differing == ["claim", "create-coderun", "create-coderun-own-claim"]
    (claim,) = [one for one in after["spec"]["templates"] if one["name"] == "claim"]
    (manifest,) = [json.loads(variable["value"]) for variable in claim["script"]["env"] if variable["name"] == "CLAIM_MANIFEST"]
    assert manifest["metadata"]["labels"] == {"workflow": "{{workflow.name}}", **CLEANUP_LABELS}


def test_what_is_right_is_not_remediated(pack: Pack, good: StackResource) -> None:
    assert pack.run([good], REMEDIATE).remediated == {}


def test_what_is_wrong_otherwise_is_not_touched(pack: Pack, good: StackResource) -> None:
    props = copy.deepcopy(dict(good.props))
    props["spec"]["parallelism"] = 0
    report = pack.run([replace(good, props=props)], REMEDIATE)
    assert report.remediated == {}
    assert "parallelism-set" in {one.policy for one in report.violations}


@pytest.mark.parametrize("path", [("spec",), ("metadata", "labels"), ("spec", "workflowMetadata"), ("spec", "podMetadata"), ("spec", "templates")])
def test_what_is_not_known_yet_is_never_replaced(pack: Pack, good: StackResource, path: tuple[str, ...]) -> None:
    """A remediation is handed the text that stands for an unknown value, and not told."""
    _, props = stripped(good)
    holder = props
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = proxy.UNKNOWN_OBJECT_VALUE
    report, after = run(pack, props)
    found: Any = after
    for key in path:
        found = found[key]
    assert found == proxy.UNKNOWN_OBJECT_VALUE
    assert "cleanup-labels" in {one.policy for one in report.not_run}


def test_a_secret_stays_one(pack: Pack, good: StackResource) -> None:
    _, props = stripped(good)
    (cleanup,) = [one for one in props["spec"]["templates"] if one["name"] == "cleanup"]
    secret = {**SECRET, "value": "hunter2"}
    cleanup["script"]["env"].append({"name": "X", "value": secret})
    _, after = run(pack, props)
    (cleanup,) = [one for one in after["spec"]["templates"] if one["name"] == "cleanup"]
    assert cleanup["script"]["env"][-1] == {"name": "X", "value": secret}


def test_a_manifest_that_cannot_be_read_stays_a_violation(pack: Pack, good: StackResource) -> None:
    props = copy.deepcopy(dict(good.props))
    manifest = "kind: PersistentVolumeClaim\nmetadata: {{inputs.parameters.metadata}}\n"
    props["spec"]["templates"].append({"name": "another", "resource": {"action": "apply", "manifest": manifest}})
    report, _ = run(pack, props)
    assert [one.message.split(" lacks")[0] for one in report.violations if one.policy == "cleanup-labels"] == [
        "the PersistentVolumeClaim of spec.templates[another].resource.manifest",
    ]


def test_a_cron_workflow_gets_its_labels_where_it_has_a_place_for_them(pack: Pack) -> None:
    props = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": "nightly", "namespace": "argo"},
        "spec": {"workflowSpec": {"entrypoint": "main", "volumeClaimTemplates": [{"metadata": {"name": "work"}}], "templates": []}},
    }
    report, after = run(pack, props)
    assert [one for one in report.violations if one.policy == "cleanup-labels"] == []
    assert after["spec"]["workflowMetadata"] == {"labels": dict(CLEANUP_LABELS)}
    assert after["spec"]["workflowSpec"]["volumeClaimTemplates"] == [{"metadata": {"name": "work", "labels": dict(CLEANUP_LABELS)}}]
    assert "labels" not in after["metadata"]

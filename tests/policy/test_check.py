"""``make policy``: the rules over plain YAML, for people without Pulumi."""

import json
from pathlib import Path

import pytest
import yaml

from components import render
from policies import check
from policies.check import NEEDS_ENGINE
from tests.policy.program_stacks import DEV


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    assert render.main(["--config", str(DEV), "--out", str(folder)]) == 0
    return folder


def write(folder: Path, name: str, *documents: object) -> Path:
    (folder / name).write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return folder


def template(**spec: object) -> dict[str, object]:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "agents", "namespace": "argo"}, "spec": spec}


def test_the_rendered_stack_is_good(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(rendered)]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "0 violations" in told.err


def test_what_only_the_engine_knows_is_named(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check.main([str(rendered)])
    assert "skipped, as only the engine knows what they look at: claim-protected, provider-named, config-map-in-place" in capsys.readouterr().err
    assert NEEDS_ENGINE == ("claim-protected", "provider-named", "config-map-in-place")


def test_a_line_a_violation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(write(tmp_path, "a.yaml", template(parallelism=0)))]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("parallelism-set")]
    assert len(lines) == 1
    assert lines[0].startswith("parallelism-set: WorkflowTemplate/argo/agents: spec.parallelism is 0")
    assert "Remedy: " in lines[0]


def test_an_advisory_policy_alone_does_not_fail(rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"parallelism-set": {"enforcementLevel": "advisory", "maximum": 1}}), encoding="utf-8")
    assert check.main([str(rendered), "--settings", str(settings)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("parallelism-set")]
    assert [line.partition(": spec.")[0] for line in lines] == [
        f"parallelism-set (advisory): WorkflowTemplate/argo/{name}" for name in ("coderun-batch", "coderun-template")
    ]


def test_what_could_be_corrected_is_told_as_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text('{"cleanup-labels": "remediate"}', encoding="utf-8")
    folder = tmp_path / "manifests"
    folder.mkdir()
    assert check.main([str(write(folder, "a.yaml", template())), "--settings", str(settings)]) == 1
    assert "cleanup-labels: WorkflowTemplate/argo/agents: metadata lacks cleanup labels" in capsys.readouterr().out


def test_an_exemption_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.yaml"
    exemption = {"object": "WorkflowTemplate/argo/agents", "reason": "its pods are counted elsewhere"}
    settings.write_text(yaml.safe_dump({"parallelism-set": {"exemptions": [exemption]}}), encoding="utf-8")
    folder = tmp_path / "manifests"
    folder.mkdir()
    check.main([str(write(folder, "a.yaml", template())), "--settings", str(settings)])
    told = capsys.readouterr()
    assert "parallelism-set" not in told.out
    assert "exempt from parallelism-set: WorkflowTemplate/argo/agents is exempt: its pods are counted elsewhere" in told.err


def test_folders_lists_and_other_documents(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    write(tmp_path, "values.yaml", {"kind": 3}, ["a"], None)
    write(tmp_path / "deeper", "list.yml", {"apiVersion": "v1", "kind": "List", "items": [template(), template()]})
    (tmp_path / "one.json").write_text(json.dumps(template()), encoding="utf-8")
    assert len(check.read_manifests(tmp_path)) == 3


def test_yaml_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {on: yes, at: 2026-01-01, b: true}\n", encoding="utf-8"
    )
    (manifest,) = check.read_manifests(tmp_path)
    assert manifest["data"] == {"on": "yes", "at": "2026-01-01", "b": True}


@pytest.mark.parametrize("content", [None, "a: [", "\x00"])
def test_nothing_to_check_fails_with_a_remedy(tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        (tmp_path / "a.yaml").write_text(content, encoding="utf-8")
    assert check.main([str(tmp_path)]) == 1
    assert "Remedy: " in capsys.readouterr().err


def test_wrong_settings_are_told(rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("nothing-like-it: disabled\n", encoding="utf-8")
    assert check.main([str(rendered), "--settings", str(settings)]) == 1
    assert "nothing-like-it: there is no such policy" in capsys.readouterr().err

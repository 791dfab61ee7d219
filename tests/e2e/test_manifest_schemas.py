"""Every rendered object against the schemas of its kind, which installations of Argo leave out of the cluster, and Argo's own check."""

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.render import main, run_program
from components.run_manifests import own_claim_manifest
from config.stack_file import load_stack_file
from tests.e2e.schemas import faults
from tests.rendered import STACK_FILES

DEV = STACK_FILES["dev"]


def rendered(stack_file: Path) -> list[dict[str, Any]]:
    return [manifest for registered in run_program(stack_file) if (manifest := registered.manifest)]


def one_of(manifests: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return copy.deepcopy(next(manifest for manifest in manifests if manifest["kind"] == kind))


@pytest.fixture(scope="module")
def dev() -> list[dict[str, Any]]:
    return rendered(DEV)


@pytest.mark.parametrize("name", STACK_FILES)
def test_every_field_of_every_object_is_known(name: str) -> None:
    found = {f"{one['kind']}/{one['metadata']['name']}": faults(one) for one in rendered(STACK_FILES[name]) if one["kind"] != "Secret"}
    assert {label: problems for label, problems in found.items() if problems} == {}


@pytest.mark.parametrize("name", STACK_FILES)
def test_every_field_of_the_claim_that_a_run_makes_is_known(name: str) -> None:
    """It stands in the environment of a step, as text, where the rendered objects' schemas don't reach."""
    claim = own_claim_manifest(load_stack_file(STACK_FILES[name]), name)
    assert faults(claim) == []
    claim["spec"]["storageClas"] = claim["spec"].pop("storageClassName", "")
    assert faults(claim) == ["$.spec.storageClas: unknown"]


def test_a_misspelt_field_of_argo_is_found(dev: list[dict[str, Any]]) -> None:
    template = one_of(dev, "WorkflowTemplate")
    template["spec"]["templates"][0]["dagg"] = {}
    template["spec"]["parallelism"] = "5"
    template["metadata"]["label"] = {}
    assert sorted(faults(template)) == [
        "$.metadata.label: unknown",
        "$.spec.parallelism: not of type integer",
        "$.spec.templates[0].dagg: unknown",
    ]


def test_a_misspelt_field_of_kubernetes_is_found(dev: list[dict[str, Any]]) -> None:
    job = one_of(dev, "Job")
    job["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
    job["spec"]["backoffLimit"] = "3"
    assert sorted(faults(job)) == ["$.spec.backoffLimit: not of type integer", "$.spec.template.spec.containers[0].resource: unknown"]
    policy = one_of(dev, "ValidatingAdmissionPolicy")
    del policy["spec"]["validations"][0]["expression"]
    assert faults(policy) == ["$.spec.validations[0].expression: missing"]


@pytest.mark.parametrize("name", STACK_FILES)
def test_argo_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    assert main(["--config", str(STACK_FILES[name]), "--out", str(tmp_path)]) == 0
    files = sorted(str(path) for pattern in ("workflowtemplate-*", "cronworkflow-*") for path in tmp_path.glob(pattern))
    assert files
    done = subprocess.run(["argo", "lint", "--offline", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_argo_finds_a_task_without_a_template(dev: list[dict[str, Any]], tmp_path: Path) -> None:
    template = one_of(dev, "WorkflowTemplate")
    template["spec"]["templates"][0]["dag"]["tasks"][0]["template"] = "resolv"
    file = tmp_path / "template.yaml"
    file.write_text(yaml.safe_dump(template), encoding="utf-8")
    done = subprocess.run(["argo", "lint", "--offline", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "resolv" in done.stdout + done.stderr

"""The WorkflowTemplate against Argo's full schema, which installations leave out of the cluster for its size."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from components.render import run_program

STACK_FILE = Path(__file__).parents[2] / "Pulumi.dev.yaml"
ARGO_MODULE = "github.com/argoproj/argo-workflows/v3@v3.7.17"
SCHEMA = Path("manifests/base/crds/full/argoproj.io_workflowtemplates.yaml")
TYPES: dict[str, type | tuple[type, ...]] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": (int, float)}


def faults(value: object, schema: dict[str, Any], path: str) -> Iterator[str]:
    """What a strict API server would refuse: unknown fields, wrong types, missing fields."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    expected = (int, str) if schema.get("x-kubernetes-int-or-string") else TYPES.get(schema.get("type", ""))
    if expected is not None and (not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool)):
        yield f"{path}: not of type {schema.get('type', 'integer or string')}"
    elif isinstance(value, dict):
        yield from faults_of_fields(value, schema, path)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from faults(inner, schema["items"], f"{path}[{position}]")


def faults_of_fields(value: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[str]:
    if path == "$.metadata":
        return  # a CRD leaves metadata to Kubernetes
    yield from (f"{path}.{name}: missing" for name in schema.get("required", []) if name not in value)
    for name, inner in value.items():
        known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        if isinstance(known, dict):
            yield from faults(inner, known, f"{path}.{name}")
        else:
            yield f"{path}.{name}: unknown"


def full_schema() -> dict[str, Any]:
    cache = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    file = Path(cache) / ARGO_MODULE / SCHEMA
    assert file.is_file(), f"{file} is missing. Remedy: go mod download {ARGO_MODULE}"
    definition = yaml.safe_load(file.read_text(encoding="utf-8"))
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def rendered_template() -> dict[str, Any]:
    manifests = [registered.manifest for registered in run_program(STACK_FILE)]
    (template,) = [manifest for manifest in manifests if manifest and manifest["kind"] == "WorkflowTemplate"]
    return template


def test_argo_knows_every_field_of_the_template() -> None:
    assert list(faults(rendered_template(), full_schema(), "$")) == []


def test_a_misspelt_field_is_found() -> None:
    template = rendered_template()
    template["spec"]["templates"][0]["dagg"] = {}
    template["spec"]["parallelism"] = "5"
    assert sorted(faults(template, full_schema(), "$")) == ["$.spec.parallelism: not of type integer", "$.spec.templates[0].dagg: unknown"]

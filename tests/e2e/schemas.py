"""Schemas of Kubernetes objects, from the modules that the built-in node is built of, and what a strict API server says by them.

Argo leaves its full schemas out of the cluster for their size, so the API server takes any field there. Here none is unknown.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from node.addons import crd_folder
from node.binaries import family, module_folder

_KUBERNETES: Final = "k8s.io/kubernetes"
_ARGO_EVENTS: Final = "github.com/argoproj/argo-events"
_EVENT_KINDS: Final = frozenset({"EventBus", "EventSource", "Sensor"})
_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "number": (int, float),
}
_ANYTHING: Final = frozenset({"FieldsV1", "JSON", "K8SResource", "RawExtension"})
"""Definitions that stand for a value of any form."""


def faults(manifest: Mapping[str, Any]) -> list[str]:
    """What a strict API server would refuse: unknown fields, wrong types, missing fields.

    Raises:
        LookupError: There is no schema for the kind.
    """
    schema, definitions = _schema_of(str(manifest["apiVersion"]), str(manifest["kind"]))
    return list(_faults(dict(manifest), schema, definitions, "$"))


def _schema_of(version: str, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if kind in _EVENT_KINDS:
        return _argo_events()[f"io.argoproj.events.v1alpha1.{kind}"], _argo_events()
    if version.startswith("argoproj.io/"):
        return _argo_workflows()[kind], _kubernetes()
    definitions = _kubernetes()
    group, _, number = version.rpartition("/")
    for definition in definitions.values():
        for named in definition.get("x-kubernetes-group-version-kind", ()):
            if (named["group"], named["version"], named["kind"]) == (group, number, kind):
                return definition, definitions
    raise LookupError(f"there is no schema for {version} {kind}")


@cache
def _kubernetes() -> dict[str, Any]:
    file = module_folder(family("kubernetes"), _KUBERNETES) / "api" / "openapi-spec" / "swagger.json"
    definitions: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["definitions"]
    return definitions


@cache
def _argo_events() -> dict[str, Any]:
    file = module_folder(family("argo-events"), _ARGO_EVENTS) / "api" / "openapi-spec" / "swagger.json"
    definitions: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["definitions"]
    return definitions


@cache
def _argo_workflows() -> dict[str, Any]:
    schemas = {}
    for file in sorted(Path(crd_folder("full")).glob("argoproj.io_*.yaml")):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
        schemas[definition["names"]["kind"]] = definition["versions"][0]["schema"]["openAPIV3Schema"]
    return schemas


def _faults(value: object, schema: dict[str, Any], definitions: Mapping[str, Any], path: str) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name.rpartition(".")[2] in _ANYTHING:
            return
        schema = definitions[name]
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    either = schema.get("x-kubernetes-int-or-string") or schema.get("format") in {"int-or-string", "int64-or-string"}
    expected = (int, str) if either else _TYPES.get(schema.get("type", ""))
    if expected is not None and (not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool)):
        yield f"{path}: not of type {schema.get('type', 'integer or string')}"
    elif isinstance(value, dict):
        yield from _faults_of_fields(value, schema, definitions, path)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _faults(inner, schema["items"], definitions, f"{path}[{position}]")


def _faults_of_fields(value: dict[str, Any], schema: dict[str, Any], definitions: Mapping[str, Any], path: str) -> Iterator[str]:
    if path == "$.metadata" and not schema.get("properties"):
        # A CRD leaves metadata to Kubernetes.
        schema = definitions["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]
    yield from (f"{path}.{name}: missing" for name in schema.get("required", []) if name not in value)
    for name, inner in value.items():
        known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        if isinstance(known, dict):
            yield from _faults(inner, known, definitions, f"{path}.{name}")
        else:
            yield f"{path}.{name}: unknown"

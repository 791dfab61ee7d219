"""Runs the policy pack over a folder of Kubernetes objects as YAML, without the engine: ``make policy``."""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from policies.analyzer import Pack, PackError, Report, StackResource
from policies.rules import RULES
from policies.settings_file import PolicyConfig, SettingsError, read_settings

_STACK: Final = "rendered"
_PROJECT: Final = "coderun-workspaces"

NEEDS_ENGINE: Final = tuple(rule.name for rule in RULES if rule.needs_engine)
"""Policies that look at what no manifest says."""


class _ManifestLoader(yaml.SafeLoader):
    """Reads YAML as kubectl does: a time is a text, and only true and false are truth values."""


_TEXT_TAGS: Final = frozenset({"tag:yaml.org,2002:timestamp"})
_BOOL_TAG: Final = "tag:yaml.org,2002:bool"
_ManifestLoader.yaml_implicit_resolvers = {
    first: [
        (tag, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$") if tag == _BOOL_TAG else pattern)
        for tag, pattern in resolvers
        if tag not in _TEXT_TAGS
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class ManifestError(Exception):
    """A folder holds nothing that can be checked; the message names the file and the remedy."""


def read_manifests(folder: Path) -> list[dict[str, Any]]:
    """Read every Kubernetes object of a folder, those of a List one by one.

    Args:
        folder: Folder with files ``*.yaml``, ``*.yml`` and ``*.json``, and folders of them.

    Raises:
        ManifestError: A file can't be read, or there is no object.
    """
    manifests: list[dict[str, Any]] = []
    for file in sorted(path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml", ".json"}):
        try:
            documents = list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=_ManifestLoader))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ManifestError(f"{file}: can't be read: {' '.join(str(error).split())}. Remedy: correct it, or take it out of the folder") from error
        for document in documents:
            manifests += _objects(document)
    if not manifests:
        raise ManifestError(f"{folder}: no Kubernetes object found. Remedy: run `make render` first, or name another folder")
    return manifests


def _objects(document: object) -> list[dict[str, Any]]:
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str) or not isinstance(document.get("apiVersion"), str):
        return []
    if document["kind"] == "List":
        return [found for item in document.get("items", []) for found in _objects(item)]
    return [document]


def as_resource(manifest: Mapping[str, Any], stack: str = _STACK) -> StackResource:
    """Take an object for a resource of a stack, of which nothing is known but what the object says."""
    version = manifest["apiVersion"]
    token = f"kubernetes:{version if '/' in version else 'core/' + version}:{manifest['kind']}"
    metadata = manifest.get("metadata") or {}
    name = "/".join(str(part) for part in (metadata.get("namespace"), metadata.get("name")) if part)
    return StackResource(token, name, f"urn:pulumi:{stack}::{_PROJECT}::{token}::{name}", dict(manifest))


def check(manifests: Iterable[Mapping[str, Any]], settings: PolicyConfig | None = None) -> Report:
    """Run every policy that needs no engine.

    Args:
        manifests: The objects of a whole stack: some policies look at several together.
        settings: On top of policies/settings.yaml.
    """
    with Pack() as pack:
        # Nothing would be written, so what could be corrected is told as well.
        return pack.run([as_resource(manifest) for manifest in manifests], settings, NEEDS_ENGINE, remediate=False)


def main(arguments: list[str] | None = None) -> int:
    """Print the violations; the exit code is 1 when a mandatory policy is violated, or when nothing could be checked."""
    parser = argparse.ArgumentParser(prog="python -m policies.check", description="Run the policy pack over a folder of Kubernetes objects as YAML.")
    parser.add_argument("folder", type=Path, help="folder with *.yaml files, for example of `make render`")
    parser.add_argument("--settings", type=Path, help="YAML or JSON on top of policies/settings.yaml, as for --policy-pack-config")
    options = parser.parse_args(arguments)
    try:
        manifests = read_manifests(options.folder)
        report = check(manifests, read_settings(options.settings, RULES) if options.settings else None)
    except (ManifestError, SettingsError, PackError) as error:
        print(error, file=sys.stderr)
        return 1
    for found in report.violations:
        note = " (advisory)" if found.level == "advisory" else ""
        print(f"{found.policy}{note}: {found.object}: {found.message}")
    for exempt in report.exempt:
        print(f"exempt from {exempt.policy}: {exempt.reason}", file=sys.stderr)
    print(f"skipped, as only the engine knows what they look at: {', '.join(NEEDS_ENGINE)}", file=sys.stderr)
    print(f"{len(manifests)} objects, {len(RULES) - len(NEEDS_ENGINE)} policies, {len(report.violations)} violations", file=sys.stderr)
    return 1 if any(found.level == "mandatory" for found in report.violations) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the policy pack over a folder of rendered YAML, without the engine: ``make policy``."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pulumi_policy import PolicyCustomTimeouts, PolicyResourceOptions, ResourceValidationArgs
from pulumi_policy.proxy import unknown_checking_proxy

from policies.rules import RULES


def violations(manifest: Mapping[str, Any], config: Mapping[str, Mapping[str, Any]] | None = None) -> list[str]:
    """Run every rule on one Kubernetes object.

    Args:
        manifest: The object.
        config: Name of a policy to its configuration.

    Returns:
        One line a violation: policy, object, reason and remedy.
    """
    token = resource_type(manifest)
    metadata = manifest.get("metadata", {})
    name = "/".join(part for part in (metadata.get("namespace"), metadata.get("name")) if part)
    found: list[str] = []
    for rule in RULES:
        args = ResourceValidationArgs(
            resource_type=token,
            props=unknown_checking_proxy(dict(manifest)),
            urn=f"urn:pulumi:rendered::coderun-workspaces::{token}::{name}",
            name=name,
            opts=PolicyResourceOptions(
                protect=False,
                ignore_changes=[],
                delete_before_replace=None,
                aliases=[],
                custom_timeouts=PolicyCustomTimeouts(0, 0, 0),
                additional_secret_outputs=[],
            ),
            provider=None,
            config=(config or {}).get(rule.name, {}),
        )
        reasons: list[str] = []

        def report(message: str, _urn: str | None = None, reasons: list[str] = reasons) -> None:
            reasons.append(message)

        rule.validate(args, report)
        found.extend(f"{rule.name}: {manifest['kind']} {name}: {reason}" for reason in reasons)
    return found


def resource_type(manifest: Mapping[str, Any]) -> str:
    """Name an object's type as the engine does, for example ``kubernetes:core/v1:ConfigMap``."""
    version = manifest["apiVersion"]
    return f"kubernetes:{version if '/' in version else 'core/' + version}:{manifest['kind']}"


def main(arguments: list[str] | None = None) -> int:
    """Print the violations; the exit code is 1 when there is one, or nothing to check."""
    parser = argparse.ArgumentParser(prog="python -m policies.check", description="Run the policy pack over a folder of Kubernetes objects as YAML.")
    parser.add_argument("folder", type=Path, help="folder with *.yaml files, for example of `make render`")
    options = parser.parse_args(arguments)
    manifests = [
        document
        for file in sorted(options.folder.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if isinstance(document, dict) and "kind" in document and "apiVersion" in document
    ]
    if not manifests:
        print(f"{options.folder}: no Kubernetes object found. Remedy: run `make render` first, or name another folder", file=sys.stderr)
        return 1
    lines = [line for manifest in manifests for line in violations(manifest)]
    for line in lines:
        print(line)
    print(f"{len(manifests)} objects, {len(RULES)} policies, {len(lines)} violations", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

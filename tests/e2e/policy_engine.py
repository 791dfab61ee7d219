"""The real engine, with the policy pack, on any stack: a preview that reaches no cluster."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from config.stack_file import stack_name
from policies.analyzer import StackResource
from tests.policy.fixture_files import PROVIDER_INPUTS, STACK, UNKNOWN

PROJECT: Final = Path(__file__).parents[2]
PACK: Final = PROJECT / "policies"
COMMAND_SECONDS: Final = 300.0
"""Far above any preview here; only a hanging one gets there."""

_PROJECT_FILE: Final = "name: coderun-workspaces\nruntime:\n  name: python\n"
_PROGRAM: Final = """
import json, pathlib
import pulumi

stack = json.loads(pathlib.Path("stack.json").read_text())
providers = {name: pulumi.ProviderResource("kubernetes", name, inputs) for name, inputs in stack["providers"].items()}
# The id of what isn't made yet: the engine knows it at the update only.
unknown = pulumi.CustomResource("kubernetes:core/v1:Namespace", "unknown", {}, pulumi.ResourceOptions(provider=providers["cluster"])).id


def filled(value):
    if isinstance(value, str):
        return unknown if value in stack["unknown"] else value
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items()}
    return [filled(inner) for inner in value] if isinstance(value, list) else value


for one in stack["resources"]:
    options = pulumi.ResourceOptions(protect=one["protect"], provider=providers.get(one["provider"]))
    pulumi.CustomResource(one["type"], one["name"], filled(one["props"]), options)
"""


_OWN_PROGRAM: Final = f"""
import runpy, sys
sys.path.insert(0, {str(PROJECT)!r})
runpy.run_path({str(PROJECT / "__main__.py")!r}, run_name="__main__")
"""


@dataclass(frozen=True)
class PolicyEvent:
    """What the engine tells of a policy."""

    policy: str
    resource: str
    message: str


@dataclass(frozen=True)
class Preview:
    """A preview that ended.

    Attributes:
        code: Exit code.
        text: All that was printed.
        policies: What policies said.
        remediated: Policies that corrected something.
    """

    code: int
    text: str
    policies: tuple[PolicyEvent, ...]
    remediated: frozenset[str]


def preview_resources(folder: Path, stack: Iterable[StackResource], settings: Mapping[str, Any]) -> Preview:
    """Preview a stack of plain resources.

    Args:
        folder: An empty folder.
        stack: The resources; their providers by the names of the fixtures.
        settings: As for ``--policy-pack-config``.
    """
    project = folder / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text(_PROJECT_FILE)
    (project / "__main__.py").write_text(_PROGRAM)
    resources = [
        {"type": one.type, "name": one.name, "props": one.props, "protect": one.protect, "provider": one.provider.name if one.provider else ""}
        for one in stack
    ]
    providers = {name: inputs for name, inputs in PROVIDER_INPUTS.items() if name != "default"}
    (project / "stack.json").write_text(json.dumps({"providers": providers, "unknown": sorted(UNKNOWN.values()), "resources": resources}))
    (project / "settings.json").write_text(json.dumps(settings))
    return _preview(folder, project, STACK, {}, "--policy-pack-config", str(project / "settings.json"))


def preview_program(folder: Path, stack_file: Path, secrets: Mapping[str, str]) -> Preview:
    """Preview the program itself.

    Args:
        folder: An empty folder.
        stack_file: Its settings; its name tells the stack's.
        secrets: Path of a setting to a secret that is put there.
    """
    project = folder / "project"
    project.mkdir()
    # Not the checkout: a new stack's file is written where the project is.
    (project / "Pulumi.yaml").write_text(_PROJECT_FILE)
    (project / "__main__.py").write_text(_OWN_PROGRAM)
    shutil.copy(stack_file, project)
    return _preview(folder, project, stack_name(stack_file), secrets)


def _preview(folder: Path, project: Path, stack: str, secrets: Mapping[str, str], *arguments: str) -> Preview:
    programs = folder / "bin"
    programs.mkdir()
    (folder / "state").mkdir()
    provider = programs / "pulumi-resource-kubernetes"
    provider.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(PROJECT))} exec {shlex.quote(sys.executable)} -m tests.e2e.echo_provider "$@"\n')
    provider.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(programs), os.environ["PATH"]]),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        # The dev stack's file holds no secret, and its salt fits this passphrase.
        "PULUMI_CONFIG_PASSPHRASE": "",
        # Every event as a line of JSON; without it those of policies are left out.
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
    }

    def pulumi(*command: str) -> subprocess.CompletedProcess[str]:
        whole = ["pulumi", *command, "--stack", stack, "--non-interactive"]
        return subprocess.run(whole, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)

    prepare = [("stack", "init"), *(("config", "set", "--secret", "--path", path, value) for path, value in secrets.items())]
    for command in prepare:
        prepared = pulumi(*command)
        assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    done = pulumi("preview", "--json", "--policy-pack", str(PACK), *arguments)
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    told = tuple(
        PolicyEvent(event["policyName"], event.get("resourceUrn", "").rpartition("::")[2], event["message"])
        for event in (one["policyEvent"] for one in events if "policyEvent" in one)
    )
    remediated = frozenset(one["policyRemediationEvent"]["policyName"] for one in events if "policyRemediationEvent" in one)
    return Preview(done.returncode, done.stdout + done.stderr, told, remediated)

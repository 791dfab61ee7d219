"""Runs one real task through the stack and prints its worktree, its commit and where the time went."""

import argparse
import datetime as dt
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from config.stack_file import load_stack_file

SECONDS = 900
"""How long the task may take: a cold base of a large repository is cloned first."""


class TaskError(Exception):
    """The task was refused or failed; the message says what the run said."""


@dataclass(frozen=True)
class Step:
    """One step of a run, in seconds since the run was submitted."""

    name: str
    started: float
    finished: float


def _call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TaskError(f"`{' '.join(command[:3])} …` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _time(stamp: str) -> dt.datetime:
    return dt.datetime.fromisoformat(stamp)


def _step_name(shown: str) -> str:
    """What a person calls the step: Argo appends the attempt to a step that may be retried."""
    return re.sub(r"\(\d+\)$", "", shown)


def steps(workflow: dict[str, Any]) -> list[Step]:
    """The steps of a finished workflow that had a pod, in the order of their start."""
    created = _time(workflow["metadata"]["creationTimestamp"])
    found = [
        Step(
            _step_name(node["displayName"]),
            (_time(node["startedAt"]) - created).total_seconds(),
            (_time(node["finishedAt"]) - created).total_seconds(),
        )
        for node in workflow["status"].get("nodes", {}).values()
        if node["type"] == "Pod" and node.get("startedAt") and node.get("finishedAt")
    ]
    return sorted(found, key=lambda step: step.started)


def outputs(workflow: dict[str, Any]) -> dict[str, str]:
    """Every output parameter of the workflow's steps by name."""
    return {
        parameter["name"]: parameter.get("value", "")
        for node in workflow["status"].get("nodes", {}).values()
        for parameter in (node.get("outputs") or {}).get("parameters", [])
    }


def run(namespace: str, owner: str, repo: str) -> dict[str, Any]:
    """Submit a task for that repository and wait for its end; raises TaskError."""
    submitted = _call(
        *("argo", "submit", "--namespace", namespace, "--from", "workflowtemplate/coderun-template"),
        *("--parameter", f"owner={owner}", "--parameter", f"repo={repo}", "--output", "json"),
    )
    name = json.loads(submitted)["metadata"]["name"]
    sys.stdout.write(f"==> the run {name} on {owner}/{repo} has begun; follow it with `argo watch -n {namespace} {name}`\n")
    sys.stdout.flush()
    _call(
        *("kubectl", "--namespace", namespace, "wait", f"workflow/{name}", "--for=condition=Completed"),
        f"--timeout={SECONDS}s",
    )
    workflow: dict[str, Any] = json.loads(_call("kubectl", "--namespace", namespace, "get", "workflow", name, "--output", "json"))
    if workflow["status"]["phase"] != "Succeeded":
        said = [f"{node['displayName']}: {node['message']}" for node in workflow["status"]["nodes"].values() if node.get("message")]
        raise TaskError(f"the run {name} ended as {workflow['status']['phase']}: " + "; ".join(said))
    return workflow


def main() -> int:
    """Parse the command line, run the task and print what it did."""
    parser = argparse.ArgumentParser(prog="python -m operations.first_task", description=__doc__)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the stack file, for the namespace")
    parser.add_argument("repository", metavar="OWNER/REPO", help="a repository of the stack's list")
    options = parser.parse_args()
    owner, _, repo = options.repository.partition("/")
    try:
        workflow = run(load_stack_file(options.config).namespace, owner, repo)
    except (TaskError, ConfigError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    made = outputs(workflow)
    total = (_time(workflow["status"]["finishedAt"]) - _time(workflow["metadata"]["creationTimestamp"])).total_seconds()
    lines = [
        f"==> the run {workflow['metadata']['name']} succeeded",
        f"    worktree  {made.get('workspace-path', '?')}",
        f"    commit    {made.get('commit', '?')}",
        *(f"    {step.name:<24} {step.started:6.0f} s to {step.finished:4.0f} s" for step in steps(workflow)),
        f"    {'whole run':<24} {total:6.0f} s",
        "    next: `make keys`, `argo list`, docs/setup.md (a first task of your own)",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

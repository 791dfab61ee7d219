"""An existing cluster (CLUSTER=current): the named context is used, whatever the kubeconfig's current one is."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e import commands, stack

ELSEWHERE = """
apiVersion: v1
kind: Config
clusters: [{name: elsewhere, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: elsewhere, context: {cluster: elsewhere, user: nobody}}]
current-context: elsewhere
"""
"""A cluster that nobody can reach: a command that goes there fails."""


@pytest.fixture
def kubeconfigs(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a user with two clusters, the wrong one being current."""
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(ELSEWHERE)
    # The first file that sets the current context wins.
    return {**os.environ, "KUBECONFIG": f"{elsewhere}:{os.environ['KUBECONFIG']}"}


def on_cluster(environment: Mapping[str, str], context: str, *command: str) -> commands.Done:
    """Runs a command as `make … CLUSTER=current CONTEXT=…` does."""
    words = [sys.executable, "-m", "operations.cluster", "--cluster", "current", "--context", context, "--", *command]
    return commands.attempt(words, env=environment, cwd=str(stack.PROJECT))


def context_of_the_node() -> str:
    """The name of the context that these tests run with."""
    return commands.run(["kubectl", "config", "current-context"]).strip()


def test_the_named_context_is_used_and_not_the_current_one(kubeconfigs: Mapping[str, str]) -> None:
    found = on_cluster(kubeconfigs, context_of_the_node(), "kubectl", "get", "workflowtemplates", "--namespace=argo", "--output=name")
    assert found.code == 0, found.text
    assert "coderun-template" in found.out
    assert commands.attempt(["kubectl", "get", "namespaces"], env=kubeconfigs).code != 0, "the current context was to be out of reach"


def test_pulumi_finds_the_objects_of_the_stack_unchanged_there(kubeconfigs: Mapping[str, str]) -> None:
    previewed = on_cluster(kubeconfigs, context_of_the_node(), "pulumi", "preview", "--json", "--stack", stack.STACK, "--non-interactive")
    assert previewed.code == 0, previewed.text
    # The provider's own settings name the kubeconfig's path, which is another one here.
    assert [step for step in stack.changes(previewed.out) if "pulumi:providers:" not in step.urn] == []


@pytest.mark.parametrize(("context", "said"), [("", "no context was named"), ("nowhere", "there is no context 'nowhere'")])
def test_without_a_known_context_nothing_is_run(kubeconfigs: Mapping[str, str], context: str, said: str) -> None:
    refused = on_cluster(kubeconfigs, context, "kubectl", "get", "namespaces")
    assert refused.code == 1
    assert said in refused.err
    assert f"Remedy: `make … CLUSTER=current CONTEXT=name` with one of: {context_of_the_node()}, elsewhere." in refused.err
    assert refused.out == ""

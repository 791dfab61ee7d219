"""The cluster's gate: what it says of the whole table of cases, whom it refuses, and whom it lets pass."""

import json
from collections.abc import Iterator
from functools import partial

import pytest
import yaml

from tests.admission import gate
from tests.admission.cases import Case, missing_cases, null_cases, right, written_cases
from tests.e2e import commands
from tests.e2e.git_server import GitServerControl
from tests.e2e.runs import E2E_LABEL, NAMESPACE, TEMPLATE, Runs, SubmitRefusedError, phase
from tests.e2e.stack import STACK
from tests.e2e.waiting import wait_for
from tests.fixtures.coderun_controller.api import Api, ApiError, JsonObject
from tests.unit.stack_files import config_with

POLICIES = tuple(f"coderun-{what}-{STACK}" for what in ("parameters", "workflows", "templates", "claims"))
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
TABLE = "coderun-admission-table"
"""Namespace in which the policies only warn, and so say everything that they find."""

CONFIG = config_with()
IN_FORCE_SECONDS = 60.0
"""The API server reads policies anew within a second or so; on a busy machine it may take longer."""

COLLECTIONS = {
    "workflowtemplates": "/apis/argoproj.io/v1alpha1/namespaces/{}/workflowtemplates",
    "workflows": "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows",
    "cronworkflows": "/apis/argoproj.io/v1alpha1/namespaces/{}/cronworkflows",
    "persistentvolumeclaims": "/api/v1/namespaces/{}/persistentvolumeclaims",
}


@pytest.fixture(scope="module", autouse=True)
def cluster(api: Api) -> Api:
    """The cluster, with the stack deployed."""
    return api


def said(api: Api, case: Case) -> list[str]:
    """What the policies say of an object, without the API server's own words before it."""
    manifest = {**case.manifest, "metadata": {**(case.manifest.get("metadata") or {}), "namespace": TABLE}}
    warnings = api.dry_run(COLLECTIONS[case.resource].format(TABLE), manifest)
    return [warning.partition("': ")[2] for warning in warnings if "ValidatingAdmissionPolicy" in warning]


@pytest.fixture(scope="module")
def table(api: Api) -> Iterator[Api]:
    """A namespace in which the policies only warn."""
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TABLE}})
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": TABLE}}}
    try:
        for policy in POLICIES:
            spec = {"policyName": policy, "validationActions": ["Warn"], "matchResources": selector}
            binding = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding"}
            api.create(BINDINGS, {**binding, "metadata": {"name": f"{policy}-table"}, "spec": spec})
        cases = written_cases()
        for of in ("template", "workflow", "cron", "claim"):
            wrong = next(case for case in cases if case.of == of and case.policies)
            wait_for(f"the policies are in force for {wrong.resource}", partial(said, api, wrong), IN_FORCE_SECONDS)
        parameters = next(case for case in cases if case.name == "a line break")
        wait_for("the policy of parameters is in force", lambda: said(api, parameters), IN_FORCE_SECONDS)
        yield api
    finally:
        for policy in POLICIES:
            api.delete(f"{BINDINGS}/{policy}-table")
        api.delete(f"/api/v1/namespaces/{TABLE}")


def test_the_api_server_says_what_is_expected(table: Api) -> None:
    cases = written_cases()
    assert {case.name: gate.twins(said(table, case)) for case in cases} == {case.name: case.policies for case in cases}


def test_the_api_server_says_what_the_fast_tests_evaluate(table: Api) -> None:
    """Of everything that can be missing or null as well: so no rule stumbles over an untyped object in the cluster either."""
    for case in [*written_cases(), *missing_cases(), *null_cases()]:
        expected = gate.twins(gate.refusals(CONFIG, case.resource, case.manifest))
        try:
            assert gate.twins(said(table, case)) == expected, case.name
        except ApiError as refused:
            # Kubernetes' own checks of an object come after the policies.
            if "ValidatingAdmissionPolicy" in refused.message:
                raise


def create(manifest: JsonObject, *options: str) -> commands.Done:
    """Creates an object as a person does."""
    return commands.attempt(["kubectl", "-n", NAMESPACE, "create", *options, "-f", "-"], yaml.safe_dump(manifest))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own templates", "submitted-workflow: spec brings templates of its own, past the rules of its template. Remedy: leave it to the template"),
        ("another template", "submitted-workflow: spec.workflowTemplateRef names hello. Remedy: refer to one of coderun-template, coderun-batch"),
        ("a line break", "parameter repo: it contains a control character, such as a line break. Remedy: give it on one line"),
        ("no lock", "task-semaphore: a template makes a CodeRun without a semaphore"),
        ("root", "pod-security: a pod may run as root. Remedy: set securityContext.runAsNonRoot to true"),
        ("a CronWorkflow of another template", "submitted-workflow: spec.workflowTemplateRef names hello"),
        ("a claim that is too large", "claim-spec: spec.resources.requests.storage is 101Gi, more than the maximum 100Gi. Remedy: give less"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_remedy(name: str, message: str) -> None:
    (case,) = [case for case in written_cases() if case.name == name]
    done = create(case.manifest, "--dry-run=server")
    assert done.code != 0
    assert message in done.text
    assert "denied request" in done.text


def test_argo_submit_of_own_templates_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "own-"},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "busybox:1.37", "command": ["true"]}}]},
    }
    file = tmp_path_factory.mktemp("workflow") / "own.yaml"
    file.write_text(yaml.safe_dump(workflow), encoding="utf-8")
    done = commands.attempt(["argo", "submit", "-n", NAMESPACE, str(file)])
    assert done.code != 0
    assert "submitted-workflow: spec.workflowTemplateRef is missing. Remedy: refer to one of" in done.text


def test_argo_submit_with_an_account_of_its_own_is_refused() -> None:
    command = ["argo", "submit", "-n", NAMESPACE, "--from", f"workflowtemplate/{TEMPLATE}", "-p", "owner=a", "-p", "repo=b"]
    done = commands.attempt([*command, "--serviceaccount", "default"])
    assert done.code != 0
    assert "submitted-workflow: spec brings serviceAccountName of its own" in done.text


@pytest.mark.parametrize("of", ["workflow", "cron", "template", "claim"])
def test_what_keeps_the_rules_passes(of: str) -> None:
    done = create(right(of), "--dry-run=server")
    assert done.code == 0, done.text


def test_other_namespaces_are_left_alone() -> None:
    wrong = next(case for case in written_cases() if case.name == "own templates")
    done = commands.attempt(["kubectl", "-n", "default", "create", "--dry-run=server", "-f", "-"], yaml.safe_dump(wrong.manifest))
    assert done.code == 0, done.text


def test_a_claim_without_the_labels_of_a_run_is_left_alone() -> None:
    (case,) = [case for case in written_cases() if case.name == "a claim that is too large"]
    del case.manifest["metadata"]["labels"]
    done = create(case.manifest, "--dry-run=server")
    assert done.code == 0, done.text


def test_a_cron_workflow_can_be_suspended_and_resumed() -> None:
    """Also by the controller, which writes its status into the same object."""
    cron = right("cron")
    cron["metadata"] = {"name": "admission-nightly", "labels": {E2E_LABEL: "true"}}
    try:
        assert create(cron).code == 0
        for action in ("suspend", "resume"):
            done = commands.attempt(["argo", "cron", action, "admission-nightly", "-n", NAMESPACE])
            assert done.code == 0, done.text
        patch = {"spec": {"workflowSpec": {"workflowTemplateRef": {"name": "hello"}}}}
        refused = commands.attempt(
            ["kubectl", "-n", NAMESPACE, "patch", "cronworkflow", "admission-nightly", "--type=merge", "-p", json.dumps(patch)]
        )
        assert refused.code != 0
        assert "submitted-workflow" in refused.text
    finally:
        commands.run(["kubectl", "-n", NAMESPACE, "delete", "cronworkflow", "admission-nightly", "--ignore-not-found"])


def test_a_run_goes_on_while_the_policies_come_and_go(runs: Runs, git: GitServerControl) -> None:
    """Suspended, resumed and carried on by the controller; stopped and submitted again by a person."""
    with git.gate("a"):
        name = runs.sample(ref="refs/heads/gate/a")
        runs.wait_agent(name)
        names = [f"validatingadmissionpolicy/{policy}" for policy in POLICIES] + [f"validatingadmissionpolicybinding/{policy}" for policy in POLICIES]
        kept = commands.run(["kubectl", "get", *names, "-o", "json"])
        commands.run(["kubectl", "delete", *names])
        try:
            wait_for("the policies are gone", lambda: create(_own(), "--dry-run=server").code == 0, IN_FORCE_SECONDS)
        finally:
            items = json.loads(kept)["items"]
            for item in items:
                for field in ("resourceVersion", "uid", "creationTimestamp", "generation"):
                    item["metadata"].pop(field, None)
                item.pop("status", None)
            commands.run(["kubectl", "create", "-f", "-"], json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        wait_for("the policies are back", lambda: create(_own(), "--dry-run=server").code != 0, IN_FORCE_SECONDS)
        for action in ("suspend", "resume"):
            done = commands.attempt(["argo", action, name, "-n", NAMESPACE])
            assert done.code == 0, done.text
    runs.wait_succeeded([name])
    again = commands.run(["argo", "resubmit", name, "-n", NAMESPACE, "-o", "name"]).strip().splitlines()[-1]
    again = again.removeprefix("workflow.argoproj.io/")
    done = commands.attempt(["argo", "terminate", again, "-n", NAMESPACE])
    assert done.code == 0, done.text
    (ended,) = runs.wait_ended([again]).values()
    assert phase(ended)


def _own() -> JsonObject:
    return next(case.manifest for case in written_cases() if case.name == "own templates")


def test_a_run_that_evil_values_are_given_to_is_refused_at_submit(runs: Runs) -> None:
    with pytest.raises(SubmitRefusedError, match=r"parameter ref: .*Remedy: "):
        runs.sample(ref="{{=1+1}}")

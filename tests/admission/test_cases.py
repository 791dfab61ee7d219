"""The gate and the policy pack say the same of every case of the table."""

import copy
from pathlib import Path
from typing import Any, Final

import pytest

from components.batch_spec import batch_spec
from components.sensor_spec import sensor_spec
from components.workflow_admission_spec import binding_spec, refuse_own_violations
from components.workflow_template_spec import workflow_template_spec
from config.errors import ConfigError
from config.settings import StackConfig
from config.stack_file import load_stack_file
from policies.analyzer import Pack
from policies.check import as_resource
from tests.admission import gate
from tests.admission.cases import Case, missing_cases, null_cases, right, written_cases
from tests.payload.steps import Bench, wait_until
from tests.payload.test_batch import end, put_batch, start, workflow
from tests.policy.program_stacks import DEV
from tests.unit.stack_files import CREATED_CLASS, config_with

CASES: Final = written_cases()
CONFIG: Final = config_with()
OF_SUBMISSIONS: Final = frozenset({"submitted-workflow"})
TWINS: Final = {
    "template": frozenset(
        {
            "cleanup-labels",
            "deadlines",
            "exit-handler",
            "images",
            "no-hidden-pods",
            "parallelism-set",
            "pod-security",
            "retention",
            "script-parameters",
            "service-account",
            "task-semaphore",
        },
    ),
    # What refers to no template is refused for that, so the gate doesn't ask what it is made of.
    "workflow": OF_SUBMISSIONS,
    "cron": OF_SUBMISSIONS,
    "claim": frozenset({"claim-spec"}),
}
"""Object of the table to the policies that have a twin in the gate."""

REASON: Final = "made up for this test"


@pytest.fixture(scope="module")
def pack() -> Any:  # noqa: ANN401 - a generator of the pack
    with Pack() as running:
        yield running


def said_by_pack(pack: Pack, case: Case) -> frozenset[str]:
    return frozenset(one.policy for one in pack.run([as_resource(case.manifest)]).violations if one.policy in TWINS[case.of])


def said_by_gate(case: Case, config: StackConfig = CONFIG) -> frozenset[str]:
    return gate.twins(gate.refusals(config, case.resource, case.manifest))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.of}: {case.name}")
def test_pack_and_gate_say_what_is_expected(pack: Pack, case: Case) -> None:
    assert said_by_gate(case) == case.policies
    assert said_by_pack(pack, case) == case.policies


def test_every_twin_has_right_and_wrong_cases() -> None:
    for of, twins in TWINS.items():
        mine = [case.policies or frozenset[str]() for case in CASES if case.of == of]
        assert frozenset[str]().union(*mine) == twins
        assert frozenset[str]() in mine


@pytest.mark.parametrize("of", ["template", "workflow", "cron"])
def test_pack_and_gate_agree_on_everything_that_can_be_missing(pack: Pack, of: str) -> None:
    """Argo's minimal CRDs leave a spec untyped, so any field may be missing, and no rule may stumble over it."""
    cases = [case for case in missing_cases() if case.of == of]
    assert {case.name: said_by_gate(case) for case in cases} == {case.name: said_by_pack(pack, case) for case in cases}


def test_no_rule_stumbles_over_null() -> None:
    for case in null_cases():
        said_by_gate(case)


def test_messages_name_the_remedy() -> None:
    for case in CASES:
        for message in gate.refusals(CONFIG, case.resource, case.manifest):
            assert "Remedy: " in message
            assert message.endswith(".")
            assert "\n" not in message


@pytest.mark.parametrize("stack_file", [DEV, DEV.parent / "examples" / "Pulumi.production.yaml"], ids=lambda path: path.stem)
def test_the_stacks_own_template_passes(stack_file: Any) -> None:  # noqa: ANN401 - a path
    config = load_stack_file(stack_file)
    labels = right("template")["metadata"]["labels"]
    template = {"metadata": {"name": "coderun-template", "labels": labels}, "spec": workflow_template_spec(config, "dev")}
    assert gate.refusals(config, "workflowtemplates", template) == []


def update(of: str, **spec: object) -> list[str]:
    """What is said of a change of a wrong object, which was there before the gate."""
    resource = {"template": "workflowtemplates", "cron": "cronworkflows"}[of]
    old = right(of)
    if of == "template":
        del old["spec"]["parallelism"]
    else:
        old["spec"]["workflowSpec"]["workflowTemplateRef"]["name"] = "hello"
    new = {**old, "spec": {**old["spec"], **spec}}
    return gate.refusals(CONFIG, resource, new, old)


def test_an_update_is_looked_at_when_it_changes_what_runs_are_made_of() -> None:
    assert update("template") == []
    assert len(update("template", parallelism=0)) == 1
    assert update("cron", suspend=True) == []
    assert len(update("cron", workflowSpec={"entrypoint": "x"})) == 2


def test_what_is_there_already_can_be_labelled_and_deleted() -> None:
    old = right("template")
    del old["spec"]
    assert gate.refusals(CONFIG, "workflowtemplates", {**old, "metadata": {**old["metadata"], "annotations": {"a": "b"}}}, old) == []


def test_workflows_are_looked_at_when_they_are_created_only() -> None:
    for spec in gate.specs(CONFIG)["workflows"]:
        (rule,) = [rule for rule in spec["matchConstraints"]["resourceRules"] if "workflows" in rule["resources"]]
        assert rule["operations"] == ["CREATE"]


def test_a_claim_can_be_bound_and_not_outgrow_its_limit() -> None:
    old = right("claim")
    old["spec"]["resources"]["requests"]["storage"] = "200Gi"
    bound = {**old, "spec": {**old["spec"], "volumeName": "pvc-1"}}
    assert gate.refusals(CONFIG, "persistentvolumeclaims", bound, old) == []
    grown = {**old, "spec": {**old["spec"], "resources": {"requests": {"storage": "300Gi"}}}}
    assert len(gate.refusals(CONFIG, "persistentvolumeclaims", grown, old)) == 1


def test_an_exempt_template_is_left_alone() -> None:
    config = config_with(admission={"exemptTemplates": [{"name": "agents", "reason": REASON}]})
    wrong = {**right("template"), "spec": {}}
    assert gate.refusals(config, "workflowtemplates", wrong) == []
    assert gate.refusals(config, "workflowtemplates", {**wrong, "metadata": {"name": "others"}}) != []


def test_templates_and_images_by_config() -> None:
    config = config_with(
        admission={"templates": ["hello"], "images": ["registry.example.com/", "coderun.local/"]}, images={"workspace": "coderun.local/a:1"}
    )
    workflow = right("workflow")
    assert len(gate.refusals(config, "workflows", workflow)) == 1
    workflow["spec"]["workflowTemplateRef"]["name"] = "hello"
    assert gate.refusals(config, "workflows", workflow) == []
    template = right("template")
    assert gate.refusals(config, "workflowtemplates", template) == []
    template["spec"]["templates"][1]["container"]["image"] = "docker.io/library/busybox:1.37"
    (message,) = gate.refusals(config, "workflowtemplates", template)
    assert "begins with registry.example.com/ or coderun.local/" in message


def test_classes_by_config() -> None:
    config = config_with(admission={"claimClasses": ["fast"]}, storage={"own": {"storageClass": {"name": "fast"}}})
    (message,) = gate.refusals(config, "persistentvolumeclaims", right("claim"))
    assert "spec.storageClassName is local-path" in message
    claim = right("claim")
    del claim["spec"]["storageClassName"]
    (message,) = gate.refusals(CONFIG, "persistentvolumeclaims", claim)
    assert "spec.storageClassName is missing" in message


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"parallelism": 60}, "coderun-workspaces:parallelism: is above admission.maxParallelism (50)"),
        ({"deadlines": {"queueSeconds": 604800}}, "coderun-workspaces:deadlines: together with slack they are"),
        ({"admission": {"images": ["registry.example.com/"]}}, "coderun-workspaces:images.workspace: begins with none of admission.images"),
        ({"storage": {"own": {"size": "200Gi"}}}, "coderun-workspaces:storage.own.size: is above admission.maxClaimSize (100Gi)"),
        ({"admission": {"claimClasses": ["fast"]}}, "coderun-workspaces:storage.own.storageClass: is the cluster's default"),
        (
            {"admission": {"claimClasses": ["fast"]}, "storage": {"own": {"storageClass": CREATED_CLASS}}},
            "coderun-workspaces:storage.own.storageClass: is fast-test",
        ),
    ],
)
def test_settings_that_the_gate_would_turn_away_are_refused_at_once(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        refuse_own_violations(config_with(**settings), "test")
    assert problem in str(raised.value)
    assert "Remedy: " in str(raised.value)


@pytest.mark.parametrize(("mode", "actions"), [("deny", ["Deny"]), ("warn", ["Warn", "Audit"]), ("audit", ["Audit"])])
def test_modes(mode: str, actions: list[str]) -> None:
    spec = binding_spec("coderun-workflows-test", config_with(admission={"mode": mode}, namespace="runs"))
    assert spec["validationActions"] == actions
    assert spec["matchResources"] == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "runs"}}}


EVENTS: Final = config_with(events={"webhookSecret": {"secure": "v1:bWFkZQ==:dXA="}})
TWO_LINES: Final = '[\n  {"owner": "exampleorg",\t"repo": "sample"}\r\n]'


def test_the_gate_lets_pass_what_the_sensor_makes(pack: Pack) -> None:
    assert EVENTS.events
    made: dict[str, Any] = copy.deepcopy(dict(sensor_spec(EVENTS, EVENTS.events)["triggers"][0]["template"]["k8s"]["source"]["resource"]))
    assert gate.refusals(EVENTS, "workflows", made) == []
    assert [one for one in pack.run([as_resource(made)]).violations if one.policy == "submitted-workflow"] == []
    made["spec"]["arguments"]["parameters"][5]["value"] = "refs/heads/{{=1+1}}"
    (said,) = gate.refusals(EVENTS, "workflows", made)
    assert said.startswith("parameter baseRef: it contains two opening braces"), "and it is looked at like any other"


def test_the_gate_lets_pass_the_templates_of_events_and_batches(pack: Pack) -> None:
    for name, spec in (("coderun-template", workflow_template_spec(EVENTS, "test")), ("coderun-batch", batch_spec(EVENTS))):
        template = {"metadata": {"name": name, "labels": right("template")["metadata"]["labels"]}, "spec": spec}
        assert gate.refusals(EVENTS, "workflowtemplates", template) == [], name
        manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", **template}
        assert [one.message for one in pack.run([as_resource(manifest)]).violations if one.policy in TWINS["template"]] == [], name


def run_of_a_batch(bench: Bench) -> dict[str, Any]:
    """The Workflow that the step of a batch's task makes."""
    put_batch(bench, '[{"owner": "exampleorg", "repo": "sample"}]')
    step = start(bench, 1)
    wait_until(lambda: "run-1-1" in bench.cluster.names("workflows"), "the step makes it")
    made = workflow(bench, "run-1-1")
    end(bench, "run-1-1", {"phase": "Succeeded"})
    step.outcome().assert_succeeded()
    return made


def test_the_gate_lets_pass_what_a_batch_makes(tmp_path: Path) -> None:
    made = run_of_a_batch(Bench(tmp_path / "bench", "http://127.0.0.1:9"))
    assert made["spec"]["workflowTemplateRef"] == {"name": "coderun-template"}
    assert gate.refusals(CONFIG, "workflows", made) == []


@pytest.mark.parametrize(
    ("template", "parameter", "value", "part"),
    [
        ("coderun-batch", "tasks", TWO_LINES, None),
        ("coderun-batch", "tasks", f"{TWO_LINES}\x00", "a control character"),
        ("coderun-batch", "tasks", '[{"ref": "{{=1+1}}"}]', "two opening braces"),
        ("coderun-batch", "other", TWO_LINES, "a control character"),
        ("coderun-template", "tasks", TWO_LINES, "a control character"),
        ("coderun-batch", "parallelism", "9", "parameter parallelism"),
    ],
)
def test_only_the_tasks_of_a_batch_may_have_several_lines(template: str, parameter: str, value: str, part: str | None) -> None:
    submitted = {"workflowTemplateRef": {"name": template}, "arguments": {"parameters": [{"name": parameter, "value": value}]}}
    said = gate.refusals(CONFIG, "workflows", {"metadata": {"generateName": "x-"}, "spec": submitted})
    assert said == [] if part is None else [part in one for one in said] == [True]

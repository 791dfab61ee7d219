"""The template of a batch."""

import json
import re
from typing import Any

import pytest

from components.argo_types import Template, WorkflowSpec
from components.batch_spec import batch_spec, most_batches
from components.workflow_template_spec import workflow_deadline_seconds
from config.errors import ConfigError
from tests.unit.stack_files import config_with

STEPS = ("plan", "run", "summary")


@pytest.fixture(scope="module")
def spec() -> WorkflowSpec:
    return batch_spec(config_with(parallelism=4))


@pytest.fixture(scope="module")
def templates(spec: WorkflowSpec) -> dict[str, Template]:
    return {template["name"]: template for template in spec["templates"]}


def env(template: Template) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in template["script"]["env"]}


def test_parallelism_caps_the_tasks_at_once(spec: WorkflowSpec) -> None:
    assert spec["parallelism"] == 4


def test_a_lost_step_keeps_no_other_from_starting(templates: dict[str, Template]) -> None:
    dag = templates["batch-main"]["dag"]
    assert dag["failFast"] is False
    tasks = {task["name"]: task for task in dag["tasks"]}
    assert tasks["run"]["withParam"] == "{{tasks.plan.outputs.parameters.tasks}}"
    assert tasks["summary"]["depends"] == "run.Succeeded || run.Failed || run.Errored"


def test_argo_never_pastes_the_tasks(spec: WorkflowSpec) -> None:
    assert "workflow.parameters" not in json.dumps(spec)


def test_the_only_expression_puts_the_results_into_base64(spec: WorkflowSpec) -> None:
    assert re.findall(r"\{\{=.*?\}\}", json.dumps(spec)) == ["{{=sprig.b64enc(inputs.parameters.results)}}"]


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_confined_and_has_its_variables(templates: dict[str, Template], name: str) -> None:
    script = templates[name]["script"]
    assert script["securityContext"]["readOnlyRootFilesystem"] is True
    assert script["resources"]["limits"]["memory"]
    asked = re.search(rf"for name in ([A-Z_0-9 ]+); do\n    eval .*\n.* fail \"{name}: |for name in ([A-Z_0-9 ]+); do", script["source"])
    assert asked
    assert set((asked[1] or asked[2]).split()) <= set(env(templates[name]))
    assert "persistentVolumeClaim" not in json.dumps(templates[name]), "a batch touches no claim"


def test_a_step_outlives_the_run_that_it_waits_for(templates: dict[str, Template]) -> None:
    assert templates["run"]["activeDeadlineSeconds"] > workflow_deadline_seconds(config_with())


def test_its_pods_have_an_account_of_their_own(spec: WorkflowSpec) -> None:
    assert spec["serviceAccountName"] == "coderun-batch"


def test_results_are_outputs_of_the_batch(templates: dict[str, Template]) -> None:
    outputs = templates["summary"]["outputs"]["parameters"]
    assert [(one["name"], one["globalName"]) for one in outputs] == [("results", "results"), ("summary", "summary")]


def test_labels_tell_a_batch(spec: WorkflowSpec) -> None:
    assert spec["workflowMetadata"]["labels"]["coderun/batch"] == "{{workflow.name}}"
    assert spec["podMetadata"]["labels"]["workflow"] == "{{workflow.name}}"


@pytest.mark.parametrize(("limit", "batches"), [(None, None), (2, 1), (5, 2), (20, 10)])
def test_batches_take_half_of_the_places_at_most(limit: int | None, batches: int | None) -> None:
    config = config_with() if limit is None else config_with(workflowsAtOnce=limit)
    assert most_batches(config) == batches
    (plan,) = [template for template in batch_spec(config)["templates"] if template["name"] == "plan"]
    assert env(plan).get("MOST_BATCHES") == (None if batches is None else str(batches))


@pytest.mark.parametrize("value", [1, 0, True, "many"])
def test_a_place_for_a_batch_alone_is_refused(value: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(ConfigError, match=r"coderun-workspaces:workflowsAtOnce: .*Remedy: "):
        config_with(workflowsAtOnce=value)

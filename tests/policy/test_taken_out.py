"""What a policy guards is taken out of the deployed stack: that policy says so, and no other."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from policies.analyzer import Pack, Provider, StackResource
from policies.rules import RULES
from tests.policy.program_stacks import DEV, changed, program_stack, with_every_kind

Props = dict[str, Any]
RUN: Final = ("WorkflowTemplate", "coderun-template")
SWEEPER: Final = ("CronJob", "coderun-sweeper")
SENSOR: Final = ("Sensor", "repo-workflow-sensor")
DEFAULT_PROVIDER: Final = Provider(
    "pulumi:providers:kubernetes", "default_4_34_2", "urn:pulumi:dev::x::pulumi:providers:kubernetes::default_4_34_2", {}
)
REPLACING_PROVIDER: Final = Provider("pulumi:providers:kubernetes", "cluster", "urn:pulumi:dev::x::pulumi:providers:kubernetes::cluster", {})


@dataclass(frozen=True)
class Loss:
    """Something that is taken out.

    Attributes:
        policy: The policy that guards it.
        what: In words.
        kind: Kind of the object.
        name: Its name.
        take: Takes it out of the object.
        options: What the engine knows otherwise then.
    """

    policy: str
    what: str
    kind: str
    name: str
    take: Callable[[Props], None]
    options: tuple[tuple[str, Any], ...] = ()


def template(props: Props, name: str) -> Props:
    (found,) = [one for one in props["spec"]["templates"] if one["name"] == name]
    assert isinstance(found, dict)
    return found


def pod(props: Props) -> Props:
    found = props["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def without(*path: str) -> Callable[[Props], None]:
    def take(props: Props) -> None:
        for key in path[:-1]:
            props = props[key]
        del props[path[-1]]

    return take


def with_value(value: object, *path: str) -> Callable[[Props], None]:
    def take(props: Props) -> None:
        for key in path[:-1]:
            props = props[key]
        props[path[-1]] = value

    return take


def in_template(name: str, take: Callable[[Props], None]) -> Callable[[Props], None]:
    return lambda props: take(template(props, name))


def in_pod(take: Callable[[Props], None]) -> Callable[[Props], None]:
    return lambda props: take(pod(props))


def in_manifest(take: Callable[[Props], None]) -> Callable[[Props], None]:
    def change(props: Props) -> None:
        (variable,) = [one for one in template(props, "claim")["script"]["env"] if one["name"] == "CLAIM_MANIFEST"]
        manifest = json.loads(variable["value"])
        take(manifest)
        variable["value"] = json.dumps(manifest)

    return change


def all_deadlines_of_a_step(props: Props) -> None:
    del template(props, "init-worktree")["activeDeadlineSeconds"]
    del template(props, "init-worktree")["timeout"]


def the_mounts_of_the_exit_handler(props: Props) -> None:
    for name in ("cleanup", "keep-own-claim"):
        script = template(props, name)["script"]
        script["volumeMounts"] = [mount for mount in script["volumeMounts"] if mount["name"] != "work"]


def the_difference_of_two_keys(props: Props) -> None:
    props["data"]["repos.tsv"] = props["data"]["repos.tsv"].replace("exampleorg-wide", "exampleorg-sample")


def a_parameter_from_env_to_source(props: Props) -> None:
    template(props, "cleanup")["script"]["source"] += "\nrm -rf /work/trees/{{workflow.parameters.taskId}}\n"


def the_webhooks_secret(props: Props) -> None:
    for source in props["spec"]["github"].values():
        del source["webhookSecret"]


LOSSES: Final = (
    Loss("parallelism-set", "the limit of pods", *RUN, without("spec", "parallelism")),
    Loss("cleanup-labels", "the template's labels", *RUN, without("metadata", "labels")),
    Loss("cleanup-labels", "the workflow's labels", *RUN, without("spec", "workflowMetadata")),
    Loss("cleanup-labels", "the pods' labels", *RUN, without("spec", "podMetadata", "labels", "coderun/cleanup")),
    Loss("cleanup-labels", "the claim's labels", *RUN, in_manifest(without("metadata", "labels", "coderun/cleanup"))),
    Loss("task-semaphore", "the lock", *RUN, in_template("locked", without("synchronization"))),
    Loss("semaphore-keys", "a limit above 0", "ConfigMap", "workflow-semaphores", with_value("0", "data", "exampleorg-sample-main")),
    Loss("semaphore-keys", "the ConfigMap's name", "ConfigMap", "workflow-semaphores", with_value("limits", "metadata", "name")),
    Loss("semaphore-keys-distinct", "the difference of two keys", "ConfigMap", "argo/coderun-repos", the_difference_of_two_keys),
    Loss("exit-handler", "the exit handler", *RUN, without("spec", "onExit")),
    Loss("exit-handler", "the exit handler's claim", *RUN, the_mounts_of_the_exit_handler),
    Loss("deadlines", "the workflow's deadline", *RUN, without("spec", "activeDeadlineSeconds")),
    Loss("deadlines", "a step's deadlines", *RUN, all_deadlines_of_a_step),
    Loss("deadlines", "the Job's deadline", *SWEEPER, without("spec", "jobTemplate", "spec", "activeDeadlineSeconds")),
    Loss("retention", "the workflow's time to live", *RUN, without("spec", "ttlStrategy")),
    Loss("retention", "the pods' collection", *RUN, without("spec", "podGC")),
    Loss("owned-objects", "the claim's owner", *RUN, in_manifest(without("metadata", "ownerReferences"))),
    Loss(
        "submitted-workflow",
        "the reference to an allowed template",
        "CronWorkflow",
        "nightly-batch",
        with_value("hello", "spec", "workflowSpec", "workflowTemplateRef", "name"),
    ),
    Loss("script-parameters", "the way by env", *RUN, a_parameter_from_env_to_source),
    Loss("no-hidden-pods", "the names of templates", *RUN, with_value({"volumes": []}, "spec", "templateDefaults")),
    Loss("bounded-retries", "the limit of retries", *RUN, in_template("init-worktree", without("retryStrategy", "limit"))),
    Loss("git-safety", "the age of what is pruned", *SWEEPER, in_pod(lambda found: found["containers"][0].update(command=["git", "prune"]))),
    Loss("git-safety", "the age of what is pruned", *SWEEPER, in_pod(lambda found: found["containers"][0].update(args=["git gc --prune=now"]))),
    Loss("no-overlap", "the ban of a second one", *SWEEPER, without("spec", "concurrencyPolicy")),
    Loss("claim-spec", "the shared claim's class", "PersistentVolumeClaim", "coderun-shared", without("spec", "storageClassName")),
    Loss("claim-spec", "the own claim's class", *RUN, in_manifest(without("spec", "storageClassName"))),
    Loss("storage-class", "the late binding", "StorageClass", "fast-ssd-dev", without("volumeBindingMode")),
    Loss("pod-security", "the workflow's security context", *RUN, without("spec", "securityContext")),
    Loss("pod-security", "a container's security context", *RUN, in_template("cleanup", without("script", "securityContext"))),
    Loss("pod-security", "the Job's security context", *SWEEPER, in_pod(without("securityContext"))),
    Loss("pod-security", "the sensor's security context", *SENSOR, without("spec", "template", "securityContext")),
    Loss("pod-resources", "a container's requests", *RUN, in_template("cleanup", without("script", "resources", "requests"))),
    Loss("pod-resources", "the Job's limits", *SWEEPER, in_pod(lambda found: found["containers"][0]["resources"].pop("limits"))),
    Loss("images", "an image's version", *RUN, in_template("cleanup", with_value("coderun.local/workspace:latest", "script", "image"))),
    Loss("service-account", "the account", *RUN, without("spec", "serviceAccountName")),
    Loss("service-account", "the Job's account", *SWEEPER, in_pod(without("serviceAccountName"))),
    Loss("least-rights", "the list of verbs", "Role", "coderun-workflow", lambda props: props["rules"][0].update(verbs=["*"])),
    Loss("least-rights", "the account of its own", "RoleBinding", "coderun-workflow", lambda props: props["subjects"][0].update(name="default")),
    Loss(
        "secret-literals",
        "the file of a secret",
        *RUN,
        in_template("cleanup", lambda found: found["script"]["env"].append({"name": "GIT_TOKEN", "value": "hunter2"})),
    ),
    Loss("trigger-rate", "the rate", *SENSOR, lambda props: props["spec"]["triggers"][0].pop("rateLimit")),
    Loss("trigger-rate", "the slack", *SENSOR, lambda props: props["spec"]["triggers"][0]["rateLimit"].update(requestsPerUnit=30)),
    Loss("trigger-rate", "the promise to deliver", *SENSOR, lambda props: props["spec"]["triggers"][0].pop("atLeastOnce")),
    Loss("sensor-filters", "the filters", *SENSOR, lambda props: props["spec"]["dependencies"][0].pop("filters")),
    Loss(
        "webhook-secret",
        "the webhook's secret",
        "EventSource",
        "github",
        the_webhooks_secret,
    ),
    Loss("claim-protected", "the exemption of the dev stack", "PersistentVolumeClaim", "coderun-shared", lambda _: None),
    Loss("provider-named", "the provider", "ServiceAccount", "coderun-workflow", lambda _: None, (("provider", DEFAULT_PROVIDER),)),
    Loss("config-map-in-place", "the provider's option", "ConfigMap", "argo/coderun-repos", lambda _: None, (("provider", REPLACING_PROVIDER),)),
)


@pytest.fixture(scope="module")
def stack() -> list[StackResource]:
    return with_every_kind(program_stack(DEV))


def test_the_stack_violates_nothing(pack: Pack, stack: list[StackResource]) -> None:
    report = pack.run(stack)
    assert report.violations == []
    assert report.not_run == []
    assert [(one.policy, one.object) for one in report.exempt] == [("claim-protected", "PersistentVolumeClaim/argo/coderun-shared")]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.policy}: {loss.what} of {loss.name}")
def test_a_loss_is_told_by_its_policy_alone(pack: Pack, stack: list[StackResource], loss: Loss) -> None:
    broken, props = changed(stack, loss.kind, loss.name, **dict(loss.options))
    loss.take(props)
    settings: dict[str, dict[str, Any]] = {"claim-protected": {"exemptions": []}} if loss.policy == "claim-protected" else {}
    # What wasn't changed says the same as before; only the keys of semaphores are looked at in several objects together.
    touched = [one for one in broken if one.props is props]
    together = {"kubernetes:core/v1:ConfigMap", "kubernetes:argoproj.io/v1alpha1:WorkflowTemplate"}
    looked_at = [one for one in broken if one.type in together] if touched[0].type in together else touched
    found = {(one.policy, one.message) for one in pack.run(looked_at, settings).violations}
    assert {policy for policy, _ in found} == {loss.policy}, found
    assert all("Remedy: " in message for _, message in found)


def test_every_policy_guards_something() -> None:
    assert {loss.policy for loss in LOSSES} == {rule.name for rule in RULES}

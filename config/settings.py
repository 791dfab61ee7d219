"""The whole stack file as typed settings.

Field names are written in camelCase in the stack file. Unknown keys are refused everywhere, so that a misspelt setting
is an error and not a default. Messages of the validators name the remedy; the key is put before them by
:mod:`config.errors`.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, field_validator, model_validator
from pydantic.alias_generators import to_camel

from config.branch_patterns import conflicts, is_pattern, pattern_fault, sample_branch
from config.errors import EntryError
from config.event_rate import requests_per_minute, window_seconds
from config.semaphore_keys import branch_key, default_key
from policies.vocabulary import MAXIMUM_DEADLINE_SECONDS, MAXIMUM_PARALLELISM, RUN_ENTRYPOINTS, RUN_TEMPLATES

_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE: Final = rf"^{_LABEL}$"
_OBJECT_NAME: Final = r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$"
_QUANTITY: Final = r"^[1-9][0-9]*(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
_SCHEDULE: Final = r"^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|[0-9A-Za-z*/,?-]+( [0-9A-Za-z*/,?-]+){4})$"
_PHASE: Final = r"^[A-Za-z][A-Za-z0-9_-]*$"
_BRANCH_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._/+@#=,-]+")
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_TEMPLATE_TAG: Final = "{{"
_OWNED_SPEC_KEYS: Final = frozenset({"githubApp", "workspace"})
_DAY_SECONDS: Final = 24 * 60 * 60
_TWO_REPLICAS: Final = 2


def _refuse_truth_value(value: object) -> object:
    # Python counts true as 1, a stack file doesn't.
    if isinstance(value, bool):
        raise ValueError("true and false aren't numbers. Remedy: give a whole number")  # noqa: TRY004 - pydantic collects ValueError only
    return value


def _encrypted(path: str) -> BeforeValidator:
    def refuse_plain_secret(value: object) -> object:
        if isinstance(value, str):
            message = f"a secret stands here in clear. Remedy: pulumi config set --secret --path 'coderun-workspaces:{path}'"
            raise ValueError(message)  # noqa: TRY004 - pydantic collects ValueError only
        return value

    return BeforeValidator(refuse_plain_secret)


GitFolder = Literal["private", "shared"]
"""What an agent gets at the path of the shared clone: a git folder of its own, or the clone itself."""

_NotTruthValue = BeforeValidator(_refuse_truth_value)
_Count = Annotated[int, _NotTruthValue, Field(ge=1)]
_Seconds = Annotated[int, _NotTruthValue, Field(ge=1)]
_Days = Annotated[int, _NotTruthValue, Field(ge=1)]
_Percent = Annotated[int, _NotTruthValue, Field(ge=1, le=100)]
_UnixId = Annotated[int, _NotTruthValue, Field(ge=1, le=2**31 - 1)]
_ObjectName = Annotated[str, Field(pattern=_OBJECT_NAME)]
_Quantity = Annotated[str, Field(pattern=_QUANTITY)]
_Schedule = Annotated[str, Field(pattern=_SCHEDULE)]
_Phase = Annotated[str, Field(pattern=_PHASE)]
_AppName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")]
_Owner = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,38}$")]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class PodSecurity(_Settings):
    """One user and group for all pods of a run, the agent's included: files of one are readable to the others."""

    uid: _UnixId = Field(default=1000, description="User id of every pod of a run. Never 0.")
    gid: _UnixId = Field(default=1000, description="Group id, and fsGroup, of every pod of a run. Never 0.")


class Images(_Settings):
    """Container images."""

    workspace: str = Field(
        min_length=1, pattern=r"^[^\s{}]+$", description="Image of all steps: sh, git, kubectl, flock, awk and sed; for commit statuses curl."
    )


class Git(_Settings):
    """How git talks to the server and to the shared clone."""

    server: str = Field(
        default="https://github.com",
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]+)?$",
        description="Address before /OWNER/REPO.git, without user or password and without a slash at the end.",
    )
    low_speed_seconds: _Seconds = Field(
        default=60, description="A transfer below git's low-speed limit for so many seconds fails: a stalled server stops one task only."
    )
    lock_timeout_seconds: _Seconds = Field(default=600, description="Longest wait for the lock of a repo's shared clone, in seconds.")


class NewStorageClass(_Settings):
    """A StorageClass that the stack makes."""

    provisioner: str = Field(min_length=1, description="The class's provisioner.")
    parameters: Mapping[str, str] = Field(default_factory=dict, description="The provisioner's parameters.")
    reclaim_policy: Literal["Delete", "Retain"] = Field(default="Delete", description="What becomes of a volume whose claim is deleted.")
    volume_binding_mode: Literal["Immediate", "WaitForFirstConsumer"] = Field(
        default="WaitForFirstConsumer", description="When a volume is made for a claim."
    )


class StorageClass(_Settings):
    """A StorageClass, referenced or made by the stack."""

    name: _ObjectName = Field(
        description="Name of the class. One that is created gets the stack's name appended (NAME-STACK): classes belong to the whole cluster."
    )
    create: NewStorageClass | None = Field(default=None, description="When set the stack makes the class; else it must exist.")


class SharedClaim(_Settings):
    """The long-lived claim with the clones and the worktrees of runs without a claim of their own."""

    claim_name: _ObjectName = Field(default="coderun-shared", description="Name of the claim.")
    size: _Quantity = Field(default="20Gi", description="Size of the claim.")
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"] = Field(
        default="ReadWriteMany", description="ReadWriteOnce needs all pods of runs on one node."
    )
    storage_class: StorageClass | None = Field(default=None, description="Absent: the cluster's default class.")
    protect: bool = Field(default=True, description="Whether Pulumi refuses to delete the claim, and with it every clone.")


class OwnClaim(_Settings):
    """The claim that a run with usePVC=true makes for itself and gives up at its end."""

    size: _Quantity = Field(default="10Gi", description="Size of the claim.")
    storage_class: StorageClass | None = Field(default=None, description="Absent: the cluster's default class.")


class Storage(_Settings):
    """Where clones and worktrees are kept."""

    shared: SharedClaim = Field(default_factory=SharedClaim, description="The claim that all runs share.")
    own: OwnClaim = Field(default_factory=OwnClaim, description="The claim of a run with usePVC=true.")

    @model_validator(mode="after")
    def _one_maker_a_class(self) -> "Storage":
        shared, own = self.shared.storage_class, self.own.storage_class
        if shared and own and own.create and shared.create and shared.name == own.name:
            raise ValueError(f"the StorageClass {own.name!r} is created twice. Remedy: leave 'create' at shared.storageClass only")
        return self


class CodeRun(_Settings):
    """The custom resource that stands for an agent's work, and how its end is seen."""

    group: str = Field(default="platform.example.io", pattern=_OBJECT_NAME, description="API group.")
    version: str = Field(default="v1alpha1", pattern=r"^v[0-9]+((alpha|beta)[0-9]+)?$", description="API version.")
    plural: str = Field(default="coderuns", pattern=_NAMESPACE, description="Plural resource name, as in a Role.")
    kind: str = Field(default="CodeRun", pattern=r"^[A-Z][A-Za-z0-9]*$", description="Kind.")
    pod_label: str = Field(
        default="platform.example.io/coderun",
        pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
        description="Label of the agent's pods; its value is the name of their CodeRun.",
    )
    git_folder: GitFolder = Field(
        default="private",
        description="private: an agent has a git folder of its own, and the shared clone's objects read-only (docs/trust.md). "
        "shared: it mounts the shared clone itself, for controllers that don't copy spec.workspace.mounts.",
    )
    succeeded_phases: tuple[_Phase, ...] = Field(default=("Succeeded",), min_length=1, description="Values of status.phase that mean success.")
    failed_phases: tuple[_Phase, ...] = Field(
        default=("Failed", "Error", "Cancelled"), min_length=1, description="Values of status.phase that mean failure."
    )
    spec: Mapping[str, JsonValue] = Field(
        default_factory=dict, description="Merged into the spec of every CodeRun, for example the agent's image and command."
    )

    @field_validator("spec")
    @classmethod
    def _leaves_the_runs_own_keys(cls, spec: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        owned = sorted(_OWNED_SPEC_KEYS & spec.keys())
        if owned:
            raise ValueError(f"{', '.join(owned)} is set by each run. Remedy: remove it here")
        if _TEMPLATE_TAG in json.dumps(spec):
            raise ValueError("it contains '{{', which Argo would evaluate. Remedy: write it without two braces in a row")
        return spec

    @model_validator(mode="after")
    def _phases_are_told_apart(self) -> "CodeRun":
        both = sorted(set(self.succeeded_phases) & set(self.failed_phases))
        if both:
            raise ValueError(f"{', '.join(both)} is in succeededPhases and in failedPhases. Remedy: leave it in one of them")
        return self


class Deadlines(_Settings):
    """Budgets in seconds. Waiting has budgets of its own, so that it is never ended as if it were work."""

    resolve_seconds: _Seconds = Field(default=_DAY_SECONDS, description="Longest wait of a new run while its repo is paused.")
    queue_seconds: _Seconds = Field(default=_DAY_SECONDS, description="Longest wait for the semaphore.")
    init_seconds: _Seconds = Field(default=900, description="Clone, fetch and checkout, without the fence.")
    fence_seconds: _Seconds = Field(default=300, description="Longest wait for the pods of an agent that is ended.")
    run_seconds: _Seconds = Field(default=7200, description="Longest life of an agent.")
    cleanup_seconds: _Seconds = Field(default=600, description="Removal of what a run made.")
    claim_seconds: _Seconds = Field(
        default=300,
        description="Longest wait for a volume of a run's own claim; also added to init's budget where the volume is made for init's pod.",
    )


class GitMaintenance(_Settings):
    """The nightly job that tidies the shared clones and makes room (docs/git-maintenance.md)."""

    schedule: _Schedule = Field(default="17 3 * * *", description="When it starts, as in a crontab, in the time zone of the cluster's controllers.")
    expire_days: _Days = Field(
        default=14, description="Objects that no ref names are dropped when they are older; branches that no run asks for are forgotten as well."
    )
    evict_above_percent: _Percent = Field(
        default=80, description="When the shared claim, or its file system, is fuller, idle clones are removed, the longest unused first."
    )
    deadline_seconds: _Seconds = Field(
        default=7200, description="The job stops after so many seconds; the next one begins with what was not reached."
    )


class Credential(_Settings):
    """How git reads private repos of one owner: a Secret with the keys `password` and, optionally, `username`."""

    owner: _Owner = Field(description="Owner of the repos.")
    github_app: _AppName = Field(description="Name that runs give as github-app.")
    secret_name: _ObjectName | None = Field(default=None, description="An existing Secret in the stack's namespace. Give this or token.")
    token: Annotated["Encrypted | None", _encrypted("credentials[N].token")] = Field(
        default=None,
        description="A Pulumi secret, of which the stack makes a Secret. Give this or secretName.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Credential":
        if (self.secret_name is None) == (self.token is None):
            raise ValueError("exactly one of secretName and token is needed. Remedy: name an existing Secret, or set token as a Pulumi secret")
        if self.token and not _SUBDOMAIN.fullmatch(self.secret):
            raise ValueError(f"no Secret can be named after the owner {self.owner!r}. Remedy: make a Secret yourself and give secretName")
        return self

    @property
    def secret(self) -> str:
        """Name of the Secret that pods mount. A made one is git-OWNER.APP; no owner and no app has a dot, so no two get the same."""
        return self.secret_name or f"git-{self.owner.lower().replace('_', '.')}.{self.github_app.lower()}"


class Encrypted(_Settings):
    """What a stack file holds in place of a secret. The secret itself never gets here: it stays a Pulumi Output."""

    secure: str = Field(min_length=1, description="Ciphertext, written by `pulumi config set --secret`.")


class EventBus(_Settings):
    """The event bus `default`: JetStream, which keeps events on disk until the sensor has dealt with them."""

    version: str = Field(
        default="2.10.29", pattern=r"^[A-Za-z0-9.-]+$", description="NATS version, one that the configuration of Argo Events' controller lists."
    )
    replicas: _Count = Field(default=1, description="Servers: 1, or 3 and more. With 1 no event is taken in while it restarts.")
    size: _Quantity = Field(default="1Gi", description="Size of each server's claim.")
    storage_class: _ObjectName | None = Field(default=None, description="Class of these claims. Absent: the cluster's default class.")
    max_age_hours: _Count = Field(default=72, description="How long events wait for a sensor that is down.")

    @field_validator("replicas")
    @classmethod
    def _can_agree(cls, replicas: int) -> int:
        if replicas == _TWO_REPLICAS:
            raise ValueError("2 servers can't outvote each other. Remedy: give 1 or 3")
        return replicas


class Hooks(_Settings):
    """Webhooks that Argo Events makes at GitHub. Without this they are made by hand."""

    organizations: tuple[_Owner, ...] = Field(min_length=1, description="Organisations that get a webhook.")
    url: str = Field(pattern=r"^https://[^\s/]+$", description="Public address of the receiver, without the path /github.")
    token: Annotated["Encrypted | None", _encrypted("events.hooks.token")] = Field(
        default=None, description="Token that may make webhooks, a Pulumi secret. Give this or app."
    )
    app: "HooksApp | None" = Field(default=None, description="GitHub App that may make webhooks. Give this or token.")

    @model_validator(mode="after")
    def _one_identity(self) -> "Hooks":
        if (self.token is None) == (self.app is None):
            raise ValueError("exactly one of token and app is needed. Remedy: set token as a Pulumi secret, or describe app")
        return self


class HooksApp(_Settings):
    """A GitHub App that makes webhooks."""

    app_id: _Count = Field(description="The app's id.")
    installation_id: _Count = Field(description="The id of its installation.")
    private_key: Annotated["Encrypted", _encrypted("events.hooks.app.privateKey")] = Field(description="Its private key, a Pulumi secret.")


class Ingress(_Settings):
    """The way in for webhooks."""

    host: str = Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", description="Host name of the receiver.")
    class_name: _ObjectName | None = Field(default=None, description="Ingress class. Absent: the cluster's default.")
    tls_secret_name: _ObjectName = Field(description="Secret with the certificate, in the events' namespace. There is no way in without TLS.")
    annotations: Mapping[str, str] = Field(default_factory=dict, description="Annotations, for example those of cert-manager.")


class CommitStatus(_Settings):
    """The state of an event's run, shown at the pull request's commit."""

    context: str = Field(default="coderun", pattern=r"^[A-Za-z0-9 ._/-]{1,100}$", description="Name of the status.")
    secret_name: _ObjectName | None = Field(
        default=None, description="An existing Secret with the key `password` in the stack's namespace, for example that of a credential."
    )
    token: Annotated["Encrypted | None", _encrypted("events.commitStatus.token")] = Field(
        default=None, description="Token that may set commit statuses, a Pulumi secret. Give this or secretName."
    )
    link: str | None = Field(
        default=None,
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?$",
        description="Address that the status links to; the workflow's name is put behind it.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "CommitStatus":
        if (self.secret_name is None) == (self.token is None):
            raise ValueError("exactly one of secretName and token is needed. Remedy: name an existing Secret, or set token as a Pulumi secret")
        return self


class Events(_Settings):
    """Runs that pull-request events start."""

    namespace: str = Field(default="argo-events", pattern=_NAMESPACE, description="Namespace of Argo Events. It must exist.")
    webhook_secret: Annotated["Encrypted", _encrypted("events.webhookSecret")] = Field(
        description="Secret that GitHub signs webhooks with, a Pulumi secret of 16 characters or more."
    )
    max_per_minute: _Count = Field(default=30, description="Workflows that events start in any 60 s, at most; 13 or more.")
    debounce_seconds: _Count = Field(default=15, description="One workflow a pull request in so many seconds, at most.")
    forks: bool = Field(default=False, description="Whether pull requests from forks start runs: their code is a stranger's.")
    supersede: bool = Field(default=True, description="Whether a newer run of a pull request ends the older ones.")
    api_url: str = Field(
        default="https://api.github.com",
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*[A-Za-z0-9])?$",
        description="Address of GitHub's API, for webhooks and commit statuses.",
    )
    bus: EventBus = Field(default_factory=EventBus, description="The event bus.")
    hooks: Hooks | None = Field(default=None, description="Webhooks that are made at GitHub. Absent: none, and GitHub's API isn't used for that.")
    ingress: Ingress | None = Field(default=None, description="The way in from outside. Absent: a Service inside the cluster only.")
    commit_status: CommitStatus | None = Field(default=None, description="Commit statuses. Absent: none.")

    @field_validator("max_per_minute")
    @classmethod
    def _leaves_room_for_slack(cls, value: int) -> int:
        requests_per_minute(value)
        return value

    @model_validator(mode="after")
    def _windows_end_in_time(self) -> "Events":
        window_seconds(self.debounce_seconds, self.max_per_minute)
        return self


class Repo(_Settings):
    """A repository that runs may work on."""

    owner: _Owner = Field(description="Owner, in the spelling that paths and messages shall have.")
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,100}$", description="Name without .git, in the spelling that paths and messages shall have.")
    default_limit: _Count = Field(default=1, description="Agents at once on all branches without a limit of their own, together.")
    branches: Mapping[str, _Count] = Field(
        default_factory=dict,
        description="Branches with a limit of their own: agents at once. A pattern such as release/* is one limit for all that it covers.",
    )
    paused: bool = Field(default=False, description="Holds new runs before they queue, until it is lifted.")
    submodules: Literal["refuse", "empty"] = Field(
        default="refuse", description="Runs at a commit with submodules: refused, or their folders are left empty."
    )
    lfs: Literal["refuse", "pointers"] = Field(
        default="refuse", description="Runs at a commit with files in LFS: refused, or the tree has pointers in their place."
    )

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        if name in {".", ".."} or name.lower().endswith(".git"):
            raise ValueError(f"{name!r} can't be a repo's name. Remedy: give the name as in its address, without .git")
        return name

    @field_validator("branches")
    @classmethod
    def _are_branch_names(cls, branches: Mapping[str, int]) -> Mapping[str, int]:
        remedy = "give a branch's short name, for example main, or a pattern, for example release/*"
        faults = [(branch, f"{branch[:80]!r} {fault}. Remedy: {remedy}") for branch in branches if (fault := _branch_fault(branch))]
        if faults:
            raise EntryError(faults)
        both = list(conflicts(branch for branch in branches if is_pattern(branch)))
        if both:
            text = "{!r} and {!r} are equally exact and can cover the same branch. Remedy: leave one of them, or make one more exact"
            raise EntryError((second, text.format(first, second)) for first, second in both)
        return branches

    @model_validator(mode="after")
    def _keys_fit(self) -> "Repo":
        default_key(self.owner, self.name)
        for branch in self.branches:
            try:
                branch_key(self.owner, self.name, branch)
            except ValueError as error:
                raise ValueError(f"{error}. Remedy: remove the branch {branch[:80]!r} here; it then counts to the repo's defaultLimit") from error
        return self


class Retention(_Settings):
    """How long the records of ended runs are kept."""

    success_seconds: _Seconds = Field(default=_DAY_SECONDS, description="Workflow objects of successful runs.")
    failure_seconds: _Seconds = Field(default=7 * _DAY_SECONDS, description="Workflow objects of failed runs.")


class Sweeper(_Settings):
    """The scheduled removal of what runs left that were terminated or deleted, or whose pods were lost."""

    schedule: _Schedule = Field(default="*/5 * * * *", description="When it runs: minute, hour, day, month, weekday.")
    deadline_seconds: _Seconds = Field(default=1800, description="Longest duration of one sweep; the next one goes on with the rest.")


class KeepOnFailure(_Settings):
    """Work of runs that did not succeed: commits that only the task has, and changes that it had not committed."""

    enabled: bool = Field(default=True, description="Whether it is kept on the shared claim before it is removed.")
    days: _Count = Field(default=7, description="After how many days it is removed.")
    max_size: _Quantity = Field(default="100Mi", description="Most that is kept of one run. A file above a quarter of it is left out.")


class Resources(_Settings):
    """What the pods of a run ask for. The agent's own pod is the CodeRun controller's business."""

    cpu: _Quantity = Field(default="50m", description="CPU request of steps that only talk and wait.")
    memory: _Quantity = Field(default="128Mi", description="Memory request and limit of steps that only talk and wait.")
    git_cpu: _Quantity = Field(default="100m", description="CPU request of steps that run git on the clone.")
    git_memory_request: _Quantity = Field(default="256Mi", description="Memory request of steps that run git on the clone.")
    git_memory_limit: _Quantity = Field(default="1Gi", description="Memory limit of steps that run git on the clone.")
    scratch: _Quantity = Field(default="256Mi", description="Size limit of each step's own /work and /tmp.")


class ExemptTemplate(_Settings):
    """A WorkflowTemplate that the cluster's gate leaves alone."""

    name: _ObjectName = Field(description="Its name.")
    reason: str = Field(min_length=10, pattern=r"^[^\n\r]+$", description="Why, for whoever reads it in a year.")


class Admission(_Settings):
    """What the API server refuses in the stack's namespace (docs/admission.md)."""

    mode: Literal["deny", "warn", "audit"] = Field(
        default="deny",
        description="What becomes of an object that breaks a rule: refused, accepted with a warning, or only noted in the audit log.",
    )
    templates: tuple[_ObjectName, ...] = Field(
        default=RUN_TEMPLATES, min_length=1, description="WorkflowTemplates that Workflows may refer to. A Workflow of its own making is refused."
    )
    entrypoints: tuple[_ObjectName, ...] = Field(
        default=RUN_ENTRYPOINTS, description="Templates that Workflows may name as their entrypoint: any other could begin behind the lock."
    )
    exempt_templates: tuple[ExemptTemplate, ...] = Field(
        default=(), description="WorkflowTemplates that need not keep the rules. Workflows may refer to them only if they are listed in templates."
    )
    images: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")], ...] = Field(
        default=(), description="What images of WorkflowTemplates may begin with. Empty: anything."
    )
    max_parallelism: _Count = Field(default=MAXIMUM_PARALLELISM, description="Highest parallelism of a WorkflowTemplate.")
    max_deadline_seconds: _Seconds = Field(default=MAXIMUM_DEADLINE_SECONDS, description="Longest activeDeadlineSeconds of a WorkflowTemplate.")
    max_claim_size: _Quantity = Field(default="100Gi", description="Largest claim that a run makes for itself.")
    claim_classes: tuple[_ObjectName, ...] = Field(
        default=(), description="Storage classes of such claims, by their names in the cluster. Empty: any class that is named."
    )


class Cluster(_Settings):
    """Which cluster the stack is for. Absent keys: the environment's KUBECONFIG and its current context."""

    context: str | None = Field(default=None, min_length=1, description="Context of the kubeconfig.")
    kubeconfig: str | None = Field(default=None, min_length=1, description="Path of a kubeconfig file.")


class StackConfig(_Settings):
    """All settings of a stack."""

    namespace: str = Field(default="argo", pattern=_NAMESPACE, description="Namespace of the stack's objects and of its runs. It must exist.")
    parallelism: _Count = Field(default=5, description="Pods of one workflow at once; so also tasks of one batch at once.")
    workflows_at_once: Annotated[int, _NotTruthValue, Field(ge=2)] | None = Field(
        default=None,
        description="Workflows in the namespace at once, those that wait for a semaphore included; more stay Pending. Absent: no limit.",
    )
    pod_security: PodSecurity = Field(default_factory=PodSecurity, description="User and group of all pods of a run.")
    images: Images = Field(description="Images of the steps.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(default="IfNotPresent", description="Pull policy of the steps' image.")
    resources: Resources = Field(default_factory=Resources, description="Requests and limits of the steps.")
    git: Git = Field(default_factory=Git, description="The git server.")
    storage: Storage = Field(default_factory=Storage, description="Claims and their classes.")
    coderun: CodeRun = Field(default_factory=CodeRun, description="The custom resource that stands for an agent's work.")
    deadlines: Deadlines = Field(default_factory=Deadlines, description="Budgets of each part of a run.")
    sweeper: Sweeper = Field(default_factory=Sweeper, description="Removal of what exit handlers could not remove.")
    keep_on_failure: KeepOnFailure = Field(default_factory=KeepOnFailure, description="Work of runs that did not succeed.")
    git_maintenance: GitMaintenance = Field(default_factory=GitMaintenance, description="The nightly job that tidies the shared clones.")
    default_github_app: _AppName = Field(default="default", description="Value of github-app for runs that give none.")
    credentials: tuple[Credential, ...] = Field(default=(), description="Credentials for private repos.")
    repos: tuple[Repo, ...] = Field(default=(), description="Repositories that runs may work on.")
    # Read and replaced by `repos` before the settings are checked.
    repos_file: str | None = Field(
        default=None, min_length=1, description="A YAML file with the list of repos, beside the stack file. Give this or repos."
    )
    events: Events | None = Field(default=None, description="Runs that pull-request events start. Absent: none.")
    retention: Retention = Field(default_factory=Retention, description="When ended workflows are deleted.")
    admission: Admission = Field(default_factory=Admission, description="The cluster's own gate.")
    kubernetes: Cluster = Field(default_factory=Cluster, description="The cluster.")

    @field_validator("repos")
    @classmethod
    def _repos_are_listed_once(cls, repos: tuple[Repo, ...]) -> tuple[Repo, ...]:
        positions: dict[str, list[int]] = {}
        for position, repo in enumerate(repos):
            positions.setdefault(f"{repo.owner}/{repo.name}".lower(), []).append(position)
        twice = [(name, found) for name, found in positions.items() if len(found) > 1]
        if twice:
            text = "the repo {} is listed more than once (capital and small letters count as one). Remedy: leave one entry"
            raise EntryError((position, text.format(name)) for name, found in twice for position in found)
        return repos

    @field_validator("credentials")
    @classmethod
    def _credentials_are_listed_once(cls, credentials: tuple[Credential, ...]) -> tuple[Credential, ...]:
        _refuse_twice((f"{one.owner} {one.github_app}".lower() for one in credentials), "pair of owner and githubApp")
        named = {one.secret for one in credentials if one.secret_name}
        made_and_named = sorted(named & {one.secret for one in credentials if one.token})
        if made_and_named:
            raise ValueError(
                f"the Secret {', '.join(made_and_named)} is made for one entry and named by another. Remedy: give token or secretName to both"
            )
        return credentials


def _refuse_twice(names: Iterable[str], what: str) -> None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise ValueError(f"the {what} {', '.join(twice)} is listed more than once (capital and small letters count as one). Remedy: leave one entry")


def _branch_fault(branch: str) -> str | None:
    """Say what git, or a run's parameters, would not accept in a branch's short name (git-check-ref-format)."""
    if is_pattern(branch):
        fault = pattern_fault(branch)
        if fault:
            return fault
        branch = sample_branch(branch)
    if branch.startswith("refs/"):
        return "is a full ref"
    if not _BRANCH_CHARACTERS.fullmatch(branch):
        return "has characters outside A-Z a-z 0-9 . _ / + @ # = , -"
    if branch.startswith("-") or branch == "@":
        return "isn't a name that git accepts"
    for part in branch.split("/"):
        if not part or part.startswith(".") or part.endswith((".", ".lock")) or ".." in part:
            return "isn't a name that git accepts"
    return None

"""The part of Argo Events' types that this stack writes, so that a misspelt field is a type error.

Their CRDs are without a schema: the API server takes anything, and the controller ignores what it doesn't know. The tests check the
result against the JSON Schema in Argo Events' module as well.
"""

from typing import Literal, NotRequired, TypedDict

from components.argo_types import EnvVar, Metadata, Parameters, PodSecurityContext, ResourceRequirements, SecurityContext, Volume, VolumeMount


class SecretKey(TypedDict):
    """A key of a Secret in the same namespace."""

    name: str
    key: str


class ContainerTemplate(TypedDict):
    """What the pods of a bus are told of a container."""

    resources: ResourceRequirements
    securityContext: SecurityContext


class Persistence(TypedDict):
    """The claim of each server of a bus."""

    accessMode: Literal["ReadWriteOnce"]
    volumeSize: str
    storageClassName: NotRequired[str]


class JetStream(TypedDict):
    """A JetStream cluster that the controller makes. ``settings`` and ``streamConfig`` are YAML."""

    version: str
    replicas: int
    persistence: Persistence
    settings: str
    streamConfig: str
    serviceAccountName: str
    securityContext: PodSecurityContext
    containerTemplate: ContainerTemplate
    reloaderContainerTemplate: ContainerTemplate
    metricsContainerTemplate: ContainerTemplate


class EventBusSpec(TypedDict):
    """The spec of an EventBus."""

    jetstream: JetStream


class Container(TypedDict):
    """The container of an event source or a sensor."""

    resources: ResourceRequirements
    securityContext: SecurityContext
    env: NotRequired[list[EnvVar]]
    volumeMounts: NotRequired[list[VolumeMount]]


class PodTemplate(TypedDict):
    """The pods of an event source or a sensor."""

    metadata: Metadata
    serviceAccountName: str
    securityContext: PodSecurityContext
    container: Container
    volumes: NotRequired[list[Volume]]


class Webhook(TypedDict):
    """Where webhooks are taken in. ``url`` is the public address, for hooks that are made at GitHub; empty: none are."""

    endpoint: str
    port: str
    method: Literal["POST"]
    url: str


class GithubApp(TypedDict):
    """An app that makes hooks."""

    privateKey: SecretKey
    appID: int
    installationID: int


class GithubSource(TypedDict):
    """One kind of webhooks from GitHub."""

    organizations: list[str]
    webhook: Webhook
    events: list[str]
    webhookSecret: SecretKey
    contentType: Literal["json"]
    insecure: bool
    active: bool
    apiToken: NotRequired[SecretKey]
    githubApp: NotRequired[GithubApp]
    githubBaseURL: NotRequired[str]
    githubUploadURL: NotRequired[str]


class EventSourceSpec(TypedDict):
    """The spec of an EventSource; the keys of ``github`` are the events' names."""

    eventBusName: str
    replicas: int
    template: PodTemplate
    github: dict[str, GithubSource]


class Filters(TypedDict):
    """Which events of a dependency pass: those for which the Lua script returns true."""

    script: str


class Dependency(TypedDict):
    """Events that a sensor waits for."""

    name: str
    eventSourceName: str
    eventName: str
    filters: Filters


class ParameterSource(TypedDict):
    """A part of an event: by path, or by a Go template over its data or its context."""

    dependencyName: str
    dataKey: NotRequired[str]
    dataTemplate: NotRequired[str]
    contextTemplate: NotRequired[str]


class TriggerParameter(TypedDict):
    """A part of an event that goes into what is made."""

    src: ParameterSource
    dest: str
    operation: NotRequired[Literal["append"]]


class EventWorkflowMetadata(TypedDict):
    """Metadata of the Workflow that an event makes."""

    name: str
    namespace: str
    labels: dict[str, str]
    annotations: dict[str, str]


class TemplateReference(TypedDict):
    """A WorkflowTemplate by name."""

    name: str


class EventWorkflowSpec(TypedDict):
    """The spec of the Workflow that an event makes."""

    entrypoint: str
    workflowTemplateRef: TemplateReference
    arguments: Parameters


class EventWorkflow(TypedDict):
    """The Workflow that an event makes, before the event's parts are put in."""

    apiVersion: Literal["argoproj.io/v1alpha1"]
    kind: Literal["Workflow"]
    metadata: EventWorkflowMetadata
    spec: EventWorkflowSpec


class TriggerSource(TypedDict):
    """What a trigger makes."""

    resource: EventWorkflow


class KubernetesTrigger(TypedDict):
    """Makes an object."""

    operation: Literal["create"]
    source: TriggerSource
    parameters: list[TriggerParameter]


class TriggerTemplate(TypedDict):
    """What a trigger does."""

    name: str
    k8s: KubernetesTrigger


class RateLimit(TypedDict):
    """How often a trigger fires. It delays, and never drops."""

    unit: Literal["Minute"]
    requestsPerUnit: int


class TriggerRetries(TypedDict):
    """Attempts of a trigger. Numbers only: a number in quotes keeps every attempt from being made."""

    steps: int
    duration: str
    factor: int
    jitter: int


class Trigger(TypedDict):
    """A trigger of a sensor."""

    atLeastOnce: bool
    rateLimit: RateLimit
    retryStrategy: TriggerRetries
    template: TriggerTemplate


class SensorSpec(TypedDict):
    """The spec of a Sensor."""

    eventBusName: str
    replicas: int
    template: PodTemplate
    dependencies: list[Dependency]
    triggers: list[Trigger]

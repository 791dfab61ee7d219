"""The part of Argo Workflows' types that this stack writes, so that a misspelt field is a type error.

The tests check the result against Argo's full CRD schema as well.
"""

from typing import Literal, NotRequired, TypedDict


class ValueFromPath(TypedDict):
    """An output that a step leaves in a file."""

    path: str
    default: NotRequired[str]


class Parameter(TypedDict):
    """A parameter: declared (name, perhaps a default), given (with value) or returned (with valueFrom)."""

    name: str
    value: NotRequired[str]
    valueFrom: NotRequired[ValueFromPath]
    globalName: NotRequired[str]
    description: NotRequired[str]


class Parameters(TypedDict):
    """Inputs, outputs or arguments."""

    parameters: list[Parameter]


class EnvVar(TypedDict):
    """An environment variable."""

    name: str
    value: str


class VolumeMount(TypedDict):
    """A mount of a volume."""

    name: str
    mountPath: str
    subPath: NotRequired[str]
    readOnly: NotRequired[bool]


class EmptyDir(TypedDict):
    """A folder that lives and dies with its pod."""

    sizeLimit: str


class ClaimSource(TypedDict):
    """A claim as a volume."""

    claimName: str
    readOnly: NotRequired[bool]


class SecretSource(TypedDict):
    """A Secret as a volume."""

    secretName: str
    optional: bool
    defaultMode: int


class ConfigMapSource(TypedDict):
    """A ConfigMap as a volume."""

    name: str


class Volume(TypedDict):
    """A volume of a pod."""

    name: str
    emptyDir: NotRequired[EmptyDir]
    persistentVolumeClaim: NotRequired[ClaimSource]
    secret: NotRequired[SecretSource]
    configMap: NotRequired[ConfigMapSource]


class ResourceList(TypedDict):
    """Quantities."""

    cpu: NotRequired[str]
    memory: str


class ResourceRequirements(TypedDict):
    """What a container asks for and is limited to."""

    requests: ResourceList
    limits: ResourceList


class Capabilities(TypedDict):
    """Linux capabilities."""

    drop: list[str]


class SecurityContext(TypedDict):
    """A container's security settings."""

    allowPrivilegeEscalation: bool
    capabilities: Capabilities
    readOnlyRootFilesystem: bool
    runAsNonRoot: bool


class SeccompProfile(TypedDict):
    """Which system calls are filtered."""

    type: Literal["RuntimeDefault"]


class PodSecurityContext(TypedDict):
    """A pod's security settings."""

    runAsNonRoot: bool
    runAsUser: int
    runAsGroup: int
    fsGroup: int
    fsGroupChangePolicy: Literal["OnRootMismatch"]
    seccompProfile: SeccompProfile


class Script(TypedDict):
    """A step that runs a script."""

    image: str
    imagePullPolicy: str
    command: list[str]
    workingDir: str
    source: str
    env: list[EnvVar]
    resources: ResourceRequirements
    securityContext: SecurityContext
    volumeMounts: list[VolumeMount]


class DagTask(TypedDict):
    """A task of a graph."""

    name: str
    template: str
    arguments: NotRequired[Parameters]
    depends: NotRequired[str]
    when: NotRequired[str]
    withParam: NotRequired[str]


class Dag(TypedDict):
    """A graph of tasks."""

    failFast: NotRequired[bool]
    tasks: list[DagTask]


class Step(TypedDict):
    """A step of a sequence."""

    name: str
    template: str
    when: NotRequired[str]


class ConfigMapKey(TypedDict):
    """A key of a ConfigMap."""

    name: str
    key: str


class Semaphore(TypedDict):
    """A semaphore whose limit stands in a ConfigMap."""

    configMapKeyRef: ConfigMapKey


class Synchronization(TypedDict):
    """Locks that a template takes before it starts."""

    semaphores: list[Semaphore]


class Backoff(TypedDict):
    """Pauses between attempts."""

    duration: str
    factor: int


class RetryStrategy(TypedDict):
    """When a step is tried again."""

    limit: int
    retryPolicy: Literal["OnError"]
    expression: NotRequired[str]
    backoff: Backoff


class Metadata(TypedDict):
    """Labels and annotations."""

    labels: dict[str, str]
    annotations: NotRequired[dict[str, str]]


class Suspend(TypedDict):
    """A pause. It takes no pod."""

    duration: str


class LabelValueFrom(TypedDict):
    """A label's value as an expression over the workflow's variables."""

    expression: str


class WorkflowMetadata(Metadata):
    """Labels and annotations that a workflow gets when it begins."""

    labelsFrom: NotRequired[dict[str, LabelValueFrom]]


class Template(TypedDict):
    """A template of a workflow: a graph, a sequence, a script or a pause."""

    name: str
    inputs: NotRequired[Parameters]
    outputs: NotRequired[Parameters]
    metadata: NotRequired[Metadata]
    activeDeadlineSeconds: NotRequired[int]
    timeout: NotRequired[str]
    retryStrategy: NotRequired[RetryStrategy]
    synchronization: NotRequired[Synchronization]
    volumes: NotRequired[list[Volume]]
    dag: NotRequired[Dag]
    steps: NotRequired[list[list[Step]]]
    script: NotRequired[Script]
    suspend: NotRequired[Suspend]


class PodGc(TypedDict):
    """When a step's pod is deleted."""

    strategy: Literal["OnPodCompletion"]
    deleteDelayDuration: str


class TtlStrategy(TypedDict):
    """When an ended workflow is deleted."""

    secondsAfterSuccess: int
    secondsAfterFailure: int


class WorkflowSpec(TypedDict):
    """The spec of a WorkflowTemplate."""

    entrypoint: str
    onExit: NotRequired[str]
    serviceAccountName: str
    parallelism: int
    activeDeadlineSeconds: NotRequired[int]
    arguments: Parameters
    podGC: PodGc
    ttlStrategy: TtlStrategy
    workflowMetadata: WorkflowMetadata
    podMetadata: Metadata
    securityContext: PodSecurityContext
    templates: list[Template]

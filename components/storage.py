"""Where clones and worktrees are kept."""

from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
import pulumi_kubernetes as kubernetes

import payload
from components.kubelet_text import literal
from components.names import MANAGED_LABELS
from components.storage_spec import applied_class_name
from components.workflow_template_spec import container_security_context, git_resources, pod_security_context
from config.settings import StackConfig, StorageClass

_PREPARE_SCRIPTS: Final = ("task-messages.sh", "base-lock.sh", "prepare-claim.sh")
_CLAIM_ROOT: Final = "/claim"
_PREPARE_SECONDS: Final = 600  # a volume, an image and a pod: what isn't there by then needs a person
_PREPARE_RETRIES: Final = 3


@dataclass(frozen=True)
class StorageResources:
    """What :class:`Storage` makes."""

    storage_classes: tuple[kubernetes.storage.v1.StorageClass, ...]
    shared_claim: kubernetes.core.v1.PersistentVolumeClaim
    prepare: kubernetes.batch.v1.Job


class Storage(pulumi.ComponentResource):
    """The claim that all runs share, made once and kept, and a Job that proves it fit before the first run.

    A folder that a pod mounts by subPath and that isn't there is made by the kubelet, for root. So the Job makes them,
    as the runs' user, and tries what the steps rely on: writing, hard links, and locks that shut the second one out.

    Pulumi Type: coderun-workspaces:components:Storage

    Produces:
        PersistentVolumeClaim ``coderun-shared`` (protected unless the settings say otherwise), Job
        ``<claim>-prepare``, and a StorageClass ``<name>-<stack>`` for each class that the settings have created.
    """

    resources: StorageResources

    def __init__(self, name: str, config: StackConfig, stack: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the objects.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            stack: The stack's name, which becomes part of a created class's name.
            opts: Options with the provider.

        Raises:
            ValueError: A class is created and the stack's name can't be part of a Kubernetes name.
        """
        super().__init__("coderun-workspaces:components:Storage", name, None, opts)
        created = [chosen for chosen in (config.storage.shared.storage_class, config.storage.own.storage_class) if chosen and chosen.create]
        storage_classes = tuple(self._storage_class(name, chosen, stack) for chosen in created)
        shared_claim = self._shared_claim(name, config, stack, storage_classes)
        prepare = self._prepare(name, config, shared_claim)
        self.resources = StorageResources(storage_classes, shared_claim, prepare)
        self.register_outputs({"sharedClaim": shared_claim.metadata.name})

    def _storage_class(self, name: str, chosen: StorageClass, stack: str) -> kubernetes.storage.v1.StorageClass:
        assert chosen.create is not None
        return kubernetes.storage.v1.StorageClass(
            f"{name}-class-{chosen.name}",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=applied_class_name(chosen, stack), labels=MANAGED_LABELS),
            provisioner=chosen.create.provisioner,
            parameters=dict(chosen.create.parameters),
            reclaim_policy=chosen.create.reclaim_policy,
            volume_binding_mode=chosen.create.volume_binding_mode,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _shared_claim(
        self,
        name: str,
        config: StackConfig,
        stack: str,
        storage_classes: tuple[kubernetes.storage.v1.StorageClass, ...],
    ) -> kubernetes.core.v1.PersistentVolumeClaim:
        shared = config.storage.shared
        return kubernetes.core.v1.PersistentVolumeClaim(
            f"{name}-shared-claim",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=shared.claim_name,
                namespace=config.namespace,
                labels=MANAGED_LABELS,
                # A class that binds late binds when the first pod comes, which is the Job's: waiting here would never end.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=kubernetes.core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=[shared.access_mode],
                storage_class_name=applied_class_name(shared.storage_class, stack) if shared.storage_class else None,
                resources=kubernetes.core.v1.VolumeResourceRequirementsArgs(requests={"storage": shared.size}),
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=shared.protect, depends_on=list(storage_classes)),
        )

    def _prepare(self, name: str, config: StackConfig, claim: kubernetes.core.v1.PersistentVolumeClaim) -> kubernetes.batch.v1.Job:
        claim_name = config.storage.shared.claim_name
        container = {
            "name": "prepare",
            "image": config.images.workspace,
            "imagePullPolicy": config.image_pull_policy,
            "command": ["sh", "-c", literal(payload.source(*_PREPARE_SCRIPTS))],
            "env": [{"name": "CLAIM_ROOT", "value": _CLAIM_ROOT}, {"name": "HOME", "value": "/tmp"}],  # noqa: S108 - the pod's own emptyDir
            "resources": git_resources(config),
            "securityContext": container_security_context(),
            "volumeMounts": [{"name": "claim", "mountPath": _CLAIM_ROOT}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - as above
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
        pod = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": pod_security_context(config),
            "containers": [container],
            "volumes": [
                {"name": "claim", "persistentVolumeClaim": {"claimName": claim_name}},
                {"name": "tmp", "emptyDir": {"sizeLimit": config.resources.scratch}},
            ],
        }
        # No time to live: an object that goes by itself would come again with every refresh.
        spec = {
            "backoffLimit": _PREPARE_RETRIES,
            "activeDeadlineSeconds": _PREPARE_SECONDS,
            "template": {"metadata": {"labels": MANAGED_LABELS}, "spec": pod},
        }
        return kubernetes.batch.v1.Job(
            f"{name}-prepare",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=f"{claim_name}-prepare", namespace=config.namespace, labels=MANAGED_LABELS),
            spec=cast("Any", spec),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[claim], delete_before_replace=True),
        )

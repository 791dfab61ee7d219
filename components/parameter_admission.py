"""Refuses dangerous parameters when a workflow is created."""

from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import MANAGED_LABELS, cluster_scoped
from components.parameter_admission_spec import admission_binding_spec, admission_policy_spec
from config.settings import StackConfig


@dataclass(frozen=True)
class ParameterAdmissionResources:
    """What :class:`ParameterAdmission` makes."""

    policy: kubernetes.admissionregistration.v1.ValidatingAdmissionPolicy
    binding: kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding


class ParameterAdmission(pulumi.ComponentResource):
    """Refuses a workflow, at submit, whose parameters Argo would evaluate, or that tries to set ``parallelism``.

    Pulumi Type: coderun-workspaces:components:ParameterAdmission

    Produces:
        ValidatingAdmissionPolicy and ValidatingAdmissionPolicyBinding ``coderun-parameters-<stack>``, for the stack's
        namespace only. Both need Kubernetes 1.30 or later.
    """

    resources: ParameterAdmissionResources

    def __init__(self, name: str, config: StackConfig, stack: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the objects.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            stack: The stack's name, which becomes part of the objects' names.
            opts: Options with the provider.

        Raises:
            ValueError: The stack's name can't be part of a Kubernetes name.
        """
        super().__init__("coderun-workspaces:components:ParameterAdmission", name, None, opts)
        object_name = cluster_scoped("coderun-parameters", stack)
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=object_name, labels=MANAGED_LABELS)
        policy = kubernetes.admissionregistration.v1.ValidatingAdmissionPolicy(
            f"{name}-policy",
            metadata=metadata,
            spec=cast("Any", admission_policy_spec()),
            opts=pulumi.ResourceOptions(parent=self),
        )
        binding = kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            f"{name}-binding",
            metadata=metadata,
            spec=cast("Any", admission_binding_spec(object_name, config.namespace)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.resources = ParameterAdmissionResources(policy, binding)
        self.register_outputs({"policy": policy.metadata.name})

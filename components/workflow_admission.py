"""The cluster's own gate for what no deployment sees: Workflows, the templates they refer to, and the claims of runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import MANAGED_LABELS, cluster_scoped
from components.workflow_admission_spec import binding_spec, claim_policy_spec, refuse_own_violations, template_policy_spec, workflow_policy_spec
from config.errors import ConfigError
from config.settings import StackConfig

EXEMPTIONS_ANNOTATION: Final = "coderun/exempt-templates"


@dataclass(frozen=True)
class WorkflowAdmissionResources:
    """What :class:`WorkflowAdmission` makes, in the order workflows, templates, claims."""

    policies: tuple[kubernetes.admissionregistration.v1.ValidatingAdmissionPolicy, ...]
    bindings: tuple[kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding, ...]


class WorkflowAdmission(pulumi.ComponentResource):
    """Holds everything that reaches the API server to the rules of the policy pack, whoever sends it.

    Pulumi sees what it deploys. A Workflow comes from a Sensor, from ``argo submit`` or from another workflow, so the
    API server has to look at it. Runs under way are never touched: only creation is looked at, and for templates and
    claims a change of what matters.

    Pulumi Type: coderun-workspaces:components:WorkflowAdmission

    Produces:
        ValidatingAdmissionPolicy and ValidatingAdmissionPolicyBinding ``coderun-workflows-<stack>``,
        ``coderun-templates-<stack>`` and ``coderun-claims-<stack>``, for the stack's namespace only. They need
        Kubernetes 1.30 or later.
    """

    resources: WorkflowAdmissionResources

    def __init__(self, name: str, config: StackConfig, stack: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the objects.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            stack: The stack's name, which becomes part of the objects' names.
            opts: Options with the provider.

        Raises:
            pulumi.RunError: The gate would turn away what the stack itself makes. The engine shows it without a traceback.
            ValueError: The stack's name can't be part of a Kubernetes name.
        """
        super().__init__("coderun-workspaces:components:WorkflowAdmission", name, None, opts)
        try:
            refuse_own_violations(config, stack)
        except ConfigError as error:
            raise pulumi.RunError(str(error)) from error
        exemptions = "; ".join(f"{one.name}: {one.reason}" for one in config.admission.exempt_templates)
        made = [
            self._pair(name, what, stack, config, spec, annotations)
            for what, spec, annotations in (
                ("workflows", workflow_policy_spec(config), {}),
                ("templates", template_policy_spec(config), {EXEMPTIONS_ANNOTATION: exemptions} if exemptions else {}),
                ("claims", claim_policy_spec(config), {}),
            )
        ]
        self.resources = WorkflowAdmissionResources(tuple(policy for policy, _ in made), tuple(binding for _, binding in made))
        self.register_outputs({"policies": [policy.metadata.name for policy, _ in made]})

    def _pair(
        self, name: str, what: str, stack: str, config: StackConfig, spec: dict[str, Any], annotations: Mapping[str, str]
    ) -> tuple[
        kubernetes.admissionregistration.v1.ValidatingAdmissionPolicy,
        kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding,
    ]:
        object_name = cluster_scoped(f"coderun-{what}", stack)
        policy = kubernetes.admissionregistration.v1.ValidatingAdmissionPolicy(
            f"{name}-{what}-policy",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=object_name, labels=MANAGED_LABELS, annotations=annotations or None),
            spec=cast("Any", spec),
            opts=pulumi.ResourceOptions(parent=self),
        )
        binding = kubernetes.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            f"{name}-{what}-binding",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=object_name, labels=MANAGED_LABELS),
            spec=cast("Any", binding_spec(object_name, config)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        return policy, binding

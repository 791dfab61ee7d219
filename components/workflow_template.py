"""The run itself."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import CLEANUP_LABEL, CLEANUP_ON_EXIT, MANAGED_LABELS, WORKFLOW_TEMPLATE
from components.workflow_template_spec import workflow_template_spec
from config.settings import StackConfig


@dataclass(frozen=True)
class WorkflowTemplateResources:
    """What :class:`WorkflowTemplate` makes."""

    template: kubernetes.apiextensions.CustomResource


class WorkflowTemplate(pulumi.ComponentResource):
    """The template that every run is submitted from. Runs under way keep the text they were submitted with.

    Pulumi Type: coderun-workspaces:components:WorkflowTemplate

    Produces:
        WorkflowTemplate ``coderun-template``.
    """

    resources: WorkflowTemplateResources

    def __init__(self, name: str, config: StackConfig, stack: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the WorkflowTemplate.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            stack: The stack's name.
            opts: Options with the provider; depends_on names what a run needs to be there.
        """
        super().__init__("coderun-workspaces:components:WorkflowTemplate", name, None, opts)
        template = kubernetes.apiextensions.CustomResource(
            f"{name}-template",
            api_version="argoproj.io/v1alpha1",
            kind="WorkflowTemplate",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=WORKFLOW_TEMPLATE,
                namespace=config.namespace,
                labels={**MANAGED_LABELS, CLEANUP_LABEL: CLEANUP_ON_EXIT},
            ),
            spec=workflow_template_spec(config, stack),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.resources = WorkflowTemplateResources(template)
        self.register_outputs({"workflowTemplate": WORKFLOW_TEMPLATE})

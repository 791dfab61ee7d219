"""What makes runs of events."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.names import MANAGED_LABELS, REPOS_CONFIG_MAP, SENSOR
from components.sensor_spec import sensor_spec
from config.repos import REPOS_FILE, repos_tsv
from config.settings import Events, StackConfig


@dataclass(frozen=True)
class SensorResources:
    """What :class:`Sensor` makes."""

    repos: kubernetes.core.v1.ConfigMap
    service_account: kubernetes.core.v1.ServiceAccount
    role: kubernetes.rbac.v1.Role
    role_binding: kubernetes.rbac.v1.RoleBinding
    sensor: kubernetes.apiextensions.CustomResource


class Sensor(pulumi.ComponentResource):
    """Makes a workflow of each event that its filter lets pass, at a rate, in the runs' namespace, where it may do nothing else.

    Pulumi Type: coderun-workspaces:components:Sensor

    Produces:
        Sensor and ServiceAccount ``repo-workflow-sensor`` and a copy of the ConfigMap ``coderun-repos`` in the events' namespace;
        Role and RoleBinding ``repo-workflow-sensor`` in the runs' namespace.
    """

    resources: SensorResources

    def __init__(self, name: str, config: StackConfig, events: Events, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the objects.

        Args:
            name: Name of the component in the stack.
            config: The stack's settings.
            events: Their part on events.
            opts: Options with the provider; depends_on names the event bus, the event source and the template of runs.

        Raises:
            config.errors.ConfigError: The repo list is larger than a ConfigMap.
        """
        super().__init__("coderun-workspaces:components:Sensor", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        here = kubernetes.meta.v1.ObjectMetaArgs(name=SENSOR, namespace=events.namespace, labels=MANAGED_LABELS)
        there = kubernetes.meta.v1.ObjectMetaArgs(name=SENSOR, namespace=config.namespace, labels=MANAGED_LABELS)
        repos = kubernetes.core.v1.ConfigMap(
            f"{name}-repos",
            # The same name as in the runs' namespace: a pod mounts ConfigMaps of its own namespace only.
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=REPOS_CONFIG_MAP, namespace=events.namespace, labels=MANAGED_LABELS),
            data={REPOS_FILE: repos_tsv(config)},
            opts=child,
        )
        service_account = kubernetes.core.v1.ServiceAccount(f"{name}-service-account", metadata=here, opts=child)
        role = kubernetes.rbac.v1.Role(
            f"{name}-role",
            metadata=there,
            rules=[kubernetes.rbac.v1.PolicyRuleArgs(api_groups=["argoproj.io"], resources=["workflows"], verbs=["create"])],
            opts=child,
        )
        role_binding = kubernetes.rbac.v1.RoleBinding(
            f"{name}-role-binding",
            metadata=there,
            role_ref=kubernetes.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=SENSOR),
            subjects=[kubernetes.rbac.v1.SubjectArgs(kind="ServiceAccount", name=SENSOR, namespace=events.namespace)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role, service_account]),
        )
        sensor = kubernetes.apiextensions.CustomResource(
            f"{name}-sensor",
            api_version="argoproj.io/v1alpha1",
            kind="Sensor",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=SENSOR, namespace=events.namespace, labels=MANAGED_LABELS, annotations={"pulumi.com/waitFor": "condition=Deployed"}
            ),
            spec=sensor_spec(config, events),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[repos, role_binding]),
        )
        self.resources = SensorResources(repos, service_account, role, role_binding, sensor)
        self.register_outputs({"sensor": SENSOR})

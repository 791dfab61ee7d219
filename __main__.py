"""Deploys what runs of ``coderun-template`` need: settings -> components -> outputs."""

import pulumi
import pulumi_kubernetes as kubernetes

from components.access import Access
from components.batch import Batch
from components.coderun_repos import CoderunRepos
from components.commit_status import CommitStatus
from components.event_bus import EventBus
from components.event_network import EventNetwork
from components.event_source import EventSource
from components.git_credentials import GitCredentials
from components.git_maintenance import GitMaintenance
from components.names import WORKFLOW_TEMPLATE
from components.namespace_limit import NamespaceLimit
from components.parameter_admission import ParameterAdmission
from components.repo_semaphores import RepoSemaphores
from components.sensor import Sensor
from components.storage import Storage
from components.sweeper import Sweeper
from components.workflow_admission import WorkflowAdmission
from components.workflow_template import WorkflowTemplate
from config.program_settings import load_program_settings

settings = load_program_settings()
config, stack = settings.config, settings.stack

cluster = kubernetes.Provider(
    "cluster",
    context=config.kubernetes.context,
    kubeconfig=config.kubernetes.kubeconfig,
    enable_server_side_apply=True,
    # A changed limit must update the ConfigMap: while a replaced one is gone, Argo fails every workflow that looks.
    enable_config_map_mutable=True,
)
in_cluster = pulumi.ResourceOptions(providers=[cluster])

storage = Storage("storage", config, stack, opts=in_cluster)
semaphores = RepoSemaphores("repo-semaphores", config, opts=in_cluster)
repos = CoderunRepos("coderun-repos", config, opts=in_cluster)
credentials = GitCredentials("git-credentials", config, settings.tokens, opts=in_cluster)
access = Access("access", config, opts=in_cluster)
sweeper = Sweeper("sweeper", config, opts=pulumi.ResourceOptions(providers=[cluster], depends_on=[storage]))
NamespaceLimit("namespace-limit", config, opts=in_cluster)
parameters = ParameterAdmission("parameter-admission", config, stack, opts=in_cluster)
admission = WorkflowAdmission("workflow-admission", config, stack, opts=in_cluster)
GitMaintenance("git-maintenance", config, opts=pulumi.ResourceOptions(providers=[cluster], depends_on=[storage]))
template = WorkflowTemplate(
    "workflow-template",
    config,
    stack,
    # Last: who finds the template can submit, and then everything else has to be there.
    opts=pulumi.ResourceOptions(providers=[cluster], depends_on=[storage, semaphores, repos, credentials, access, sweeper, parameters, admission]),
)
Batch("batch", config, opts=pulumi.ResourceOptions(providers=[cluster], depends_on=[template]))
if config.events:
    EventNetwork("event-network", config.events, opts=in_cluster)
    if config.events.commit_status:
        CommitStatus("commit-status", config, config.events.commit_status, settings.secrets, opts=in_cluster)
    bus = EventBus("event-bus", config, config.events, opts=in_cluster)
    # An event source and a sensor start when their bus is there, and the bus goes when they have gone.
    on_bus = pulumi.ResourceOptions(providers=[cluster], depends_on=[bus])
    source = EventSource("event-source", config, config.events, settings.secrets, opts=on_bus)
    Sensor("sensor", config, config.events, opts=pulumi.ResourceOptions(providers=[cluster], depends_on=[bus, source, template]))

pulumi.export("namespace", config.namespace)
pulumi.export("workflowTemplate", WORKFLOW_TEMPLATE)
pulumi.export("sharedClaim", storage.resources.shared_claim.metadata.name)
pulumi.export("semaphores", semaphores.resources.config_map.metadata.name)

"""The cluster's own gate, as CEL: what the policy pack checks before a deployment, checked again for everything that reaches the API server.

Each rule begins its message with the name of its twin in the pack, whose section in docs/policies.md says more. Argo installs its
minimal CRDs, which leave ``spec`` untyped: every step into it has to ask first whether there is anything. CEL has no recursion, so
where the pack follows calls to any depth, the rules here follow them :data:`CALL_DEPTH` deep.
"""

from dataclasses import dataclass
from typing import Any, Final

from components.storage_spec import own_class_name
from components.workflow_template_spec import workflow_deadline_seconds
from config.errors import PREFIX, ConfigError
from config.settings import StackConfig
from policies.quantities import quantity
from policies.vocabulary import (
    CLEANUP_LABELS,
    HIDDEN_POD_KEYS,
    PARAMETER_PATTERN,
    PATCH_PATTERN,
    RAW_PARAMETER_PATTERN,
    SUBMITTED_SPEC_KEYS,
    TASK_KINDS,
)

CALL_DEPTH: Final = 6
"""Calls from a workflow's entrypoint that are followed to find a task without a lock; the stack's own template has two."""

_MAKING_ACTIONS: Final = "['apply', 'create', 'patch', 'replace']"


@dataclass(frozen=True)
class AdmissionRule:
    """A rule of the gate.

    Attributes:
        policy: Its twin in the policy pack.
        expression: CEL that is true when the rule is kept.
        fault: CEL that makes the text of what is wrong.
        remedy: What to do.
    """

    policy: str
    expression: str
    fault: str
    remedy: str

    def validation(self) -> dict[str, str]:
        """Make the validation of a ValidatingAdmissionPolicy."""
        return {
            "expression": self.expression,
            "messageExpression": f"'{self.policy}: ' + {self.fault} + '. Remedy: {self.remedy}.'",
            # Shown where the text can't be made.
            "message": f"{self.policy}: a rule is broken. Remedy: {self.remedy}.",
            "reason": "Invalid",
        }


def workflow_policy_spec(config: StackConfig) -> dict[str, Any]:
    """Build the rules on Workflows when they are created, and on CronWorkflows: they refer to a template and bring nothing of their own.

    Updates of Workflows always pass: they are the controller's, or a person's who stops, suspends or resumes a run.
    """
    labels = (
        "request.resource.resource == 'cronworkflows'"
        f" ? ({_there('object.spec', 'workflowMetadata', 'labels')} ? object.spec.workflowMetadata.labels : {{}})"
        f" : ({_there('object.metadata', 'labels')} ? object.metadata.labels : {{}})"
    )
    variables = {
        "spec": submitted_spec(),
        "labels": labels,
        "ref": f"{_there('variables.spec', 'workflowTemplateRef')} ? variables.spec.workflowTemplateRef : {{}}",
        "name": f"{_there('variables.ref', 'name')} ? string(variables.ref.name) : ''",
        "clusterWide": f"{_there('variables.ref', 'clusterScope')} && variables.ref.clusterScope == true",
        "own": f"variables.spec.filter(k, !(k in {_texts(SUBMITTED_SPEC_KEYS)}))",
        "arguments": f"{_there('variables.spec', 'arguments')} ? variables.spec.arguments.filter(k, k != 'parameters') : []",
        "contradicted": " + ".join(
            f"('{key}' in variables.labels && variables.labels['{key}'] != '{value}' ? ['{key}'] : [])" for key, value in CLEANUP_LABELS.items()
        ),
    }
    allowed = ", ".join(config.admission.templates)
    rules = (
        AdmissionRule(
            "submitted-workflow",
            f"variables.name in {_texts(config.admission.templates)} && !variables.clusterWide",
            "'spec.workflowTemplateRef ' + (variables.name == '' ? 'is missing' : 'names ' + (variables.clusterWide ? 'the cluster-wide ' : '')"
            " + variables.name)",
            f"refer to one of {allowed}, or list the template under {PREFIX}admission.templates in the stack file",
        ),
        AdmissionRule(
            "submitted-workflow",
            "size(variables.own) == 0",
            "'spec brings ' + string(variables.own[0]) + ' of its own, past the rules of its template'",
            "leave it to the template, and give parameters only",
        ),
        AdmissionRule(
            "submitted-workflow",
            f"!{_there('variables.spec', 'entrypoint')} || variables.spec.entrypoint in {_texts(config.admission.entrypoints)}",
            "'spec.entrypoint may begin behind the lock'",
            "leave it out" + "".join(f", or name {name}" for name in config.admission.entrypoints),
        ),
        AdmissionRule(
            "submitted-workflow",
            "size(variables.arguments) == 0",
            "'spec.arguments brings ' + string(variables.arguments[0])",
            "give parameters only",
        ),
        AdmissionRule(
            "submitted-workflow",
            "size(variables.contradicted) == 0",
            "'the label ' + variables.contradicted[0] + ' has another value than the sweeper looks for'",
            "leave it to the template",
        ),
    )
    resource_rules = [
        {"apiGroups": ["argoproj.io"], "apiVersions": ["*"], "resources": ["workflows"], "operations": ["CREATE"]},
        {"apiGroups": ["argoproj.io"], "apiVersions": ["*"], "resources": ["cronworkflows"], "operations": ["CREATE", "UPDATE"]},
    ]
    return _policy_spec(resource_rules, submission_is_new_or_changed(), variables, rules)


def submitted_spec() -> str:
    """Make the CEL for the spec of a Workflow that is submitted, or of those that a CronWorkflow makes."""
    of_cron = f"({_there('object.spec', 'workflowSpec')} ? object.spec.workflowSpec : {{}})"
    return f"request.resource.resource == 'cronworkflows' ? {of_cron} : ({_there('object', 'spec')} ? object.spec : {{}})"


def submission_is_new_or_changed() -> dict[str, str]:
    """Make the condition under which a Workflow or CronWorkflow is looked at.

    The controller writes a CronWorkflow's status, and people suspend it: neither touches what its Workflows are made of.
    """
    now, before = _there("object.spec", "workflowSpec"), _there("oldObject.spec", "workflowSpec")
    same = f"{now} == {before} && (!{now} || object.spec.workflowSpec == oldObject.spec.workflowSpec)"
    return {"name": "workflow-is-new-or-changed", "expression": f"request.operation == 'CREATE' || !({same})"}


def template_policy_spec(config: StackConfig) -> dict[str, Any]:
    """Build the rules on WorkflowTemplates: limits, locks, labels, ends, images and security of what runs are made of."""
    admission = config.admission
    unchanged = "has(object.spec) == has(oldObject.spec) && (!has(object.spec) || object.spec == oldObject.spec)"
    match = {"name": "spec-is-new-or-changed", "expression": f"request.operation == 'CREATE' || !({unchanged})"}
    exempt = {
        "name": "not-exempt",
        "expression": f"!(object.metadata.name in {_texts([one.name for one in admission.exempt_templates])})",
    }
    variables = _template_variables(config)
    rules = (
        *_limits(config),
        *_locks(),
        *_labels(),
        *_ends(config),
        *_hidden(),
        *_pods(config),
    )
    resource_rules = [
        {"apiGroups": ["argoproj.io"], "apiVersions": ["*"], "resources": ["workflowtemplates"], "operations": ["CREATE", "UPDATE"]},
    ]
    return _policy_spec(resource_rules, match, variables, rules, [exempt] if admission.exempt_templates else [])


def claim_policy_spec(config: StackConfig) -> dict[str, Any]:
    """Build the rules on claims that runs make for themselves, which are found by their labels."""
    admission = config.admission
    size = "object.spec.resources.requests.storage"
    grown = f"!has(oldObject.spec.resources.requests) || !('storage' in oldObject.spec.resources.requests) || oldO{size[1:]} != {size}"
    match = {"name": "claim-is-new-or-resized", "expression": f"request.operation == 'CREATE' || {grown}"}
    classes = f" && object.spec.storageClassName in {_texts(admission.claim_classes)}" if admission.claim_classes else ""
    named = ", ".join(admission.claim_classes) or "a class"
    rules = (
        AdmissionRule(
            "claim-spec",
            f"has(object.spec.storageClassName) && object.spec.storageClassName != ''{classes}",
            "'spec.storageClassName ' + (has(object.spec.storageClassName) ? 'is ' + object.spec.storageClassName : 'is missing')",
            f"name {named} under {PREFIX}storage.own.storageClass in the stack file",
        ),
        AdmissionRule(
            "claim-spec",
            f"quantity(string({size})).compareTo(quantity('{admission.max_claim_size}')) <= 0",
            f"'spec.resources.requests.storage is ' + string({size}) + ', more than the maximum {admission.max_claim_size}'",
            f"give less, or raise {PREFIX}admission.maxClaimSize in the stack file",
        ),
        AdmissionRule(
            "claim-spec",
            "has(object.spec.accessModes) && object.spec.accessModes.all(m, m in ['ReadWriteOnce', 'ReadWriteOncePod'])",
            "'spec.accessModes is not that of a claim which one run uses'",
            "give ReadWriteOnce",
        ),
    )
    resource_rules = [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["persistentvolumeclaims"], "operations": ["CREATE", "UPDATE"]}]
    spec = _policy_spec(resource_rules, match, {}, rules)
    spec["matchConstraints"]["objectSelector"] = {"matchLabels": dict(CLEANUP_LABELS)}
    return spec


def binding_spec(policy_name: str, config: StackConfig) -> dict[str, Any]:
    """Build the spec of a binding: the policy is in force in the stack's namespace, as strictly as the settings say."""
    actions = {"deny": ["Deny"], "warn": ["Warn", "Audit"], "audit": ["Audit"]}
    return {
        "policyName": policy_name,
        "validationActions": actions[config.admission.mode],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": config.namespace}}},
    }


def refuse_own_violations(config: StackConfig, stack: str) -> None:
    """Refuse settings under which the gate would turn away what the stack itself makes.

    Args:
        config: The stack's settings.
        stack: The stack's name, part of the name of a class that it creates.

    Raises:
        ConfigError: It names the key and the remedy.
    """
    admission, problems = config.admission, []
    if config.parallelism > admission.max_parallelism:
        problems.append(f"{PREFIX}parallelism: is above admission.maxParallelism ({admission.max_parallelism}). Remedy: lower it, or raise that")
    deadline = workflow_deadline_seconds(config)
    if deadline > admission.max_deadline_seconds:
        problems.append(
            f"{PREFIX}deadlines: together with slack they are {deadline} s, above admission.maxDeadlineSeconds ({admission.max_deadline_seconds}). "
            "Remedy: lower them, or raise that"
        )
    if admission.images and not config.images.workspace.startswith(admission.images):
        problems.append(f"{PREFIX}images.workspace: begins with none of admission.images. Remedy: add its beginning there")
    own, largest = quantity(config.storage.own.size), quantity(admission.max_claim_size)
    if own is not None and largest is not None and own > largest:
        problems.append(f"{PREFIX}storage.own.size: is above admission.maxClaimSize ({admission.max_claim_size}). Remedy: lower it, or raise that")
    own_class = own_class_name(config, stack)
    if admission.claim_classes and own_class not in admission.claim_classes:
        shown = own_class or "the cluster's default"
        problems.append(f"{PREFIX}storage.own.storageClass: is {shown}, which isn't one of admission.claimClasses. Remedy: add it there")
    if problems:
        raise ConfigError("admission", problems)


def _policy_spec(
    resource_rules: list[dict[str, Any]],
    match: dict[str, str],
    variables: dict[str, str],
    rules: tuple[AdmissionRule, ...],
    conditions: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": resource_rules},
        "matchConditions": [match, *(conditions or [])],
        "variables": [{"name": name, "expression": expression} for name, expression in variables.items()],
        "validations": [rule.validation() for rule in rules],
    }


_NOTHING: Final = "''"
_POD_KEYS: Final = ("container", "containerSet", "data", "resource", "script")
_WORK_KEYS: Final = (*_POD_KEYS, "http", "plugin", "suspend")


def _there(root: str, *path: str) -> str:
    """Ask for a field, step by step; the root has to be there if it is a path itself, which is asked for first."""
    steps = []
    if "." in root:
        parent, _, field = root.rpartition(".")
        if parent in {"object", "oldObject"}:
            steps.append(f"has({parent}.{field}) && {root} != null")
    for field in path:
        root = f"{root}.{field}"
        steps.append(f"has({root}) && {root} != null")
    return f"({' && '.join(steps)})"


def _items(root: str, *path: str) -> str:
    return f"({_there(root, *path)} ? {'.'.join((root, *path))} : [])"


def _or(root: str, *path: str) -> str:
    """Take a field, or what stands in the last place if it isn't there."""
    *fields, otherwise = path
    return f"({_there(root, *fields)} ? {'.'.join((root, *fields))} : {otherwise})"


def _texts(values: Any) -> str:  # noqa: ANN401 - any texts
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


def _template_variables(config: StackConfig) -> dict[str, str]:
    """Variables of the rules on templates. What stands in several places is brought together once, as lists of lists: CEL flattens none."""
    containers = (
        f"({_there('t', 'script')} ? [t.script] : []) + ({_there('t', 'container')} ? [t.container] : [])"
        f" + {_items('t', 'containerSet', 'containers')} + {_items('t', 'initContainers')} + {_items('t', 'sidecars')}"
    )
    # A template's security context takes the place of the workflow's.
    security = f"{_there('t', 'securityContext')} ? t.securityContext : {_or('variables.spec', 'securityContext', '{}')}"
    made_by_resource = f"{_there('p.body', 'resource', 'action')} && p.body.resource.action in {_MAKING_ACTIONS}"
    manifest = f"string({_or('p.body', 'resource', 'manifest', _NOTHING)})"
    is_manifest = f"{_there('e', 'value')} && type(e.value) == string && e.value.startsWith('{{') && e.value.contains('\\x22kind\\x22')"
    called = (
        f"({_there('k', 'template')} ? [k.template] : []) + ({_there('k', 'onExit')} ? [k.onExit] : [])"
        f" + ({_there('k', 'hooks')} ? k.hooks.filter(h, {_there('k.hooks[h]', 'template')}).map(h, k.hooks[h].template) : [])"
    )
    variables = {
        "spec": f"{_there('object', 'spec')} ? object.spec : {{}}",
        "templates": _items("variables.spec", "templates"),
        "account": f"string({_or('variables.spec', 'serviceAccountName', _NOTHING)})",
        "handler": f"{_there('variables.spec', 'onExit')} && variables.spec.onExit != '' ? string(variables.spec.onExit) : "
        f"string({_or('variables.spec', 'hooks', 'exit', 'template', _NOTHING)})",
        # Templates that make pods: with all their containers, and the security context that applies.
        "pods": f"variables.templates.filter(t, {' || '.join(_there('t', key) for key in _POD_KEYS)}).map(t, {{"
        f"'name': dyn({_or('t', 'name', _NOTHING)}), 'body': dyn(t), 'containers': dyn({containers}), 'security': dyn({security})}})",
        # Texts that may be manifests of objects that a template makes.
        "makers": f"variables.pods.map(p, {{'name': p.name, 'texts': dyn([{made_by_resource} ? [{manifest}] : []]"
        f" + p.containers.map(c, {_items('c', 'env')}.filter(e, {is_manifest}).map(e, e.value)))}})",
        "locked": f"variables.templates.filter(t, {_there('t', 'name')} && {_is_locked('t')}).map(t, t.name)",
        "callers": f"variables.templates.filter(t, {_there('t', 'name')}).map(t, {{'name': dyn(t.name),"
        f" 'tasks': dyn({_items('t', 'dag', 'tasks')}.map(k, {called})), 'steps': dyn({_items('t', 'steps')}.map(g, g.map(k, {called})))}})",
        "reached0": f"{_is_locked('variables.spec')} ? [] : variables.callers.filter(c,"
        f" c.name in [{_or('variables.spec', 'entrypoint', _NOTHING)}] + {_texts(config.admission.entrypoints)} && !(c.name in variables.locked))",
    }
    calls_it = "o.tasks.exists(n, c.name in n) || o.steps.exists(g, g.exists(n, c.name in n))"
    for depth in range(1, CALL_DEPTH + 1):
        before = f"variables.reached{depth - 1}"
        variables[f"reached{depth}"] = (
            f"variables.callers.filter(c, !(c.name in variables.locked) && {before}.exists(o, o.name == c.name || {calls_it}))"
        )
    return variables


def _kind_of_manifest(kinds: tuple[str, ...]) -> str:
    names = "|".join(kinds)
    # As the first level of YAML, or before anything nested in JSON.
    return rf"(?m)^kind:\\s*['\\x22]?({names})['\\x22]?\\s*$|^\\{{[^{{}}\\[\\]]*\\x22kind\\x22\\s*:\\s*\\x22({names})\\x22"


def _makes(kinds: tuple[str, ...], *, others: bool = False) -> str:
    """CEL for whether the maker ``m`` makes an object of some kinds, or of others than these."""
    return f'm.texts.exists(l, l.exists(x, {"!" if others else ""}x.matches("{_kind_of_manifest(kinds)}")))'


def _is_locked(holder: str) -> str:
    lists = " || ".join(f"size({_items(holder, 'synchronization', key)}) > 0" for key in ("semaphores", "mutexes"))
    return f"({lists} || {_there(holder, 'synchronization', 'semaphore')} || {_there(holder, 'synchronization', 'mutex')})"


def _limits(config: StackConfig) -> tuple[AdmissionRule, ...]:
    maximum = config.admission.max_parallelism
    given = _there("variables.spec", "parallelism")
    return (
        AdmissionRule(
            "parallelism-set",
            f"{given} && type(variables.spec.parallelism) == int && variables.spec.parallelism >= 1 && variables.spec.parallelism <= {maximum}",
            f"'spec.parallelism ' + ({given} ? 'is no whole number from 1 to {maximum}' : 'is missing')",
            f"set it to a whole number from 1 to {maximum}",
        ),
    )


def _locks() -> tuple[AdmissionRule, ...]:
    def everywhere(condition: str) -> str:
        return f"({condition.replace('@', 'variables.spec')}) && variables.templates.all(t, {condition.replace('@', 't')})"

    plural = f"!{_there('@', 'synchronization', 'semaphore')} && !{_there('@', 'synchronization', 'mutex')}"
    count = (
        f"size({_items('@', 'synchronization', 'semaphores')}) + size({_items('@', 'synchronization', 'mutexes')})"
        f" + ({_there('@', 'synchronization', 'semaphore')} ? 1 : 0) + ({_there('@', 'synchronization', 'mutex')} ? 1 : 0) <= 1"
    )
    reference = f"({_there('s', 'configMapKeyRef', 'name')} && {_there('s', 'configMapKeyRef', 'key')}"
    key = f"{reference} && s.configMapKeyRef.name != '' && s.configMapKeyRef.key != '') || {_there('s', 'database', 'key')}"
    keys = f"{_items('@', 'synchronization', 'semaphores')}.all(s, {key})"
    own = _items("t", "synchronization", "semaphores")
    last = f"variables.reached{CALL_DEPTH}"
    return (
        AdmissionRule(
            "task-semaphore",
            f"!variables.makers.exists(m, {_makes(TASK_KINDS)} && {last}.exists(o, o.name == m.name))",
            f"'a template makes a {' or '.join(TASK_KINDS)} without a semaphore: nothing limits how many there are at once'",
            "put synchronization.semaphores with one configMapKeyRef on the template that calls it",
        ),
        AdmissionRule(
            "task-semaphore",
            everywhere(plural),
            "'synchronization has the singular form that Argo 4 no longer reads'",
            "write semaphores or mutexes with one entry",
        ),
        AdmissionRule(
            "task-semaphore", everywhere(count), "'synchronization names more than one lock: workflows that each hold one wait for ever'", "leave one"
        ),
        AdmissionRule("task-semaphore", everywhere(keys), "'synchronization.semaphores names no key'", "give configMapKeyRef with name and key"),
        AdmissionRule(
            "task-semaphore",
            f"!{_items('variables.spec', 'synchronization', 'semaphores')}.exists(s, variables.templates.exists(t, s in {own}))",
            "'a template asks for a semaphore that the workflow already holds: it waits for itself'",
            "leave one of them",
        ),
    )


def _labels() -> tuple[AdmissionRule, ...]:
    def labelled(root: str, *path: str) -> str:
        labels = ".".join((root, *path))
        wanted = " && ".join(f"'{key}' in {labels} && {labels}['{key}'] == '{value}'" for key, value in CLEANUP_LABELS.items())
        return f"{_there(root, *path)} && {wanted}"

    remedy = "label it " + ", ".join(f"{key}={value}" for key, value in CLEANUP_LABELS.items())
    return tuple(
        AdmissionRule("cleanup-labels", labelled(root, *path), f"'{place} lacks the labels by which leftovers of a broken run are found'", remedy)
        for place, root, path in (
            ("metadata", "object.metadata", ("labels",)),
            ("spec.workflowMetadata", "variables.spec", ("workflowMetadata", "labels")),
            ("spec.podMetadata", "variables.spec", ("podMetadata", "labels")),
        )
    )


def _ends(config: StackConfig) -> tuple[AdmissionRule, ...]:
    maximum = config.admission.max_deadline_seconds
    deadline = "variables.spec.activeDeadlineSeconds"
    works = " || ".join(_there("t", key) for key in _WORK_KEYS)
    limited = " || ".join(
        f"({_there('t', *path)} && {'.'.join(('t', *path))} != '' && {'.'.join(('t', *path))} != 0)"
        for path in (("timeout",), ("activeDeadlineSeconds",), ("suspend", "duration"))
    )
    claim = f"exists(v, {_there('v', 'persistentVolumeClaim')})"
    elsewhere = f"k, {_there('k', 'templateRef')}"
    leaves = (
        f"{_items('variables.spec', 'volumes')}.{claim} || size({_items('variables.spec', 'volumeClaimTemplates')}) > 0"
        f" || variables.templates.exists(t, {_items('t', 'volumes')}.{claim} || {_items('t', 'dag', 'tasks')}.exists({elsewhere})"
        f" || {_items('t', 'steps')}.exists(g, g.exists({elsewhere}))) || variables.makers.exists(m, {_makes(('Workflow',), others=True)})"
    )
    ttl = _there("variables.spec", "ttlStrategy", "secondsAfterCompletion")
    both = f"({_there('variables.spec', 'ttlStrategy', 'secondsAfterSuccess')} && {_there('variables.spec', 'ttlStrategy', 'secondsAfterFailure')})"
    return (
        AdmissionRule(
            "exit-handler",
            f"variables.handler != '' || !(size(variables.spec) == 0 || {leaves})",
            "'spec.onExit is missing: what a run leaves is never removed'",
            "name a template that cleans up",
        ),
        AdmissionRule(
            "exit-handler",
            f"variables.handler == '' || variables.templates.exists(t, {_there('t', 'name')} && t.name == variables.handler)",
            "'spec.onExit names ' + variables.handler + ', and there is no such template'",
            "name one of spec.templates",
        ),
        AdmissionRule(
            "deadlines",
            f"{_there('variables.spec', 'activeDeadlineSeconds')} ? type({deadline}) == int && {deadline} >= 1 && {deadline} <= {maximum}"
            f" : size(variables.templates) > 0 && variables.templates.all(t, !{_there('t', 'synchronization')} && (!({works}) || {limited}))"
            f" && !{_there('variables.spec', 'synchronization')}",
            f"'spec.activeDeadlineSeconds is no number of seconds from 1 to {maximum}'",
            "set it to a whole number",
        ),
        AdmissionRule(
            "deadlines",
            f"variables.templates.all(t, !({works}) || {limited})",
            "'a template has no deadline of its own: one step that hangs holds its locks until the whole workflow ends'",
            "set timeout or activeDeadlineSeconds on every template that runs a pod or waits",
        ),
        AdmissionRule(
            "retention",
            f"{ttl} || {both}",
            "'spec.ttlStrategy does not end the life of every workflow'",
            "set secondsAfterSuccess and secondsAfterFailure",
        ),
        AdmissionRule(
            "retention",
            f"{_there('variables.spec', 'podGC', 'strategy')} && variables.spec.podGC.strategy != ''",
            "'spec.podGC.strategy is missing: pods of ended steps stay on their nodes'",
            "set it, for example to OnPodCompletion",
        ),
    )


def _hidden() -> tuple[AdmissionRule, ...]:
    pattern = PATCH_PATTERN.replace("\\", "\\\\")

    def is_plain(holder: str) -> str:
        patch = f"string({holder}.podSpecPatch)"
        return f"(!{_there(holder, 'podSpecPatch')} || (!{patch}.contains('{{{{') && !{patch}.matches(\"{pattern}\")))"

    inline = f"k, {_there('k', 'inline')}"
    return (
        AdmissionRule(
            "no-hidden-pods",
            f"!{_there('variables.spec', 'templateDefaults')} || !variables.spec.templateDefaults.exists(k, k in {_texts(HIDDEN_POD_KEYS)})",
            "'spec.templateDefaults brings something into every pod unseen'",
            "write it into the templates that need it",
        ),
        AdmissionRule(
            "no-hidden-pods",
            f"{is_plain('variables.spec')} && variables.templates.all(t, {is_plain('t')})",
            "'a podSpecPatch is made of a parameter, or sets what its template does not show'",
            "set it in the template",
        ),
        AdmissionRule(
            "no-hidden-pods",
            f"!variables.templates.exists(t, {_items('t', 'dag', 'tasks')}.exists({inline}) || {_items('t', 'steps')}.exists(g, g.exists({inline})))",
            "'a task has an inline template, which no other rule looks into'",
            "give it a name under spec.templates",
        ),
    )


def _pods(config: StackConfig) -> tuple[AdmissionRule, ...]:
    parameter, raw = (pattern.replace("\\", "\\\\") for pattern in (PARAMETER_PATTERN, RAW_PARAMETER_PATTERN))
    account = f"string({_there('p.body', 'serviceAccountName')} && p.body.serviceAccountName != '' ? p.body.serviceAccountName : variables.account)"
    token = "automountServiceAccountToken"  # noqa: S105 - a field
    no_token = f"({_or('p.body', token, _or('variables.spec', token, 'true'))} == false)"
    pasted = f'.exists(x, string(x).matches("{parameter}"))'
    script = f"!({_there('c', 'source')} ? [c.source] : []){pasted} && !{_items('c', 'command')}{pasted} && !{_items('c', 'args')}{pasted}"
    image = "string(c.image)"
    versioned = f"({image}.contains('@') || ({image}.matches(':[^/]+$') && !{image}.endsWith(':latest')))"
    from_there = "".join(f" || {image}.startsWith('{beginning}')" for beginning in config.admission.images)
    allowed = f"{_there('c', 'image')} && {image} != '' && !{image}.contains('{{{{') && {versioned}" + (
        f" && (false{from_there})" if config.admission.images else ""
    )
    return (
        AdmissionRule(
            "service-account",
            f"variables.pods.all(p, {no_token} || !({account} in ['', 'default']))",
            "'a template runs as the account default, whose rights every pod of the namespace shares'",
            "name an account of its own in spec.serviceAccountName",
        ),
        AdmissionRule(
            "script-parameters",
            f"variables.pods.all(p, p.containers.all(c, {script}))",
            "'a script, command or argument has a parameter pasted in'",
            "hand it over by env, with sprig.b64enc where a person gave it",
        ),
        AdmissionRule(
            "script-parameters",
            f'variables.templates.all(t, !{_there("t", "resource", "manifest")} || !string(t.resource.manifest).matches("{raw}"))',
            "'a manifest has a parameter of the submitter pasted in'",
            "use an output of a step that checked it",
        ),
        AdmissionRule(
            "images",
            f"variables.pods.all(p, p.containers.all(c, {allowed}))",
            "'an image is missing, is made of a parameter, has no version, or comes from nowhere that is allowed'",
            "name an image with a version other than latest"
            + (f", which begins with {' or '.join(config.admission.images)}" if config.admission.images else ""),
        ),
        *_pod_security(),
    )


def _pod_security() -> tuple[AdmissionRule, ...]:
    def both(field: tuple[str, ...], wanted: str) -> str:
        """CEL for whether the pod, or every container of it, has a setting."""
        at_pod = f"({_there('p.security', *field)} && p.security.{'.'.join(field)} {wanted})"
        of_container = f"{_there('c', 'securityContext', *field)} && c.securityContext.{'.'.join(field)} {wanted}"
        return f"variables.pods.all(p, {at_pod} || (size(p.containers) > 0 && p.containers.all(c, {of_container})))"

    def never(holder: str, field: str, value: str) -> str:
        return f"!({_there(holder, 'securityContext', field)} && {holder}.securityContext.{field} == {value})"

    confined = " && ".join(
        (
            f"{_there('c', 'securityContext', 'allowPrivilegeEscalation')} && c.securityContext.allowPrivilegeEscalation == false",
            f"'ALL' in {_items('c', 'securityContext', 'capabilities', 'drop')}",
            f"size({_items('c', 'securityContext', 'capabilities', 'add')}) == 0",
            f"{_there('c', 'securityContext', 'readOnlyRootFilesystem')} && c.securityContext.readOnlyRootFilesystem == true",
            never("c", "privileged", "true"),
            never("c", "runAsUser", "0"),
            never("c", "runAsNonRoot", "false"),
        ),
    )
    host = f"exists(v, {_there('v', 'hostPath')})"
    shares = f"!({_there('variables.spec', 'hostNetwork')} && variables.spec.hostNetwork == true)"
    return (
        AdmissionRule(
            "pod-security",
            f"{both(('runAsNonRoot',), '== true')} && {never('variables.spec', 'runAsUser', '0')}"
            f" && variables.templates.all(t, {never('t', 'runAsUser', '0')})",
            "'a pod may run as root'",
            "set securityContext.runAsNonRoot to true, and no runAsUser of 0",
        ),
        AdmissionRule(
            "pod-security",
            both(("seccompProfile", "type"), "in ['Localhost', 'RuntimeDefault']"),
            "'a pod may use every system call'",
            "set securityContext.seccompProfile.type to RuntimeDefault",
        ),
        AdmissionRule(
            "pod-security",
            f"variables.pods.all(p, p.containers.all(c, {confined}))",
            "'a container is not confined'",
            "set allowPrivilegeEscalation: false, capabilities.drop: [ALL] and readOnlyRootFilesystem: true in its securityContext, and no more",
        ),
        AdmissionRule(
            "pod-security",
            f"{shares} && !{_items('variables.spec', 'volumes')}.{host} && !variables.templates.exists(t, {_items('t', 'volumes')}.{host})",
            "'a pod shares its node'",
            "leave out hostNetwork and hostPath",
        ),
    )

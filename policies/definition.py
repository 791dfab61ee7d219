"""What every policy of the pack has: settings with a schema, exemptions with a reason, and metadata for people."""

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyComplianceFramework,
    PolicyConfigSchema,
    PolicyProviderResource,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from policies.inputs import at, text

DOCUMENT: Final = "docs/policies.md"
"""Page of the policies, relative to the repository; each has a section of its name."""

OPERATIONS: Final = PolicyComplianceFramework(name="coderun-workspaces operations", version="1", reference=DOCUMENT)
POD_SECURITY_STANDARDS: Final = PolicyComplianceFramework(
    name="Kubernetes Pod Security Standards",
    version="1.34",
    reference="https://kubernetes.io/docs/concepts/security/pod-security-standards/",
    specification="restricted",
)
CIS_KUBERNETES: Final = PolicyComplianceFramework(
    name="CIS Kubernetes Benchmark", version="1.10", reference="https://www.cisecurity.org/benchmark/kubernetes", specification="5.1"
)

_KUBERNETES_TYPE: Final = re.compile(r"kubernetes:(?P<group>[^/:]+)/[^/:]+:(?P<kind>[A-Za-z]+)")
_STACK_IN_URN: Final = re.compile(r"urn:pulumi:(?P<stack>[^:]+)::")


class Exemption(BaseModel):
    """An object that a policy leaves alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    object: str = Field(
        pattern=r"^[A-Za-z]+(/[a-z0-9.-]+){1,2}$", description="KIND/NAMESPACE/NAME, or KIND/NAME for what belongs to the whole cluster."
    )
    reason: str = Field(min_length=10, description="Why, for whoever reads it in a year.")
    stack: str | None = Field(default=None, description="Only in the stack of this name; absent: in every stack.")


class PolicySettings(BaseModel):
    """What can be set for every policy. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    exemptions: tuple[Exemption, ...] = Field(default=(), description="Objects that the policy leaves alone, each with the reason.")


S = TypeVar("S", bound=PolicySettings)


@dataclass(frozen=True)
class Resource:
    """A resource as a policy sees it.

    Attributes:
        group_kind: API group and kind, ``core/ConfigMap`` for example, whatever the version; empty for what isn't Kubernetes'.
        props: Its properties.
        urn: The engine's name of it, which holds the stack's name.
        protect: Whether the engine refuses to delete it.
        provider: The provider that makes it, or None when it isn't known.
    """

    group_kind: str
    props: Mapping[str, Any]
    urn: str
    protect: bool
    provider: PolicyProviderResource | None

    @classmethod
    def of(cls, given: ResourceValidationArgs | PolicyResource) -> "Resource":
        """Take what a policy needs from what the engine hands over."""
        match = _KUBERNETES_TYPE.fullmatch(given.resource_type)
        group_kind = f"{match['group']}/{match['kind']}" if match else ""
        return cls(group_kind, given.props, given.urn, given.opts.protect, given.provider)

    @property
    def kind(self) -> str:
        """Kind without the group."""
        return self.group_kind.rpartition("/")[2]

    @property
    def label(self) -> str:
        """KIND/NAMESPACE/NAME, or KIND/NAME."""
        names = (text(at(self.props, "metadata", part)) for part in ("namespace", "name"))
        return "/".join((self.kind, *(name for name in names if name)))

    @property
    def stack(self) -> str:
        """Name of the stack."""
        match = _STACK_IN_URN.match(self.urn)
        return match["stack"] if match else ""


ResourceFaults = Callable[[Resource, S], Iterable[str]]
"""Finds what is wrong with one resource: a line each, with the remedy."""

StackFaults = Callable[[Sequence[Resource], S], Iterable[tuple[Resource, str]]]
"""Finds what is wrong in a whole stack: which resource, and a line with the remedy."""

Remediation = Callable[[Resource, S], bool]
"""Corrects a resource's properties in place and says whether it changed anything."""


@dataclass(frozen=True)
class Rule(Generic[S]):
    """A policy with what the engine has no place for.

    Attributes:
        policy: The policy, for the engine.
        settings: Model of its settings.
        needs_engine: Whether it looks at what only the engine knows, such as protection or the provider.
        looks_at: What it looks at, for people.
    """

    policy: Policy
    settings: type[S]
    needs_engine: bool
    looks_at: tuple[str, ...]

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.policy.name


@dataclass(frozen=True)
class About:
    """A policy's metadata.

    Attributes:
        name: Its name, also of its section in the docs.
        description: What holds when it is satisfied, in one sentence.
        remediation: What to do about a violation.
        severity: How bad a violation is.
        framework: Where the requirement comes from.
        tags: Words to find it by.
        level: What a violation does unless settings say otherwise.
        needs_engine: Whether it looks at what only the engine knows.
    """

    name: str
    description: str
    remediation: str
    severity: Severity
    framework: PolicyComplianceFramework
    tags: tuple[str, ...]
    level: EnforcementLevel = EnforcementLevel.MANDATORY
    needs_engine: bool = False

    def arguments(self, settings: type[PolicySettings]) -> dict[str, Any]:
        """Make the arguments that both kinds of policies take."""
        return {
            "name": self.name,
            "description": self.description,
            "enforcement_level": self.level,
            "config_schema": config_schema(settings),
            "display_name": self.name.replace("-", " ").capitalize(),
            "severity": self.severity,
            "framework": self.framework,
            "tags": list(self.tags),
            "remediation_steps": self.remediation,
            "url": f"{DOCUMENT}#{self.name}",
        }


def resource_rule(
    about: About,
    settings: type[S],
    kinds: Sequence[str],
    faults: ResourceFaults[S],
    remediate: Remediation[S] | None = None,
) -> Rule[S]:
    """Make a policy on single resources.

    Args:
        about: Its metadata.
        settings: Model of its settings.
        kinds: What it looks at, for example ``batch/CronJob``; ``*`` is everything of Kubernetes.
        faults: Finds what is wrong.
        remediate: Corrects it, where that can be done without knowing more.
    """

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource.of(args)
        if not _is_looked_at(resource, kinds):
            return
        given = _read_settings(settings, args.get_config(), lambda fault: report(fault, None))
        if given is None:
            return
        exemption = _exemption(given, resource)
        if exemption:
            args.not_applicable(f"{resource.label} is exempt: {exemption.reason}")
        # Once each: what stands at a workflow's spec is found again with every template that it is for.
        for fault in dict.fromkeys(faults(resource, given)):
            report(fault, None)

    def remedy(args: ResourceValidationArgs) -> Any:  # noqa: ANN401 - the SDK's type is one of coroutines only
        resource = Resource.of(args)
        given = _read_settings(settings, args.get_config(), lambda _: None)
        if remediate is None or given is None or not _is_looked_at(resource, kinds) or _exemption(given, resource):
            return None
        return args.props if remediate(resource, given) else None

    policy = ResourceValidationPolicy(**about.arguments(settings), validate=validate, remediate=remedy if remediate else None)
    return Rule(policy, settings, about.needs_engine, tuple(kinds))


def stack_rule(about: About, settings: type[S], kinds: Sequence[str], faults: StackFaults[S]) -> Rule[S]:
    """Make a policy on a whole stack.

    Args:
        about: Its metadata.
        settings: Model of its settings.
        kinds: What it looks at; it is handed nothing else.
        faults: Finds what is wrong.
    """

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        given = _read_settings(settings, args.get_config(), lambda fault: report(fault, None))
        if given is None:
            return
        resources = [resource for one in args.resources if _is_looked_at(resource := Resource.of(one), kinds)]
        for resource, fault in faults(resources, given):
            if not _exemption(given, resource):
                report(fault, resource.urn)

    return Rule(StackValidationPolicy(**about.arguments(settings), validate=validate), settings, about.needs_engine, tuple(kinds))


def config_schema(settings: type[PolicySettings]) -> PolicyConfigSchema:
    """Describe a policy's settings for the engine, which resolves no references and fills in the defaults."""
    schema = settings.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    return PolicyConfigSchema(properties=_inlined(copy.deepcopy(schema["properties"]), definitions), required=schema.get("required"))


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(copy.deepcopy(definitions[value["$ref"].rpartition("/")[2]]), definitions)
        return {key: _inlined(inner, definitions) for key, inner in value.items()}
    return [_inlined(inner, definitions) for inner in value] if isinstance(value, list) else value


def _is_looked_at(resource: Resource, kinds: Sequence[str]) -> bool:
    return bool(resource.group_kind) and ("*" in kinds or resource.group_kind in kinds)


def _read_settings(model: type[S], config: Mapping[str, Any], report: Callable[[str], None]) -> S | None:
    try:
        return model.model_validate(config)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            place = ".".join(str(part) for part in detail["loc"])
            report(f"the policy's setting {place} is wrong: {detail['msg']}. Remedy: see the policy's section in {DOCUMENT}")
        return None


def _exemption(settings: PolicySettings, resource: Resource) -> Exemption | None:
    for exemption in settings.exemptions:
        if exemption.stack in (None, resource.stack) and exemption.object == resource.label:
            return exemption
    return None

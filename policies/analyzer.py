"""Runs the pack without the engine, and asks it what the engine would: over the same protocol, in the same order.

The pack runs as the engine starts it, in a process of its own. What a rule gets is therefore what it gets in a preview: numbers
as floating point, unknown values as the text that stands for them, secrets marked, settings completed from the schemas. Beside
``make policy`` the tests use it, and one of them compares it with the engine itself.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from policies.settings_file import EVERY_POLICY, LEVEL, PolicyConfig

_PACK: Final = Path(__file__).resolve().parent
_MESSAGE_BYTES: Final = 400 * 1024 * 1024  # the pack's own limit
_OPTIONS: Final = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)]
_CALL_SECONDS: Final = 120.0  # far above any stack here; only a hanging pack gets there
_COULD_NOT_RUN: Final = re.compile(r"can't run (policy|remediation) ")
_LEVELS: Final = {
    "advisory": analyzer_pb2.ADVISORY,
    "mandatory": analyzer_pb2.MANDATORY,
    "disabled": analyzer_pb2.DISABLED,
    "remediate": analyzer_pb2.REMEDIATE,
}


@dataclass(frozen=True)
class Provider:
    """What makes a resource."""

    type: str
    name: str
    urn: str
    props: Mapping[str, Any]


@dataclass(frozen=True)
class StackResource:
    """A resource of a stack, as the engine knows it.

    Attributes:
        type: Type token, for example ``kubernetes:core/v1:ConfigMap``.
        name: Name in the stack.
        urn: The engine's name.
        props: Its properties; an unknown value by the text of :mod:`pulumi_policy.proxy`.
        protect: Whether the engine refuses to delete it.
        provider: What makes it; None where that isn't known.
        parent: URN of its parent.
        dependencies: URNs of what it waits for.
    """

    type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    protect: bool = False
    provider: Provider | None = None
    parent: str = ""
    dependencies: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """KIND/NAMESPACE/NAME, or KIND/NAME."""
        metadata = self.props.get("metadata", {})
        names = [metadata.get(part) for part in ("namespace", "name")] if isinstance(metadata, Mapping) else []
        return "/".join([self.type.rpartition(":")[2], *(name for name in names if isinstance(name, str))])


@dataclass(frozen=True)
class Violation:
    """What a rule found.

    Attributes:
        policy: The policy's name.
        object: KIND/NAMESPACE/NAME; empty for what belongs to no object.
        message: Reason and remedy.
        level: advisory or mandatory.
    """

    policy: str
    object: str
    message: str
    level: str


@dataclass(frozen=True)
class NotRun:
    """A rule that could not be run on an object, because a value isn't known at preview."""

    policy: str
    object: str
    message: str


@dataclass(frozen=True)
class Exempt:
    """An object that a rule left alone."""

    policy: str
    object: str
    reason: str


@dataclass
class Report:
    """What the pack says of a stack."""

    violations: list[Violation] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)
    exempt: list[Exempt] = field(default_factory=list)
    remediated: dict[str, StackResource] = field(default_factory=dict)


class PackError(Exception):
    """The pack doesn't start; the message is what it said."""


class Pack(AbstractContextManager["Pack"]):
    """The running pack."""

    def __init__(self) -> None:
        """Prepare; entering starts it."""
        self._process: subprocess.Popen[str] | None = None
        self._channel: grpc.Channel | None = None

    def __enter__(self) -> Self:
        """Start the pack and read where it listens.

        Raises:
            PackError: It doesn't start.
        """
        process = subprocess.Popen([sys.executable, "-u", str(_PACK)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port.isdigit():
            _, said = process.communicate()
            raise PackError(said.strip())
        self._process = process
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS)
        self._analyzer = analyzer_pb2_grpc.AnalyzerStub(self._channel)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the pack."""
        assert self._channel is not None
        assert self._process is not None
        self._channel.close()
        self._process.kill()
        self._process.communicate()

    def info(self) -> analyzer_pb2.AnalyzerInfo:
        """Ask for the pack's policies with their metadata."""
        info: analyzer_pb2.AnalyzerInfo = self._analyzer.GetAnalyzerInfo(empty_pb2.Empty(), timeout=_CALL_SECONDS)
        return info

    def run(
        self,
        stack: Sequence[StackResource],
        settings: PolicyConfig | None = None,
        without: Iterable[str] = (),
        *,
        remediate: bool = True,
    ) -> Report:
        """Run every policy as a preview does.

        Args:
            stack: The stack's resources, in the order in which they are registered.
            settings: On top of the pack's own, as ``--policy-pack-config``.
            without: Policies that are left out.
            remediate: Whether policies at the level remediate correct what they find; if not they report it.

        Returns:
            What was found, resource by resource, and then in the whole.
        """
        self._analyzer.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig=self._configuration(settings or {}, without)))
        report = Report()
        final = []
        for given in stack:
            resource = self._remediate(given, report) if remediate else given
            final.append(resource)
            answer = self._analyzer.Analyze(_request(resource), timeout=_CALL_SECONDS)
            _take_down(report, answer, {"": resource.label})
        whole = analyzer_pb2.AnalyzeStackRequest(resources=[_stack_request(resource) for resource in final])
        answer = self._analyzer.AnalyzeStack(whole, timeout=_CALL_SECONDS)
        _take_down(report, answer, {resource.urn: resource.label for resource in final})
        return report

    def _remediate(self, resource: StackResource, report: Report) -> StackResource:
        answer = self._analyzer.Remediate(_request(resource), timeout=_CALL_SECONDS)
        for remediation in answer.remediations:
            if remediation.diagnostic:
                report.not_run.append(NotRun(remediation.policyName, resource.label, remediation.diagnostic))
            else:
                resource = replace(resource, props=json_format.MessageToDict(remediation.properties))
                report.remediated[remediation.policyName] = resource
        return resource

    def _configuration(self, settings: PolicyConfig, without: Iterable[str]) -> dict[str, analyzer_pb2.PolicyConfig]:
        """Complete the settings as the engine does: defaults of the schemas, then the pack's own, then those that are given."""
        info = self.info()
        levels = {policy.name: policy.enforcementLevel for policy in info.policies}
        values: dict[str, dict[str, Any]] = {}
        for policy in info.policies:
            schema = json_format.MessageToDict(policy.configSchema.properties)
            values[policy.name] = {key: inner["default"] for key, inner in schema.items() if "default" in inner}
        initial = {name: {LEVEL: one.enforcementLevel, **json_format.MessageToDict(one.properties)} for name, one in info.initialConfig.items()}
        on_top = {name: {**one, **({LEVEL: _LEVELS[one[LEVEL]]} if LEVEL in one else {})} for name, one in settings.items()}
        for config in (initial, on_top):
            if LEVEL in config.get(EVERY_POLICY, {}):
                levels = dict.fromkeys(levels, config[EVERY_POLICY][LEVEL])
            for name, given in config.items():
                if name != EVERY_POLICY:
                    levels[name] = given.get(LEVEL, levels[name])
                    values[name].update({key: value for key, value in given.items() if key != LEVEL})
        levels.update(dict.fromkeys(without, analyzer_pb2.DISABLED))
        return {name: analyzer_pb2.PolicyConfig(enforcementLevel=levels[name], properties=_struct(values[name])) for name in levels}


def _described(resource: StackResource) -> dict[str, Any]:
    """What the requests for one resource and for a whole stack say alike."""
    return {
        "type": resource.type,
        "properties": _struct(resource.props),
        "urn": resource.urn,
        "name": resource.name,
        "options": analyzer_pb2.AnalyzerResourceOptions(protect=resource.protect, parent=resource.parent),
        "provider": _provider(resource.provider),
    }


def _request(resource: StackResource) -> analyzer_pb2.AnalyzeRequest:
    return analyzer_pb2.AnalyzeRequest(**_described(resource))


def _stack_request(resource: StackResource) -> analyzer_pb2.AnalyzerResource:
    return analyzer_pb2.AnalyzerResource(
        **_described(resource),
        parent=resource.parent,
        dependencies=resource.dependencies,
    )


def _provider(provider: Provider | None) -> analyzer_pb2.AnalyzerProviderResource | None:
    if provider is None:
        return None
    return analyzer_pb2.AnalyzerProviderResource(type=provider.type, name=provider.name, urn=provider.urn, properties=_struct(provider.props))


def _struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


def _take_down(report: Report, answer: analyzer_pb2.AnalyzeResponse, labels: Mapping[str, str]) -> None:
    for found in answer.diagnostics:
        label = labels.get(found.urn, "")
        if _COULD_NOT_RUN.match(found.message):
            report.not_run.append(NotRun(found.policyName, label, found.message))
        else:
            message = found.message.removeprefix(f"{found.description}\n")
            level = analyzer_pb2.EnforcementLevel.Name(found.enforcementLevel).lower()
            report.violations.append(Violation(found.policyName, label, message, level))
    for left in answer.not_applicable:
        if left.reason.startswith(_exempt_prefix(labels.get("", ""))):
            report.exempt.append(Exempt(left.policy_name, labels.get("", ""), left.reason))


def _exempt_prefix(label: str) -> str:
    return f"{label} is exempt: "

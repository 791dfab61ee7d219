"""The harness of the policies says what the real engine says, of the same stacks. Needs the engine, and no cluster."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policies.analyzer import Pack, Report, StackResource
from tests.e2e.policy_engine import PolicyEvent, Preview, preview_program, preview_resources
from tests.policy.bad_stacks import everything_at_once
from tests.policy.fixture_files import STACK, Fixture, every_fixture
from tests.policy.program_stacks import DEV, program_stack

Told = set[tuple[str, str, str]]
PRODUCTION = DEV.parent / "examples" / "Pulumi.production.yaml"
GROUPS: dict[str, Callable[[Fixture], bool]] = {
    "plain": lambda fixture: not fixture.settings and not fixture.not_run,
    "configured": lambda fixture: bool(fixture.settings),
    "unknown values": lambda fixture: bool(fixture.not_run),
}


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    """The tools that the tests need."""
    if shutil.which("pulumi") is None:
        pytest.fail("pulumi is not on PATH. Remedy: `make up`, then `make test-cluster`, which sets PATH", pytrace=False)


def as_one_stack(fixtures: Iterable[Fixture]) -> list[StackResource]:
    """All fixtures side by side: a namespace for each, or a name where there is none, as objects of several are called the same."""
    stack = []
    for fixture in fixtures:
        place = f"{fixture.policy}-{fixture.path.stem}"
        for position, resource in enumerate(fixture.resources):
            props: dict[str, Any] = dict(resource.props)
            metadata = props["metadata"]
            own = {"namespace": place} if "namespace" in metadata else {"name": f"{metadata['name']}-{place}"}
            props["metadata"] = {**metadata, **own}
            name = f"{place}/{position}"
            urn = f"urn:pulumi:{STACK}::coderun-workspaces::{resource.type}::{name}"
            stack.append(replace(resource, name=name, urn=urn, props=props))
    return stack


def told_by_harness(report: Report, stack: list[StackResource]) -> tuple[Told, set[tuple[str, str]]]:
    """Violations as policy, resource and message, and what could not be run as policy and resource."""
    names = {one.label: one.name for one in stack}
    assert len(names) == len(stack)
    violations = {(one.policy, names[one.object], one.message) for one in report.violations}
    return violations, {(one.policy, names.get(one.object, "")) for one in report.not_run}


def told_by_engine(events: Iterable[PolicyEvent]) -> tuple[Told, set[tuple[str, str]]]:
    """The same of what the engine shows: a description, and the message below it."""
    violations, not_run = set(), set()
    for event in events:
        if event.message.startswith("can't run policy"):
            not_run.add((event.policy, "" if event.resource == f"coderun-workspaces-{STACK}" else event.resource))
        else:
            violations.add((event.policy, event.resource, event.message.partition("\n")[2].rstrip("\n")))
    return violations, not_run


@pytest.mark.parametrize("group", GROUPS)
def test_fixtures(group: str, tmp_path: Path) -> None:
    fixtures = [fixture for fixture in every_fixture() if GROUPS[group](fixture)]
    settings = {policy: values for fixture in fixtures for policy, values in fixture.settings.items()}
    stack = as_one_stack(fixtures)
    with Pack() as pack:
        report = pack.run(stack, settings)
    seen = preview_resources(tmp_path, stack, settings)
    assert told_by_engine(seen.policies) == told_by_harness(report, stack)
    assert seen.policies, seen.text
    assert (seen.code != 0) == bool(report.violations)


def harness_on(stack_file: Path) -> tuple[Told, set[tuple[str, str]]]:
    stack = program_stack(stack_file)
    with Pack() as pack:
        report = pack.run(stack)
    return told_by_harness(report, [one for one in stack if one.type.startswith("kubernetes:")])


def engine_on(stack_file: Path, folder: Path, secrets: Mapping[str, str]) -> Preview:
    (folder / "run").mkdir()
    return preview_program(folder / "run", stack_file, secrets)


@pytest.mark.parametrize(
    ("stack_file", "secrets"), [(DEV, ()), (PRODUCTION, ("coderun-workspaces:credentials[1].token",))], ids=["dev", "production"]
)
def test_right_stacks(stack_file: Path, secrets: tuple[str, ...], tmp_path: Path) -> None:
    seen = engine_on(stack_file, tmp_path, dict.fromkeys(secrets, "made up for this test"))
    assert seen.code == 0, seen.text
    assert told_by_engine(seen.policies) == harness_on(stack_file) == (set(), set())


def test_a_stack_with_everything_wrong(tmp_path: Path) -> None:
    bad = everything_at_once()
    stack_file = bad.write(tmp_path)
    seen = engine_on(stack_file, tmp_path, {})
    assert seen.code != 0
    violations, not_run = told_by_engine(seen.policies)
    assert (violations, not_run) == harness_on(stack_file)
    assert len(violations) == len(bad.violations)


def test_labels_are_remediated_by_the_engine(tmp_path: Path) -> None:
    (bad,) = [fixture for fixture in every_fixture() if (fixture.policy, fixture.path.stem) == ("cleanup-labels", "bad")]
    settings = {"all": {"enforcementLevel": "disabled"}, "cleanup-labels": {"enforcementLevel": "remediate"}}
    stack = as_one_stack([bad])
    with Pack() as pack:
        report = pack.run(stack, settings)
    seen = preview_resources(tmp_path, stack, settings)
    assert seen.remediated == {"cleanup-labels"}
    assert told_by_engine(seen.policies) == told_by_harness(report, stack)
    assert [one.policy for one in report.violations] == ["cleanup-labels"], "the manifest that nobody can read"

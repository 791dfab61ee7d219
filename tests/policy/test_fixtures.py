"""Every policy on stacks that a person would write, right and wrong ones."""

import pytest

from policies.analyzer import Pack
from policies.rules import RULES
from tests.policy.fixture_files import WHOLE_STACK, Fixture, every_fixture

FIXTURES = list(every_fixture())


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda one: f"{one.policy}/{one.path.stem}")
def test_a_policy_says_exactly_what_is_expected(pack: Pack, fixture: Fixture) -> None:
    report = pack.run(fixture.resources, fixture.settings)
    violations = [one for one in report.violations if one.policy == fixture.policy]
    left = list(violations)
    for label, part in fixture.violations:
        matching = [one for one in left if one.object == label and part in one.message]
        assert len(matching) == 1, f"{label}: {part}: {len(matching)} of {left}"
        left.remove(matching[0])
    assert left == []
    assert all("Remedy: " in one.message for one in violations)
    not_run = [one.object or WHOLE_STACK for one in report.not_run if one.policy == fixture.policy]
    assert not_run == list(fixture.not_run)


@pytest.mark.parametrize("policy", [rule.name for rule in RULES])
def test_every_policy_has_good_and_bad_fixtures(policy: str) -> None:
    mine = [fixture for fixture in FIXTURES if fixture.policy == policy]
    assert any(fixture.path.stem.startswith("good") for fixture in mine)
    assert any(fixture.path.stem.startswith("bad") and fixture.violations for fixture in mine)


def test_fixtures_are_good_or_bad_as_their_names_say() -> None:
    for fixture in FIXTURES:
        assert fixture.policy in {rule.name for rule in RULES}
        assert bool(fixture.violations or fixture.not_run) == fixture.path.stem.startswith("bad"), fixture.path

"""The program's own stacks: right ones violate nothing, wrong ones exactly what is expected."""

from pathlib import Path

import pytest

from policies.analyzer import Pack
from tests.policy.bad_stacks import BAD_STACKS, BadStack, everything_at_once
from tests.policy.program_stacks import DEV, program_stack

PRODUCTION = DEV.parent / "examples" / "Pulumi.production.yaml"


@pytest.mark.parametrize("stack_file", [DEV, PRODUCTION], ids=lambda path: path.stem)
def test_a_right_stack_violates_nothing(pack: Pack, stack_file: Path) -> None:
    report = pack.run(program_stack(stack_file))
    assert (report.violations, report.not_run) == ([], [])


@pytest.mark.parametrize("bad", [*BAD_STACKS, everything_at_once()], ids=lambda bad: bad.name)
def test_a_wrong_stack_violates_what_is_expected(pack: Pack, bad: BadStack, tmp_path: Path) -> None:
    found = [(one.policy, one.object, one.message) for one in pack.run(program_stack(bad.write(tmp_path))).violations]
    assert all("Remedy: " in message for _, _, message in found)
    for policy, label, part in bad.violations:
        matching = [one for one in found if one[:2] == (policy, label) and part in one[2]]
        assert len(matching) == 1, f"{policy} {label} {part}: {found}"
        found.remove(matching[0])
    assert found == []

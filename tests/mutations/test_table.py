"""The table of mutations fits the scripts; `make mutations` tries them."""

from pathlib import Path

import pytest

from tests.mutations.__main__ import mutate
from tests.mutations.table import MUTATIONS, Mutation
from tests.run_report import PROJECT


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.name.replace(" ", "-") for mutation in MUTATIONS])
def test_a_mutation_fits(mutation: Mutation, tmp_path: Path) -> None:
    copy = mutate(mutation, tmp_path / "payload")
    assert (copy / mutation.file).read_text() != (PROJECT / "payload" / mutation.file).read_text()
    file, _, test = mutation.test.partition("::")
    assert f"def {test.partition('[')[0]}(" in (PROJECT / file).read_text()


def test_names_are_told_apart() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)

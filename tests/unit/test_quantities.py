"""Quantities of bytes."""

import pytest

from config.quantities import quantity_bytes


@pytest.mark.parametrize(
    ("quantity", "count"),
    [("1", 1), ("100Mi", 104_857_600), ("20Gi", 21_474_836_480), ("1.5k", 1500), ("1M", 1_000_000), ("1.0001Ki", 1025), ("1500m", 2), ("2Ti", 2**41)],
)
def test_bytes(quantity: str, count: int) -> None:
    assert quantity_bytes(quantity) == count


@pytest.mark.parametrize("quantity", ["", "Mi", "1MB", "-1", "1 Gi", "1e3"])
def test_other_forms_are_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="Remedy"):
        quantity_bytes(quantity)

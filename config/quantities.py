"""Quantities of bytes, as Kubernetes writes them."""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Final

_FORM: Final = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<suffix>[a-zA-Z]*)")
_FACTORS: Final = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P"), start=1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), start=1)},
}


def quantity_bytes(quantity: str) -> int:
    """Count the bytes of a quantity, for example 104857600 for ``100Mi``; a part of a byte counts as one.

    Args:
        quantity: As the settings accept it.

    Raises:
        ValueError: It has another form.
    """
    match = _FORM.fullmatch(quantity)
    if not match or match["suffix"] not in _FACTORS:
        raise ValueError(f"{quantity!r} is not a quantity. Remedy: give for example 100Mi or 20Gi")
    return int((Decimal(match["number"]) * _FACTORS[match["suffix"]]).to_integral_value(ROUND_CEILING))

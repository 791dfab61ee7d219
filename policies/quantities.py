"""Kubernetes' quantities as numbers, to compare them."""

import re
from decimal import Decimal
from typing import Final

_FORM: Final = re.compile(r"(?P<number>[0-9]+(\.[0-9]*)?|\.[0-9]+)(?P<suffix>m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?")
_DECIMAL: Final = {"m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def quantity(value: object) -> Decimal | None:
    """Read a quantity, for example ``20Gi``.

    Args:
        value: A text, or a number as YAML and JSON allow it.

    Returns:
        The number of units (bytes, cores); None when it is no quantity.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    match = _FORM.fullmatch(str(value))
    if match is None:
        return None
    number, suffix = Decimal(match["number"]), match["suffix"] or ""
    if suffix in _DECIMAL:
        return number * Decimal(1000) ** _DECIMAL[suffix]
    if suffix in _BINARY:
        return number * Decimal(1024) ** _BINARY[suffix]
    return number * Decimal(10) ** int(suffix[1:])

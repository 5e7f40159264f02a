"""Budgets as people write them: stored values, a fraction of the range (`1/255`), or a percentage (`0.5%`)."""

from __future__ import annotations

import re
from fractions import Fraction

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FRACTION = re.compile(rf"\s*({_NUMBER})\s*/\s*({_NUMBER})\s*")
_PERCENT = re.compile(rf"\s*({_NUMBER})\s*%\s*")


def radius(written: float | str, bounds: tuple[float, float]) -> float:
    """The radius in stored values, rounded once: `"1/255"` of (0, 255) is exactly 1.

    Args:
        written: a number is stored values; `"a/b"` is that fraction of the range, `"p%"` so many hundredths of it.
        bounds: lowest and highest stored value.

    Raises:
        ValueError: text of another form, or division by zero.
    """
    if not isinstance(written, str):
        return float(written)
    if found := _FRACTION.fullmatch(written):
        over, under = Fraction(found[1]), Fraction(found[2])
    elif found := _PERCENT.fullmatch(written):
        over, under = Fraction(found[1]), Fraction(100)
    else:
        raise ValueError(
            f"'{written}' is no budget; write a number of stored values, a fraction of the range such as \"1/255\", "
            'or a percentage of it such as "0.5%"'
        )
    if not under:
        raise ValueError(f"'{written}' divides by zero")
    low, high = (Fraction(bound) for bound in bounds)
    return float(over / under * (high - low))

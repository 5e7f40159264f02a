"""Budgets as people write them, and one budget in every unit of the images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_NUMBER = r"[+-]?(?:\d{1,30}\.?\d{0,30}|\.\d{1,30})(?:[eE][+-]?\d{1,2})?"
_FRACTION = re.compile(rf"\s*({_NUMBER})\s*/\s*({_NUMBER})\s*")
_PERCENT = re.compile(rf"\s*({_NUMBER})\s*%(?:\s+of\s+(range|window))?\s*")
_STEPS = re.compile(rf"\s*({_NUMBER})\s*stored\s+steps?\s*")
_UNIT = re.compile(rf"\s*({_NUMBER})\s*(?![eE][+-]?\d)([A-Za-z][A-Za-z0-9/^. ]*)")


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things; their plural is that of one with an s unless it is given.

    >>> counted(1, "epoch"), counted(2, "epoch"), counted(0, "batch", "batches")
    ('1 epoch', '2 epochs', '0 batches')
    """
    return f"{number} {one if number == 1 else many or f'{one}s'}"


@dataclass(frozen=True)
class Scale:
    """What the values of the audited images mean.

    Attributes:
        bounds: lowest and highest value.
        unit: unit of the values, such as `HU`; empty if no file and no plan says it.
        step: distance of two neighbouring values that can be stored; None for floating point, or if images differ.
        window: lowest and highest value of the window in the model's preprocessing; None without a window.
        known: whether unit and step were read from the images; until then every unit is accepted and a step is 1.
    """

    bounds: tuple[float, float]
    unit: str = ""
    step: float | None = 1.0
    window: tuple[float, float] | None = None
    known: bool = False

    @property
    def extent(self) -> float:
        """Highest minus lowest value."""
        return self.bounds[1] - self.bounds[0]


def radius(written: float | str, scale: Scale) -> float:
    """The radius in values, rounded once: `"1/255"` of (0, 255) is exactly 1.

    Args:
        written: a number counts values; `"a/b"` is that fraction of the range, `"p%"` that percentage of it (`"p% of
            window"` of the model's window), `"5 HU"` values in their unit, `"2 stored steps"` multiples of one stored
            step.
        scale: what the values mean.

    Raises:
        ValueError: the text has another form or divides by zero, or the images lack its unit, window or step.
    """
    if not isinstance(written, str):
        return float(written)
    low, high = (Fraction(bound) for bound in scale.bounds)
    if found := _FRACTION.fullmatch(written):
        if not Fraction(found[2]):
            raise ValueError(f"'{written}' divides by zero")
        return _float(written, Fraction(found[1]) / Fraction(found[2]) * (high - low))
    if found := _PERCENT.fullmatch(written):
        if found[2] == "window":
            if scale.window is None:
                raise ValueError(f"'{written}': the model's preprocessing has no window; write a share of the range")
            low, high = (Fraction(bound) for bound in scale.window)
        return _float(written, Fraction(found[1]) / 100 * (high - low))
    if found := _STEPS.fullmatch(written):
        if scale.step is None:
            raise ValueError(
                f"'{written}': the images store floating point, or steps of different size; write a number of values"
            )
        return _float(written, Fraction(found[1]) * Fraction(scale.step))
    if found := _UNIT.fullmatch(written):
        return _in_unit(written, _float(written, Fraction(found[1])), found[2].strip(), scale)
    raise ValueError(
        f"'{written}' is not a budget; write a number of values, a fraction of the range such as \"1/255\", a "
        'percentage such as "0.5%" or "0.5% of window", "1 stored step", or a number with the unit of the images such '
        'as "5 HU"'
    )


def _float(written: str, amount: Fraction) -> float:
    try:
        return float(amount)
    except OverflowError as error:
        raise ValueError(f"'{written}' is larger than any number of values") from error


def _in_unit(written: str, amount: float, unit: str, scale: Scale) -> float:
    if scale.known and unit.casefold() != scale.unit.casefold():
        if scale.unit:
            raise ValueError(f"'{written}': the images are in {scale.unit}; write the budget in {scale.unit}")
        raise ValueError(
            f"'{written}': the images have no unit; write the budget in values or as a share of the range, or give the "
            f'unit of the values: data.unit = "{unit}"'
        )
    return amount


def _plain(amount: float) -> str:
    """Whole numbers in full, others to four digits."""
    return f"{amount:.0f}" if amount == round(amount) else f"{amount:.4g}"


def distinct(*numbers: float) -> tuple[str, ...]:
    """Numbers as text, with enough digits that different numbers look different.

    >>> distinct(-1024.0, -1024.0004)
    ('-1024', '-1024.0004')
    """
    for digits in range(6, 18):
        texts = tuple(f"{number:.{digits}g}" for number in numbers)
        if len(set(texts)) == len({float(number) for number in numbers}):
            break
    return texts


def quantity(value: float, unit: str) -> str:
    """A physical quantity in words; a share is written in per cent.

    >>> quantity(6.0, "mm"), quantity(0.035, "share of the width"), quantity(-1.0, "degrees"), quantity(5.0, "")
    ('6 mm', '3.5% of the width', '−1 degree', '5')
    """
    share = unit == "share" or unit.startswith("share of ")
    number = f"{100 * value if share else value:.3g}".replace("-", "−")
    if share:
        return f"{number}%{unit.removeprefix('share')}"
    if unit == "degrees" and number in {"1", "−1"}:
        return f"{number} degree"
    return f"{number} {unit}" if unit else number


def amounts(eps: float, scale: Scale) -> tuple[str, ...]:
    """One budget in every unit of the images, the plainest first: `5 HU`, `1 stored step`, `2/255` and so on.

    Shares of any range are written as `x/255`, because the literature counts like that.
    """
    texts = [f"{_plain(eps)} {scale.unit}" if scale.unit else _plain(eps)]
    if scale.step:
        steps = eps / scale.step
        texts.append(f"{_plain(steps)} stored step{'' if steps == 1 else 's'}")
    texts += [f"{eps / scale.extent * 255:.4g}/255 of the range", f"{eps / scale.extent:.3%} of the range"]
    if scale.window:
        texts.append(f"{eps / (scale.window[1] - scale.window[0]):.3%} of the window")
    return tuple(texts)

"""Values of a plan that are possible and probably a slip: numbers that were meant for another scale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palpate.audit.plan.fields import PlanFields

_WIDE = 100.0
"""Stored values over at least this range are whole numbers, as in 8-bit images or CT."""
_NARROW = 2.0
"""Stored values over at most this range are scaled already, such as 0 to 1."""
_CLOSE = 0.02
"""0.031 and 0.0314 are 8/255."""


def slips(plan: PlanFields) -> list[str]:
    """Sentences that ask about such values, each with the likely fix; nothing is refused."""
    return [*_budgets(plan), *_normalisation(plan)]


def _budgets(plan: PlanFields) -> Iterator[str]:
    question = small_radii("threat.eps", plan.threat.eps, plan.threat.norm, plan.model.bounds)
    yield from () if question is None else (question,)


def small_radii(field: str, radii: Iterable[float | str], norm: str, bounds: tuple[float, float]) -> str | None:
    """A sentence that asks about radii that were probably meant for images from 0 to 1; None if there are none.

    Args:
        field: where they are written.
        radii: as they are written: a number counts stored values.
        norm: `linf`, `l2` or `l1`.
        bounds: lowest and highest stored value.
    """
    low, high = bounds
    if norm.casefold() != "linf" or high - low < _WIDE:
        return None
    # Of floating-point images a change below 1 can be meant; still it is one in a thousand of what a model sees.
    small = [eps for eps in radii if not isinstance(eps, str) and eps < 0.5]
    if not small:
        return None
    return (
        f"{field}: {_listed(small)} is less than half a stored value of {low:g} to {high:g}. A number counts "
        f"stored values. If you mean a fraction of the range, write {_texts(small)}."
    )


def _normalisation(plan: PlanFields) -> Iterator[str]:
    section = plan.model.preprocess
    given = section.model_fields_set & {"mean", "std"}
    if not given or section.steps is not None or section.monai is not None:
        return
    low, high = plan.model.bounds
    scaled = all(0 <= value < 1 for value in section.mean) and any(section.mean) and max(section.std) <= 1
    if high - low >= _WIDE and scaled:
        # The network saw (x / high - mean) / std.
        means, spreads = (_listed([value * high for value in values]) for values in (section.mean, section.std))
        yield (
            f"model.preprocess: mean {_listed(section.mean)} and std {_listed(section.std)} fit images from 0 to 1, "
            f"but stored values go from {low:g} to {high:g}, and both count stored values. If the network was trained "
            f"on images from 0 to 1, write mean = [{means}] and std = [{spreads}]."
        )
    if high - low <= _NARROW and max(section.mean) > 4 * high:
        yield (
            f"model.preprocess: mean {_listed(section.mean)} is above all stored values, which go from {low:g} to "
            f"{high:g}. If it was meant for 0 to 255, divide mean and std by 255, or correct model.bounds."
        )


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _texts(values: Sequence[float]) -> str:
    """Fractions of 255 where a value is one, else percentages."""
    whole = [(value, round(value * 255)) for value in values]
    return ", ".join(
        f'"{count}/255"' if count and abs(value * 255 / count - 1) <= _CLOSE else f'"{100 * value:.4g}%"'
        for value, count in whole
    )

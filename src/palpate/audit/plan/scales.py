"""What the values of the audited images mean, as their files and the plan say it together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from palpate.data.formats.scan import Header
from palpate.errors import InputError
from palpate.units import Scale

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


def scale_of(plan: Plan, headers: Sequence[Header], names: Sequence[str], window: tuple[float, float] | None) -> Scale:
    """Unit, step and window that all images share.

    Args:
        plan: says the bounds, and the unit where files do not.
        headers: what the files say, one an image.
        names: names of the images, for messages.
        window: lowest and highest value that the model's preprocessing can tell apart.

    Raises:
        InputError: images are in different units, or the plan contradicts them.
    """
    steps = {header.step for header in headers}
    return Scale(
        bounds=plan.model.bounds,
        unit=_unit(plan.data.unit, headers, names),
        step=steps.pop() if len(steps) == 1 else None,
        window=window,
        known=True,
    )


def _unit(told: str | None, headers: Sequence[Header], names: Sequence[str]) -> str:
    first = headers[0].unit
    for header, name in zip(headers, names, strict=True):
        if header.unit != first:
            raise InputError(
                f"data: {names[0]} is in {first or 'no unit'}, and {name} is in {header.unit or 'no unit'}; one budget "
                "cannot mean both. Audit them apart."
            )
        if told and header.unit and header.unit.casefold() != told.casefold():
            raise InputError(f"data.unit: {name} says that it is in {header.unit}, not in {told}. Remove data.unit.")
    return first or told or ""

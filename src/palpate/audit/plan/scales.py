"""What the values of the audited images mean, from their files and the plan."""

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
        plan: gives the bounds, and the unit if files do not.
        headers: what the files say, one per image.
        names: names of the images, for messages.
        window: lowest and highest value of the window in the model's preprocessing.

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


def _unit(given: str | None, headers: Sequence[Header], names: Sequence[str]) -> str:
    first = headers[0].unit
    for header, name in zip(headers, names, strict=True):
        if header.unit != first:
            raise InputError(
                f"data: {names[0]} is in {first or 'no unit'}, and {name} is in {header.unit or 'no unit'}; one budget "
                "cannot mean both. Audit them separately."
            )
        if given and header.unit and header.unit.casefold() != given.casefold():
            raise InputError(f"data.unit: {name} says that it is in {header.unit}, not in {given}. Remove data.unit.")
    return first or given or ""

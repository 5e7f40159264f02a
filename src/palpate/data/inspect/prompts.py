"""Which columns of an unknown CSV are a prompt in each image: a box or points. A guess is a proposal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from palpate.data.inspect.box_columns import box_names
from palpate.data.sheets import Sheet

__all__ = ["FoundPrompt", "find_prompt"]

_STEMS = r"(?:[a-z]|point|click|seed|prompt|centre|center|centroid)?"
_POINT = re.compile(rf"(?P<stem>{_STEMS})_?(?P<axis>[xy])_?(?P<number>\d*)")


class FoundPrompt(NamedTuple):
    """Columns of a prompt.

    Attributes:
        columns: x and y of two corners or of each point, in turn; empty if there are none.
        box: whether they are corners of a box.
        doubt: why they cannot be given to a model as they are; empty if they can.
    """

    columns: tuple[str, ...] = ()
    box: bool = False
    doubt: str = ""


def find_prompt(sheet: Sheet, shape: Sequence[int]) -> FoundPrompt:
    """The columns of a box or, without one, of points.

    Args:
        sheet: one line for each image.
        shape: of the first image, (channels, height, width).
    """
    names = box_names(sheet.header)
    if names is None:
        columns = tuple(column for pair in _pairs(sheet.header) for column in pair)
        return FoundPrompt(columns, False, _doubt(sheet, columns, shape))
    if names.mode != "xyxy":
        shown = ", ".join(names.columns)
        return FoundPrompt(names.columns, True, f"the columns {shown} are a place and a size, and corners are read")
    return FoundPrompt(names.columns, True, _doubt(sheet, names.columns, shape))


def _pairs(header: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Columns of x and of y whose names are equal otherwise, in the order of the table."""
    found = {}
    for column in header:
        if match := _POINT.fullmatch(column.lower()):
            found[match["stem"], match["number"], match["axis"]] = column
    for stem, number, axis in found:
        if axis == "x" and (stem, number, "y") in found:
            yield found[stem, number, "x"], found[stem, number, "y"]


def _doubt(sheet: Sheet, columns: Sequence[str], shape: Sequence[int]) -> str:
    if not columns:
        return ""
    shown = ", ".join(columns)
    numbers = [_number(line.cells[column]) for line in sheet.lines for column in columns]
    if not all(map(math.isfinite, numbers)):
        return f"a cell of the columns {shown} holds no number"
    if max(numbers) <= 1 and max(shape[-2:]) > 1:
        return f"the columns {shown} are fractions of the image, and pixels are read"
    return ""


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan

"""Which columns of an unknown CSV are a prompt in each image: a box or points. A guess is a proposal."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from palpate.data.inspect.box_columns import box_names
from palpate.data.sheets import Sheet

__all__ = ["FoundPrompt", "find_prompt", "prompt_columns"]

_STEMS = r"(?:[a-z]|point|click|seed|prompt|centre|center|centroid)?"
_ON_THE_OBJECT = ("label", "labels", "fg", "foreground", "isforeground", "positive", "ispositive")
"""Names of columns that say what a point marks. A sole `label` may be the class of the image."""
_POINT = re.compile(rf"(?P<stem>{_STEMS})_?(?P<axis>[xy])_?(?P<number>\d*)")


class FoundPrompt(NamedTuple):
    """Columns of a prompt.

    Attributes:
        columns: x and y of two corners or of each point, in turn; empty if there are none.
        box: whether they are corners of a box.
        doubt: why they cannot be given to a model as they are; empty if they can.
        labels: columns that say what each point marks, in the order of the points; empty if a point has none.
        unread: what a cell of `labels` holds that is neither 0 nor 1; empty if there is no such cell.
    """

    columns: tuple[str, ...] = ()
    box: bool = False
    doubt: str = ""
    labels: tuple[str, ...] = ()
    unread: str = ""


def prompt_columns(header: Sequence[str]) -> tuple[str, ...]:
    """The columns of a box or of points and of what these mark, by their names: none of them has images or masks."""
    names = box_names(header)
    points = [column for pair in _pairs(header).values() for column in pair]
    return (*(names.columns if names else ()), *points, *_labels(header))


def find_prompt(sheet: Sheet, shape: Sequence[int]) -> FoundPrompt:
    """The columns of a box or, without one, of points.

    Args:
        sheet: one line for each image.
        shape: of the first image, (channels, height, width).
    """
    names = box_names(sheet.header)
    if names is None:
        columns = tuple(column for pair in _pairs(sheet.header).values() for column in pair)
        labels = _labels(sheet.header)
        others = (cell for line in sheet.lines for one in labels if not _is_label(cell := line.cells[one]))
        unread = next((f"'{cell}'" if cell else "nothing" for cell in others), "")
        return FoundPrompt(columns, False, _doubt(sheet, columns, shape), labels, unread)
    if names.mode != "xyxy":
        shown = ", ".join(names.columns)
        return FoundPrompt(names.columns, True, f"the columns {shown} are a place and a size, and corners are read")
    return FoundPrompt(names.columns, True, _doubt(sheet, names.columns, shape))


def _pairs(header: Sequence[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """Columns of x and of y whose names are equal otherwise, in the order of the table, by stem and number."""
    found = {}
    for column in header:
        if match := _POINT.fullmatch(column.lower()):
            found[match["stem"], match["number"], match["axis"]] = column
    return {
        (stem, number): (found[stem, number, "x"], found[stem, number, "y"])
        for stem, number, axis in found
        if axis == "x" and (stem, number, "y") in found
    }


def _labels(header: Sequence[str]) -> tuple[str, ...]:
    """The column that says what a point marks, for each point; empty if a point has none."""
    plain = {re.sub(r"[\s_]", "", column.lower()): column for column in reversed(header)}
    found = []
    for stem, number in _pairs(header):
        names = [f"{before}{word}{number}" for word in _ON_THE_OBJECT for before in (stem, "point", "")]
        names = [f"{stem}l{number}", *(name for name in names if name not in ("label", "labels"))]
        found.append(next((plain[name] for name in names if name in plain), ""))
    return tuple(found) if all(found) and len(set(found)) == len(found) else ()


def _is_label(cell: str) -> bool:
    return _number(cell) in (0, 1)


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

"""Which columns of an unknown CSV are boxes, and what their numbers mean. A guess is a proposal."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from palpate.data.annotations.box_modes import BoxMode, corners_of
from palpate.data.formats.registry import header_of
from palpate.data.inspect.seen import reading
from palpate.data.sheets import Line

__all__ = ["BoxNames", "box_names", "boxed_lines", "unit_and_mode"]

_MARGIN = 1.0
_NOTHING = ("", "nan", "none", "null")
_CORNERS = (
    *(("xmin", "ymin", "xmax", "ymax"), ("minx", "miny", "maxx", "maxy"), ("x1", "y1", "x2", "y2")),
    *(("x0", "y0", "x1", "y1"), ("left", "top", "right", "bottom"), ("xtl", "ytl", "xbr", "ybr")),
)
_STARTS = (("xmin", "ymin"), ("x1", "y1"), ("x0", "y0"), ("left", "top"), ("xtl", "ytl"))
_CENTRES = (("cx", "cy"), ("xc", "yc"), ("xcenter", "ycenter"), ("centerx", "centery"), ("xcentre", "ycentre"))
_SIZES = (("width", "height"), ("w", "h"))
_KNOWN: tuple[tuple[tuple[str, ...], BoxMode], ...] = (
    *((names, "xyxy") for names in _CORNERS),
    *(((*start, *size), "ccwh") for start in _CENTRES for size in _SIZES),
    *(((*start, *size), "xywh") for start in _STARTS for size in _SIZES),
)
_OPEN = tuple((*start, *size) for start in (("x", "y"),) for size in _SIZES)
"""Columns that may be a corner and a size, the usual case, or a centre and a size."""


@dataclass(frozen=True)
class BoxNames:
    """Columns of boxes.

    Attributes:
        columns: the four columns of numbers, in the order of `mode`.
        mode: the meaning of the numbers by their names.
        open: whether `x` and `y` may be a corner or the centre by their names.
    """

    columns: tuple[str, str, str, str]
    mode: BoxMode
    open: bool = False


def box_names(header: Sequence[str]) -> BoxNames | None:
    """The columns of boxes by their names, or None."""
    found = {_plain(column): column for column in reversed(header)}
    for names, mode in _KNOWN:
        if all(name in found for name in names):
            return BoxNames(_four(found, names), mode)
    return next(
        (BoxNames(_four(found, names), "xywh", True) for names in _OPEN if all(n in found for n in names)), None
    )


def boxed_lines(names: BoxNames, lines: Sequence[Line]) -> list[Line]:
    """The lines with a box: some tables list an image without boxes as a line without numbers."""
    return [line for line in lines if any(line.cells[column].lower() not in _NOTHING for column in names.columns)]


def unit_and_mode(names: BoxNames, lines: Sequence[Line], images: Sequence[Path]) -> tuple[bool, BoxMode, bool]:
    """Whether numbers are fractions, what they mean, and whether another reading fits too.

    Args:
        names: the columns.
        lines: some lines with a box.
        images: the image of each.

    Raises:
        UnreadError: an image cannot be read.
    """
    boxes = [[_number(line.cells[column]) for column in names.columns] for line in lines]
    numbers = [number for box in boxes for number in box if math.isfinite(number)]
    fractions = bool(numbers) and max(numbers) <= 1 and any(number % 1 for number in numbers)
    if not names.open:
        return fractions, names.mode, False
    with reading():
        sizes = [(1.0, 1.0) if fractions else _size(image) for image in images]
    margin = 0.01 if fractions else _MARGIN
    modes: tuple[BoxMode, ...] = ("xywh", "ccwh")
    fit = [
        mode for mode in modes if all(_inside(box, mode, size, margin) for box, size in zip(boxes, sizes, strict=True))
    ]
    # In pixels x and y are always a corner (COCO, RSNA); in fractions YOLO's centre is as common.
    return fractions, fit[0] if len(fit) == 1 else "xywh", fractions and len(fit) != 1


def _plain(column: str) -> str:
    text = re.sub(r"^(bounding[\s_]?box|bbox|box)", "", column.lower())
    return re.sub(r"[^a-z0-9]", "", text)


def _four(found: dict[str, str], names: Sequence[str]) -> tuple[str, str, str, str]:
    first, second, third, fourth = (found[name] for name in names)
    return first, second, third, fourth


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _size(image: Path) -> tuple[float, float]:
    shape = header_of(image).shape
    return float(shape[-1]), float(shape[-2])


def _inside(box: Sequence[float], mode: BoxMode, size: tuple[float, float], margin: float) -> bool:
    left, top, right, bottom = corners_of(box, mode)
    return left >= -margin and top >= -margin and right <= size[0] + margin and bottom <= size[1] + margin

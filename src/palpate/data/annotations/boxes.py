"""Boxes: a sheet with one line a box; where images may lack boxes, a second one with one line an image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from palpate.data.annotations.annotation import Annotation
from palpate.data.annotations.box_modes import corners_of
from palpate.data.annotations.labels import BoxLabels
from palpate.data.cases import Case, label_of, listed
from palpate.data.listing import Cases, Listing, class_names
from palpate.data.sheets import Line, Sheet
from palpate.data.source import Folder
from palpate.errors import InputError

__all__ = ["MARGIN", "Box", "BoxLines", "box_cases", "require_declared"]

MARGIN = 1.0
"""Pixels by which a box may extend beyond its image; it is then clipped: programs count pixels from 0 or from 1."""


_NOTHING = ("", "nan", "none", "null")


class Box(NamedTuple):
    """One box as it is stored.

    Attributes:
        place: its line in the sheet, for messages.
        label: class from 0.
        corners: left, top, right and bottom, in pixels or fractions.
    """

    place: str
    label: int
    corners: tuple[float, ...]


@dataclass(frozen=True)
class BoxLines:
    """Boxes of a CSV, turned to fractions of each image's width and height when they are read.

    Attributes:
        table: the CSV of boxes.
        root: the folder of the images.
        boxes: the boxes of each case, in the order of their lines; a case without boxes is not there.
        sizes: width and height of the images that the boxes were drawn on, where the table says so.
        fractions: whether corners are fractions of the width and height of the image, and not pixels.
        texts: the file of the boxes of each case, where each image has its own.
    """

    table: Path
    root: Path
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict, hash=False, repr=False)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict, hash=False, repr=False)
    fractions: bool = False
    texts: Mapping[str, Path] = field(default_factory=dict, hash=False, repr=False)

    def read(self, case: Case) -> Annotation:
        """The boxes of one case; M is 0 where it has none.

        Raises:
            InputError: a box extends beyond its image by more than `MARGIN`, or is completely outside.
        """
        height, width = self._size(case)
        require_declared(self.table, case.path, self.sizes, width, height)
        boxes = self.boxes.get(case.path, ())
        size = np.array([width, height, width, height], dtype=np.float64)
        corners = np.array([box.corners for box in boxes], dtype=np.float64).reshape(-1, 4)
        corners *= size if self.fractions else 1.0
        clipped = corners.clip(0, size)
        out = (np.abs(corners - clipped) > MARGIN).any(axis=1) | (clipped[:, 2:] <= clipped[:, :2]).any(axis=1)
        if out.any():
            box = boxes[int(np.flatnonzero(out)[0])]
            raise InputError(
                f"{self.table}, {box.place}: the box {_words(box.corners)} extends beyond {case.name}, which is "
                f"{width} x {height} (width x height). Give boxes in {'fractions' if self.fractions else 'pixels'} of "
                "the stored image; data.box_mode says whether the numbers are corners, or a corner and a size."
            )
        classes = np.array([box.label for box in boxes], dtype=np.int64)
        return Annotation(boxes=(clipped / size).astype(np.float32), classes=classes)

    def files(self, case: Case) -> tuple[Path, ...]:
        """The text of its boxes, where it has one of its own."""
        return (self.texts[case.path],) if case.path in self.texts else ()

    def _size(self, case: Case) -> tuple[int, int]:
        shape = Folder(self.root).form(case).shape
        if len(shape) != 3:
            raise InputError(f"{self.root / case.path} is a volume, and boxes are in two dimensions. Give its slices.")
        return shape[1], shape[2]

    def content(self, case: Case) -> bytes:
        """The boxes as numbers, whatever lines they are in."""
        boxes: list[object] = [[box.label, *box.corners] for box in self.boxes.get(case.path, ())]
        return json.dumps(["fractions", *boxes] if self.fractions else boxes).encode()


def box_cases(boxes: Sheet, labels: BoxLabels, listing: Listing) -> tuple[Cases, BoxLines]:
    """The cases of a listing, and their boxes.

    Args:
        boxes: one line per box.
        labels: the boxes, and the columns that hold them.
        listing: one line per image; or the sheet of boxes itself, and then an image may have several lines.

    Raises:
        InputError: a column or file is not there, a box has no area, no number or no known class, or none is left.
    """
    # A table of boxes of a single class may have no column of classes.
    alone = labels.label == "label" and labels.label not in boxes.header and len(labels.names or ()) == 1
    boxes.require((labels.box_file, *([] if alone else [labels.label]), *labels.corners))
    boxed = [line for line in boxes.lines if not _empty(line, labels)]
    names = class_names(boxes, labels.label, boxed, labels.names)
    if labels.box_unit == "pixels":
        _require_pixels(boxes, boxed, labels)
    listing.require()
    # Boxes of images that the listing leaves out, those of other splits, are ignored.
    own = listing.sheet is boxes
    lines = [line for _, line in boxes.filtered(listing.where)] if own else boxes.lines
    cases = [] if own else [case for _, case in listing.lines()]
    paths = listing.located(boxes.path, labels.box_file, lines)
    if own:
        cases = _cases(listing, paths)
    held = _boxes_of(boxes, labels, names, cases, zip(lines, paths, strict=True))
    if not held and not listing.where:  # a filter may keep only healthy images
        described = boxes.path.suffix.lower() == ".json"
        fix = "Give the boxes of these images." if described else f"Check its column '{labels.box_file}'."
        raise InputError(f"{boxes.path} holds no box of the {len(cases)} images. {fix}")
    return (tuple(cases), names), BoxLines(boxes.path, listing.images, held, fractions=labels.box_unit == "fractions")


def _boxes_of(
    boxes: Sheet, labels: BoxLabels, names: tuple[str, ...], cases: Sequence[Case], lines: Iterable[tuple[Line, str]]
) -> dict[str, tuple[Box, ...]]:
    """The boxes of each case that has some, in the order of their lines."""
    found: dict[str, list[Box]] = {case.name: [] for case in cases}
    for line, path in lines:
        if path in found and not _empty(line, labels):
            found[path].append(_box(boxes.path, line, labels, names))
    return {name: tuple(own) for name, own in found.items() if own}


def require_declared(path: Path, name: str, sizes: Mapping[str, tuple[int, int]], width: int, height: int) -> None:
    """Refuse an image of another size than its annotations were drawn on.

    Raises:
        InputError: width or height differ.
    """
    if name in sizes and sizes[name] != (width, height):
        declared = " x ".join(map(str, sizes[name]))
        raise InputError(
            f"{path} says that {name} is {declared} (width x height), and the file is {width} x {height}. "
            "Give the images that were annotated."
        )


def _cases(listing: Listing, paths: Sequence[str]) -> list[Case]:
    """The cases of a sheet that has several lines per image, which must agree."""
    sheet, about, cases = listing.sheet, listing.about, dict[str, Case]()
    for (origin, line), name in zip(sheet.filtered(listing.where), paths, strict=True):
        case = about.case(listing, line, name, origin)
        first = cases.setdefault(name, case)
        for column, given, before in (
            (about.group, case.group, first.group),
            (about.site, case.site, first.site),
            (about.scanner, case.scanner, first.scanner),
            (about.region, case.region, first.region),
            *zip(about.cells, case.cells, first.cells, strict=True),
            *zip(about.views, case.views, first.views, strict=True),
        ):
            if given != before:
                raise InputError(
                    f"{sheet.path}, {line.place}: {name} has '{given}' in column '{column}', and '{before}' before. "
                    f"Give an image one value."
                )
    return list(cases.values())


def _empty(line: Line, labels: BoxLabels) -> bool:
    # Some programs list an image without boxes as a line without corners.
    return all(line.cells[column].lower() in _NOTHING for column in labels.corners)


def _require_pixels(sheet: Sheet, lines: Sequence[Line], labels: BoxLabels) -> None:
    """Refuse boxes that are fractions where pixels are expected: they would all lie in the first pixel."""
    numbers = [_number(sheet.path, line, column) for line in lines for column in labels.corners]
    if numbers and max(numbers) <= 1 and any(number % 1 for number in numbers):
        table = lines[0].word == "line"
        fix = 'Set data.box_unit = "fractions".' if table else "Multiply them by the width and the height of the image."
        raise InputError(
            f"{sheet.path}: all boxes lie between 0 and 1, so they are fractions of the image and not pixels. {fix}"
        )


def _box(table: Path, line: Line, labels: BoxLabels, names: tuple[str, ...]) -> Box:
    label = label_of(line.cells[labels.label], names) if labels.label in line.cells else 0
    if label is None:
        raise InputError(
            f"{table}, {line.place}: column '{labels.label}' holds '{line.cells[labels.label]}', which is not one "
            f"of the classes {listed(names)}. Correct the label, or list it among the classes."
        )
    corners = corners_of([_number(table, line, column) for column in labels.corners], labels.box_mode)
    left, top, right, bottom = corners
    if right <= left or bottom <= top:
        fix = "Take it out, or correct its numbers."
        if line.word == "line":
            fix = (
                "Take the line out; an image without boxes is a line without corners, or a line of a second table. "
                'If the numbers are a corner and a size, set data.box_mode = "xywh".'
            )
        raise InputError(f"{table}, {line.place}: the box {_words(corners)} has no area. {fix}")
    return Box(line.place, label, corners)


def _number(table: Path, line: Line, column: str) -> float:
    try:
        value = float(line.cells[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{table}, {line.place}: column '{column}' holds '{line.cells[column]}', which is not a "
            "number. Correct it, or leave all four corners empty for an image without boxes."
        )
    return value


def _words(corners: Sequence[float]) -> str:
    return "(" + ", ".join(f"{corner:g}" for corner in corners) + ")"

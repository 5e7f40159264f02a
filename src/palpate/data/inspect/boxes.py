"""Inspect a CSV: whether it lists boxes, of which classes, and what their numbers mean. A guess is a proposal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from palpate.data.inspect.box_columns import BoxNames, box_names, boxed_lines, unit_and_mode
from palpate.data.inspect.columns import LABEL_NAMES, MOST_CLASSES, named, spread
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.inspect.seen import UnreadError
from palpate.data.inspect.sheet_look import SheetLook
from palpate.data.inspect.table_faults import is_image_name
from palpate.data.listing import locate, visible
from palpate.data.sheets import Line, read_csv
from palpate.errors import InputError

__all__ = ["ALONE", "boxes_of"]

ALONE = "object"
"""Name of the class of boxes if no column gives one."""
_LABELS = ("class_name", "label_name", "category_name", "finding label", *LABEL_NAMES, "class_id", "category_id")
_PACKED = re.compile(r"[\[(]?\s*-?[\d.]+(?:[\s,;]+-?[\d.]+){3}\s*[\])]?")
"""Four numbers in one cell."""
_NUMBER = re.compile(r"-?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?")


def boxes_of(path: Path) -> FoundAnnotations | None:
    """The boxes of a CSV; None if no columns are named like those of boxes.

    Raises:
        UnreadError: it lists boxes, and they or their images cannot be read.
    """
    _, header, lines = read_csv(path)
    names = box_names(header)
    if names is None:
        if packed := _packed(header, lines):
            raise UnreadError(
                f"{path}: column '{packed}' holds the four numbers of a box in one cell. Write them into four columns, "
                "such as xmin, ymin, xmax, ymax, or x, y, width, height."
            )
        return None
    sheet = SheetLook(path, numbers=names.columns, repeated=True)
    boxed = boxed_lines(names, lines)
    if not boxed:
        raise UnreadError(f"{path}: no line holds a box in the columns {', '.join(names.columns)}. Fill them in.")
    label, others = _label(sheet, names, boxed)
    classes = tuple(sorted({line.cells[label] for line in boxed})) if label else (ALONE,)
    few = [(line, place) for line in spread(boxed) if (place := locate(sheet.images, line.cells[sheet.file]))]
    fractions, mode, doubtful = unit_and_mode(
        names, [line for line, _ in few], [sheet.images / place for _, place in few]
    )
    listing = _listing(sheet)
    whole = listing or sheet
    count = len({line.cells[whole.file] for line in whole.lines})
    seen = sheet.look()
    return FoundAnnotations(
        "boxes", path, sheet.images, sheet.file, classes, count, seen.form, seen.equal, label=label,
        corners=names.columns, listing=(listing.path, listing.file) if listing else None, split=whole.split,
        group=whole.group, splits=whole.splits, site=whole.site, scanner=whole.scanner, seen=seen, others=others,
        mode=mode, fractions=fractions, doubtful=doubtful,
    )  # fmt: skip


def _packed(header: Sequence[str], lines: Sequence[Line]) -> str:
    """The column whose cells have four numbers each; empty if there is none."""
    held = {column: [line.cells[column] for line in lines if line.cells[column]] for column in header}
    return next((column for column, cells in held.items() if cells and all(map(_PACKED.fullmatch, cells))), "")


def _label(sheet: SheetLook, names: BoxNames, boxed: list[Line]) -> tuple[str | None, tuple[str, ...]]:
    """The column of classes, and other possible ones; None if boxes have no class."""
    taken = (sheet.file, sheet.split, sheet.site, sheet.scanner, *names.columns)
    held = {column: {line.cells[column] for line in boxed} for column in sheet.header if column not in taken}
    held = {column: texts for column, texts in held.items() if not any(map(is_image_name, texts))}
    few = [column for column, texts in held.items() if "" not in texts and 1 <= len(texts) <= MOST_CLASSES]
    if known := named(_LABELS, few):
        return known, ()
    words = [c for c in few if len(held[c]) > 1 and not all(map(_NUMBER.fullmatch, held[c])) and c != sheet.group]
    return (words[0], tuple(words[1:]) or ("another column",)) if words else (None, ())


def _listing(boxes: SheetLook) -> SheetLook | None:
    """Another CSV in the folder, with one line for each image of the boxes, and perhaps for more images."""
    for path in visible(boxes.path.parent.iterdir()):
        if path == boxes.path or path.suffix.lower() not in (".csv", ".tsv"):
            continue
        try:
            sheet = SheetLook(path)
        except InputError:
            continue
        named_there = {line.cells[sheet.file] for line in sheet.lines}
        if sheet.images == boxes.images and {line.cells[boxes.file] for line in boxes.lines} <= named_there:
            return sheet
    return None

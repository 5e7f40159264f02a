"""The lines of the table that a first plan reads, one for each image."""

from __future__ import annotations

from pathlib import Path

from palpate.data.inspect.folder import FoundClasses
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.sheets import Sheet, read_csv

IN_A_TABLE = "the model needs it, and columns are those of a CSV (data.table), a datalist or a COCO file"
"""The question to the user where images lie in folders."""


def cells_of(layout: FoundClasses | FoundAnnotations) -> Sheet | None:
    """The lines of the CSV with one for each image, of the split that is audited; None for layouts without one."""
    path = _listing(layout)
    if path is None:
        return None
    path, header, lines = read_csv(path)
    split = layout.split if layout.splits else None
    kept = [line for line in lines if split is None or line.cells[split] == layout.splits[0][0]]
    return Sheet(path, header, kept)


def _listing(layout: FoundClasses | FoundAnnotations) -> Path | None:
    if isinstance(layout, FoundClasses):
        return layout.path if layout.kind == "csv" else None
    if layout.layout != "table":
        return None
    if layout.kind == "boxes":  # with several lines for an image, unless there is a listing
        return layout.listing[0] if layout.listing else None
    return layout.path

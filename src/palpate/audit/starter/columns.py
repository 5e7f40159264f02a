"""The lines of the table that a first plan reads, one for each image."""

from __future__ import annotations

from palpate.data.inspect.folder import FoundClasses
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.sheets import Sheet, read_csv


def cells_of(layout: FoundClasses | FoundAnnotations) -> Sheet | None:
    """The CSV with a line for each image; None for layouts without one."""
    if isinstance(layout, FoundClasses):
        return read_csv(layout.path) if layout.kind == "csv" else None
    if layout.layout != "table":
        return None
    if layout.kind == "boxes":  # with several lines for an image, unless there is a listing
        return read_csv(layout.listing[0]) if layout.listing else None
    return read_csv(layout.path)

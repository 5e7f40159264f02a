"""The cases and mask files that the lines of a listing name."""

from __future__ import annotations

from palpate.data.annotations.labels import MaskLabels
from palpate.data.annotations.mask_coding import Coding, checked_spacing, coded, structure_names
from palpate.data.annotations.masks import MaskFiles
from palpate.data.listing import Cases, Listing
from palpate.data.sheets import Line

__all__ = ["mask_cases"]


def mask_cases(
    listing: Listing, labels: MaskLabels, *, coding: Coding | None = None, empty: bool = False
) -> tuple[Cases, MaskFiles]:
    """The cases and masks of a listing.

    Args:
        listing: one line per image.
        labels: the masks, and how they are stored.
        coding: how they are stored where the layout defines it.
        empty: an image without a mask has none of the structures; without it the image is refused.

    Raises:
        InputError: a column or file is not there, values contradict each other, or no line is left.
    """
    coding = coding or coded(labels)
    names = structure_names(coding, labels.names)
    view = [coding.field] if coding.field else []
    listing.require(*coding.columns, *view)
    kept = listing.lines()
    files = {
        case.name: tuple(_mask(listing, line, name) for name in coding.columns if line.cells[name] or not empty)
        for line, case in kept
    }
    # A field of view that is not named is the whole image: sets of several cameras have it for some only.
    fields = {case.name: _mask(listing, line, coding.field) for line, case in kept if _has(line, coding.field)}
    given = None if labels.spacing is None else checked_spacing(labels.spacing)
    return (tuple(case for _, case in kept), names), MaskFiles(listing.images, coding, given, files, fields)


def _has(line: Line, column: str | None) -> bool:
    return column is not None and bool(line.cells[column])


def _mask(listing: Listing, line: Line, column: str | None) -> str:
    assert column is not None
    return listing.locate(line, column, f"take the {line.word} out; an image without structures needs a mask of zeros")

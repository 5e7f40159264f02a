"""The cases and mask files that the lines of a sheet name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from palpate.data.annotations.mask_coding import Coding, checked_spacing, structure_names
from palpate.data.annotations.mask_pairs import Naming, Unpaired, beside, mask_files, paired, pairs_sheet, picture_files
from palpate.data.annotations.masks import MaskFiles
from palpate.data.listing import About, Cases, listed_lines, locate
from palpate.data.sheets import Line, Sheet
from palpate.errors import InputError


def mask_cases(
    sheet: Sheet,
    images: Path,
    file: str,
    coding: Coding,
    structures: Sequence[str] | None,
    spacing: Sequence[float] | None,
    about: About,
    where: Mapping[str, object],
    *,
    empty: bool = False,
) -> tuple[Cases, MaskFiles]:
    """The cases and masks of a sheet; see `palpate.data.table.Table.from_masks`.

    With `empty` an image without a mask has none of the structures; else it is refused.
    """
    names = structure_names(coding, structures)
    view = [coding.field] if coding.field else []
    sheet.require((file, *coding.columns, *view, *about.columns, *where))
    kept = listed_lines(sheet, images, file, about, where)
    files = {
        case.name: tuple(_mask(sheet, images, line, name) for name in coding.columns if line.cells[name] or not empty)
        for line, case in kept
    }
    # A field of view that is not named is the whole image: sets of several cameras have it for some only.
    fields = {case.name: _mask(sheet, images, line, coding.field) for line, case in kept if _has(line, coding.field)}
    given = None if spacing is None else checked_spacing(spacing)
    return (tuple(case for _, case in kept), names), MaskFiles(images, coding, given, files, fields)


def _has(line: Line, column: str | None) -> bool:
    return column is not None and bool(line.cells[column])


def _mask(sheet: Sheet, images: Path, line: Line, column: str | None) -> str:
    assert column is not None
    cell = line.cells[column]
    name = locate(images, cell)
    if name is None:
        what = f"'{cell}', which does not exist under {images}" if cell else "nothing"
        raise InputError(
            f"{sheet.path}, {line.place}: column '{column}' holds {what}. Correct it, or take the {line.word} out; "
            "an image without structures needs a mask of zeros."
        )
    return name


def paired_cases(
    images: Path,
    masks: Path,
    naming: Naming,
    field: Path | None,
    unpaired: Unpaired,
    coding: Coding,
    structures: Sequence[str] | None,
    spacing: Sequence[float] | None,
) -> tuple[Cases, MaskFiles]:
    """The cases and masks of two folders; see `palpate.data.table.Table.from_mask_folders`."""
    together = images.resolve() == masks.resolve()
    views = mask_files(field, "fields of view") if field else []
    found = paired(picture_files(images), mask_files(masks), naming, fields=views, together=together)
    sheet = pairs_sheet(images, masks, field, found, unpaired)
    cases, held = mask_cases(sheet, images, "file", coding, structures, spacing, About(), {}, empty=unpaired == "empty")
    folder = os.path.relpath(masks, images)
    more = {name: tuple(beside(folder, mask) for mask in own[1:]) for name, own in found.masks.items() if own[1:]}
    return cases, replace(held, more=more)

"""Inspect a folder: its images with masks, boxes or several findings. A guess is a proposal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from palpate.data.inspect.boxes import boxes_of
from palpate.data.inspect.columns import (
    named,
    path_columns,
)
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.inspect.label_columns import finding_columns, finding_lists
from palpate.data.inspect.mask_values import MaskValues, stored_values
from palpate.data.inspect.prompts import prompt_columns
from palpate.data.inspect.seen import OtherKindError, UnreadError
from palpate.data.inspect.sheet_look import SheetLook
from palpate.data.inspect.table_look import TableLook
from palpate.data.listing import locate, visible
from palpate.data.sheets import read_csv
from palpate.errors import InputError

__all__ = ["FoundAnnotations", "find_annotated"]

_MASK_NAMES = ("mask", "masks", "segmentation", "seg", "label", "annotation", "gt", "truth")
_FIELD_NAMES = ("fov", "field", "roi", "view")
_MASKS_LOOKED_AT = 10
_MOST_STRUCTURES = 20


def find_annotated(folder: Path, unread: list[UnreadError] | None = None) -> tuple[FoundAnnotations, ...]:
    """The layouts of annotated images in a folder and one level below: masks, then boxes, then findings.

    A CSV may be listed twice, such as one with a column of masks and columns of findings; and it may be one of
    classes too, which `inspect.folder.find_tables` finds. Empty if there are none. What could not be read is
    added to `unread`.
    """
    places = [folder, *visible(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
    files = [path for place in places for path in visible(place.iterdir()) if path.suffix.lower() in (".csv", ".tsv")]
    found = [
        layout for look in (_masks, boxes_of, _findings) for path in files if (layout := _guess(look, path, unread))
    ]
    return tuple(found)


def _guess(
    look: Callable[[Path], FoundAnnotations | None], path: Path, unread: list[UnreadError] | None
) -> FoundAnnotations | None:
    try:
        return look(path)
    except UnreadError as error:
        if unread is not None:
            unread.append(error)
        return None
    except InputError as error:
        if unread is not None:
            unread.append(OtherKindError(str(error)))
        return None


def _masks(path: Path) -> FoundAnnotations | None:
    prompt = prompt_columns(read_csv(path).header)
    sheet = SheetLook(path, numbers=prompt)
    columns = [
        column
        for column in path_columns(sheet.images, sheet.header, sheet.lines)
        if column != sheet.file and column not in prompt
    ]
    field = named(_FIELD_NAMES, columns)
    others = [column for column in columns if column != field and not _names_its_images(sheet, column)]
    mask = named(_MASK_NAMES, others) or next(iter(others), None)
    if mask is None:
        return None
    values, threshold, doubt = _stored(sheet, mask)
    if not values:
        return None
    names = (mask,) if len(values) == 1 else tuple(str(value) for value in values)
    seen = sheet.look()
    return FoundAnnotations(
        "masks", path, sheet.images, sheet.file, names, len(sheet.lines), seen.form, seen.equal,
        mask=mask, values=values, threshold=threshold, doubt=doubt, field=field, others=_like(sheet, mask, others),
        split=sheet.split, group=sheet.group, splits=sheet.splits,
        site=sheet.site, scanner=sheet.scanner, seen=seen,
    )  # fmt: skip


def _names_its_images(sheet: SheetLook, column: str) -> bool:
    """Whether a column names images of the table, as labels 0 and 1 do beside images 0.png and 1.png."""
    images, others = ({locate(sheet.images, line.cells[name]) for line in sheet.lines} for name in (sheet.file, column))
    return others - {None} <= images


def _like(sheet: SheetLook, mask: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Columns of masks that are possible too: named like masks if that one is, and with few values."""
    known = named(_MASK_NAMES, [mask]) is not None
    alike = [column for column in columns if column != mask and (not known or named(_MASK_NAMES, [column]))]
    return tuple(column for column in alike if _stored(sheet, column).values)


def _stored(sheet: SheetLook, mask: str) -> MaskValues:
    """What a few masks store; no values if they are pictures and not masks."""
    few = sheet.lines[:: max(1, len(sheet.lines) // _MASKS_LOOKED_AT)]
    held = stored_values(sheet.images, [name for line in few if (name := locate(sheet.images, line.cells[mask]))])
    return held if len(held.values) < _MOST_STRUCTURES else MaskValues(())


def _findings(path: Path) -> FoundAnnotations | None:
    """The findings of a table: one column for each, or one column whose cells list them."""
    table = TableLook(path)
    listing = finding_lists(table.candidates)
    lists, names = listing if listing is not None else (None, finding_columns(table.candidates))
    if not names:
        return None
    seen = table.look()
    return FoundAnnotations(
        "findings", path, table.images, table.file, names, len(table.lines), seen.form, seen.equal,
        split=table.split, group=table.group, splits=table.splits, site=table.site, scanner=table.scanner, seen=seen,
        lists=lists, notes=table.left_out,
    )  # fmt: skip

"""A look at a folder: which images with masks, boxes or several findings lie there. A guess is a proposal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from palpate.data.annotated import AnnotatedLayout
from palpate.data.columns import (
    GROUP_NAMES,
    LABEL_NAMES,
    MOST_CLASSES,
    SCANNER_NAMES,
    SITE_NAMES,
    file_column,
    is_split,
    named,
    path_columns,
    sorted_splits,
    spread,
)
from palpate.data.label_columns import finding_columns, finding_lists
from palpate.data.listing import locate, visible
from palpate.data.mask_values import stored_values
from palpate.data.seen import OtherKindError, Seen, UnreadError, look_at
from palpate.data.sheets import read_csv
from palpate.data.table_look import TableLook
from palpate.errors import InputError

__all__ = ["AnnotatedLayout", "find_annotated"]

_MASK_NAMES = ("mask", "masks", "segmentation", "seg", "label", "annotation", "gt", "truth")
_FIELD_NAMES = ("fov", "field", "roi", "view")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_MASKS_LOOKED_AT = 10
_MOST_STRUCTURES = 20


def find_annotated(folder: Path, unread: list[UnreadError] | None = None) -> tuple[AnnotatedLayout, ...]:
    """The layouts of annotated images in a folder and one level below: masks, then boxes, then findings.

    A CSV may be listed twice, such as one with a column of masks beside columns of findings; and it may be one of
    classes too, which `palpate.data.inspect.find_tables` tells. Empty where there are none. To `unread` is added what
    could not be read.
    """
    places = [folder, *visible(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
    files = [path for place in places for path in visible(place.iterdir()) if path.suffix.lower() in (".csv", ".tsv")]
    found = [layout for look in (_masks, _boxes, _findings) for path in files if (layout := _guess(look, path, unread))]
    return tuple(found)


class _Sheet:
    """A CSV that was read: its header and lines, and the columns of splits and patients."""

    def __init__(self, path: Path, *, repeated: bool = False) -> None:
        self.path = path
        _, self.header, self.lines = read_csv(path)
        found = file_column(path, self.header, self.lines, repeated=repeated)
        if found is None:
            raise InputError(f"{path} names no images.")
        self.file, self.images = found
        values = {column: Counter(line.cells[column] for line in self.lines) for column in self.header}
        self.split = next((column for column, held in values.items() if is_split(held)), None)
        filled = [column for column, held in values.items() if "" not in held and len(held) > 1 and column != self.file]
        self.group = named(GROUP_NAMES, [column for column in filled if column != self.split])
        self.splits = sorted_splits(values[self.split]) if self.split else ()
        self.site, self.scanner = (
            named(names, [column for column in self.header if column != self.file])
            for names in (SITE_NAMES, SCANNER_NAMES)
        )
        self.values = values

    def look(self) -> Seen:
        """What a few of its images say of themselves."""
        few = spread(self.lines)
        return look_at([self.images / name for line in few if (name := locate(self.images, line.cells[self.file]))])


def _guess(
    look: Callable[[Path], AnnotatedLayout | None], path: Path, unread: list[UnreadError] | None
) -> AnnotatedLayout | None:
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


def _masks(path: Path) -> AnnotatedLayout | None:
    sheet = _Sheet(path)
    columns = [column for column in path_columns(sheet.images, sheet.header, sheet.lines) if column != sheet.file]
    field = named(_FIELD_NAMES, columns)
    others = [column for column in columns if column != field]
    mask = named(_MASK_NAMES, others) or next(iter(others), None)
    if mask is None:
        return None
    values = _stored(sheet, mask)
    if not values:
        return None
    names = (mask,) if len(values) == 1 else tuple(str(value) for value in values)
    seen = sheet.look()
    return AnnotatedLayout(
        "masks", path, sheet.images, sheet.file, names, len(sheet.lines), seen.form, seen.equal,
        mask=mask, values=values, field=field, split=sheet.split, group=sheet.group, splits=sheet.splits,
        site=sheet.site, scanner=sheet.scanner, seen=seen,
    )  # fmt: skip


def _stored(sheet: _Sheet, mask: str) -> tuple[int, ...]:
    """Values other than 0 of a few masks; none where they are pictures rather than masks."""
    few = sheet.lines[:: max(1, len(sheet.lines) // _MASKS_LOOKED_AT)]
    values = stored_values(sheet.images, [name for line in few if (name := locate(sheet.images, line.cells[mask]))])
    return values if len(values) < _MOST_STRUCTURES else ()


def _boxes(path: Path) -> AnnotatedLayout | None:
    _, header, lines = read_csv(path)
    lowered = {column.lower(): column for column in header}
    names = next((names for names in _CORNERS if all(name in lowered for name in names)), None)
    if names is None:
        return None
    sheet = _Sheet(path, repeated=True)
    boxed = [line for line in lines if line.cells[lowered[names[0]]]]
    columns = {column: {line.cells[column] for line in boxed} for column in header}
    few = [c for c, held in columns.items() if c not in (sheet.file, sheet.split) and 1 <= len(held) <= MOST_CLASSES]
    label = named(LABEL_NAMES, [column for column in few if "" not in columns[column]])
    if label is None:
        return None
    listing = _listing(sheet)
    whole = listing or sheet
    count = len({line.cells[whole.file] for line in whole.lines})
    left, top, right, bottom = (lowered[name] for name in names)
    seen = sheet.look()
    return AnnotatedLayout(
        "boxes", path, sheet.images, sheet.file, tuple(sorted(columns[label])), count, seen.form, seen.equal,
        label=label, corners=(left, top, right, bottom), listing=(listing.path, listing.file) if listing else None,
        split=whole.split, group=whole.group, splits=whole.splits,
        site=whole.site, scanner=whole.scanner, seen=seen,
    )  # fmt: skip


def _listing(boxes: _Sheet) -> _Sheet | None:
    """A CSV beside that of boxes with one line for each of its images, and perhaps for more."""
    for path in visible(boxes.path.parent.iterdir()):
        if path == boxes.path or path.suffix.lower() not in (".csv", ".tsv"):
            continue
        try:
            sheet = _Sheet(path)
        except InputError:
            continue
        named_there = {line.cells[sheet.file] for line in sheet.lines}
        if sheet.images == boxes.images and {line.cells[boxes.file] for line in boxes.lines} <= named_there:
            return sheet
    return None


def _findings(path: Path) -> AnnotatedLayout:
    """The findings of a table: a column each, or one column whose cells list them."""
    table = TableLook(path)
    listing = finding_lists(table.candidates)
    lists, names = listing if listing is not None else (None, finding_columns(table.candidates))
    if not names:
        raise OtherKindError(f"{path} holds no columns of findings.")
    seen = table.look()
    return AnnotatedLayout(
        "findings", path, table.images, table.file, names, len(table.lines), seen.form, seen.equal,
        split=table.split, group=table.group, splits=table.splits, site=table.site, scanner=table.scanner, seen=seen,
        lists=lists,
    )  # fmt: skip

"""A look at a folder: which images with masks, boxes or several findings lie there. A guess is a proposal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from palpate.data.cases import Case
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
from palpate.data.findings import FindingLists
from palpate.data.forms import Form
from palpate.data.label_columns import finding_columns, finding_lists
from palpate.data.listing import locate, visible
from palpate.data.seen import OtherKindError, Seen, UnreadError, look_at, reading
from palpate.data.sheets import read_csv
from palpate.data.table import Folder, Table
from palpate.data.table_look import TableLook
from palpate.errors import InputError

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

Kind = Literal["masks", "boxes", "findings"]
Corners = tuple[str, str, str, str]


@dataclass(frozen=True)
class AnnotatedLayout:
    """Annotated images as they lie in a folder.

    Attributes:
        kind: what is annotated.
        path: the CSV of masks, boxes or findings.
        images: folder that all paths start from.
        file: column of images.
        names: structures, classes of boxes, or findings; the order of the first two is to be confirmed.
        count: images in all; where there are boxes, those that `listing` or the CSV of boxes names.
        form: shape and stored type of the first image.
        equal: whether all images that were looked at have this form.
        mask: column of masks.
        values: stored values other than 0 in the masks that were looked at.
        field: column of field-of-view masks.
        label: column of classes of boxes.
        corners: columns of left, top, right and bottom of boxes.
        listing: a CSV with one line an image beside that of boxes, and its column of images.
        split: column of splits; of `listing`, if there is one.
        group: column of patients; of `listing`, if there is one.
        splits: names of the splits and their lines, the one to audit first.
        layout: how they lie there: a CSV, or the layout of another tool (`palpate.data.inspect_described`).
        exclusive: whether structures exclude one another, as far as the layout says.
        site: column that says where images were taken; of `listing`, if there is one.
        scanner: column of scanners; of `listing`, if there is one.
        seen: what the images that were looked at say of themselves; None where channels lie in files of their own.
        lists: the column of a CSV whose cells list findings.
    """

    kind: Kind
    path: Path
    images: Path
    file: str
    names: tuple[str, ...]
    count: int
    form: Form
    equal: bool
    mask: str | None = None
    values: tuple[int, ...] = ()
    field: str | None = None
    label: str | None = None
    corners: Corners | None = None
    listing: tuple[Path, str] | None = None
    split: str | None = None
    group: str | None = None
    splits: tuple[tuple[str, int], ...] = ()
    layout: Literal["table", "nnunet", "datalist", "coco", "voc", "medmnist"] = "table"
    exclusive: bool = True
    site: str | None = None
    scanner: str | None = None
    seen: Seen | None = None
    lists: FindingLists | None = None

    def words(self) -> str:
        """In one line for a terminal."""
        form = self.form.words() if self.equal else f"sizes differ, the first {self.form.words()}"
        return f"{self.path}: {self.count} images, {form}; {self.kind} of {', '.join(self.names)}"

    def table(self, split: str | None = None) -> Table:
        """The table of one split (the first of `splits` unless told), as this layout reads it.

        Raises:
            InputError: as the constructors of `palpate.data.table.Table`.
        """
        split = split or (self.splits[0][0] if self.splits else None)
        if self.layout != "table":
            return self._described(split)
        where = {self.split: split} if self.split and split else {}
        if self.kind == "masks":
            assert self.mask is not None
            return Table.from_masks(
                self.path, self.images, self.file, self.mask, structures=self.names, values=self.values,
                field=self.field, group=self.group, where=where,
            )  # fmt: skip
        if self.kind == "findings":
            return Table.from_findings(
                self.path, self.images, self.names, self.file, self.group, where, lists=self.lists
            )
        assert self.label is not None and self.corners is not None
        listing, listing_file = self.listing or (None, None)
        return Table.from_boxes(
            self.path, self.images, self.file, self.label, self.corners, listing=listing, listing_file=listing_file,
            group=self.group, where=where, classes=self.names,
        )  # fmt: skip

    def _described(self, split: str | None) -> Table:
        shows: Literal["boxes", "masks"] = "boxes" if self.kind == "boxes" else "masks"
        if self.layout == "medmnist":
            return Table.from_medmnist(self.path, split or "test", findings=self.names)
        if self.layout == "nnunet":
            return Table.from_nnunet(self.path, split, structures=self.names)
        if self.layout == "voc":
            return Table.from_voc(self.path, split, classes=self.names)
        if self.layout == "coco":
            return Table.from_coco(self.path, self.images, shows=shows, names=self.names, exclusive=self.exclusive)
        return Table.from_datalist(
            self.path, split, self.images, shows=shows, names=self.names, values=self.values or None
        )


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
    held: set[float] = set()
    for line in sheet.lines[:: max(1, len(sheet.lines) // _MASKS_LOOKED_AT)]:
        name = locate(sheet.images, line.cells[mask])
        if name:
            with reading():
                held |= set(np.unique(Folder(sheet.images).read(Case(name, -1, name, 0))).tolist())
    whole = all(value == int(value) and value >= 0 for value in held)
    return tuple(sorted(int(value) for value in held if value)) if whole and len(held) <= _MOST_STRUCTURES else ()


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

"""Annotated images as they were found in a folder, and the table that reads them so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from palpate.data.annotations.box_modes import BoxMode
from palpate.data.annotations.findings import FindingLists
from palpate.data.annotations.mask_pairs import Naming
from palpate.data.formats.forms import Form
from palpate.data.inspect.seen import Seen
from palpate.data.layouts.folder_tables import table_of_masks, table_of_voc_masks, table_of_yolo
from palpate.data.table import Table

__all__ = ["AnnotatedLayout", "Corners", "Kind"]

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
        corners: columns of the four numbers of boxes.
        mode: what these numbers are.
        fractions: whether they are fractions of the image and not pixels.
        doubtful: whether another `mode` fits as well.
        listing: a CSV with one line an image beside that of boxes, and its column of images.
        split: column of splits; of `listing`, if there is one.
        group: column of patients; of `listing`, if there is one.
        splits: names of the splits and their lines, the one to audit first.
        layout: how they lie there: a CSV, or the layout of another tool (`palpate.data.inspect.described`).
        exclusive: whether structures exclude one another, as far as the layout says.
        site: column that says where images were taken; of `listing`, if there is one.
        scanner: column of scanners; of `listing`, if there is one.
        seen: what the images that were looked at say of themselves; None where channels lie in files of their own.
        naming: how files of a folder of masks are named after images.
        view: folder of field-of-view masks beside that of masks.
        ignore_value: stored value of pixels of masks that count for nothing.
        threshold: from which stored value on masks show their structure, where they do not hold whole values.
        doubt: why 0 may be a structure in the masks; empty where nothing speaks for it.
        unmatched: images without masks and the other way round, in a sentence; empty where there are none.
        others: folders or columns of masks, or rules for their names, or data sets, that would do as well.
        notes: what the user should know of the images, in sentences.
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
    layout: Literal["table", "nnunet", "datalist", "coco", "voc", "masks", "yolo", "medmnist"] = "table"
    exclusive: bool = True
    site: str | None = None
    scanner: str | None = None
    seen: Seen | None = None
    naming: Naming = Naming()
    view: Path | None = None
    ignore_value: int | None = None
    threshold: float | None = None
    doubt: str = ""
    unmatched: str = ""
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lists: FindingLists | None = None
    mode: BoxMode = "xyxy"
    fractions: bool = False
    doubtful: bool = False

    def describe(self) -> str:
        """In one line for a terminal."""
        form = self.form.describe() if self.equal else f"sizes differ, the first {self.form.describe()}"
        more = "".join(f"; {words}" for words in (self.unmatched, *self.notes) if words)
        return f"{self.path}: {self.count} images, {form}; {self.kind} of {', '.join(self.names)}{more}"

    def table(self, split: str | None = None) -> Table:
        """The table of one split (the first of `splits` by default), as this layout reads it.

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
                threshold=self.threshold,
                field=self.field, group=self.group, where=where,
            )  # fmt: skip
        if self.kind == "findings":
            return Table.from_findings(
                self.path, self.images, self.names, self.file, self.group, where, lists=self.lists
            )
        assert self.corners is not None
        listing, listing_file = self.listing or (None, None)
        return Table.from_boxes(
            self.path, self.images, self.file, self.label or "label", self.corners, mode=self.mode,
            fractions=self.fractions, listing=listing, listing_file=listing_file,
            group=self.group, where=where, classes=self.names,
        )  # fmt: skip

    def _described(self, split: str | None) -> Table:
        shows: Literal["boxes", "masks"] = "boxes" if self.kind == "boxes" else "masks"
        if self.layout == "medmnist":
            return Table.from_medmnist(self.path, split or "test", findings=self.names)
        if self.layout == "coco":
            return Table.from_coco(self.path, self.images, shows=shows, names=self.names, exclusive=self.exclusive)
        if self.layout == "datalist":
            return Table.from_datalist(
                self.path,
                split,
                self.images,
                shows=shows,
                names=self.names,
                values=self.values or None,
                threshold=self.threshold,
            )
        return self._of_masks(split) if self.kind == "masks" else self._of_boxes(split)

    def _of_masks(self, split: str | None) -> Table:
        if self.layout == "nnunet":
            return Table.from_nnunet(self.path, split, structures=self.names)
        if self.layout == "voc":
            return table_of_voc_masks(self.path, split, structures=self.names, values=self.values)
        return table_of_masks(
            self.images, self.path, naming=self.naming, field=self.view, unpaired="skip", structures=self.names,
            values=self.values, ignore_value=self.ignore_value, threshold=self.threshold,
        )  # fmt: skip

    def _of_boxes(self, split: str | None) -> Table:
        if self.layout == "yolo":
            return table_of_yolo(self.path, split, classes=self.names)
        return Table.from_voc(self.path, split, classes=self.names)

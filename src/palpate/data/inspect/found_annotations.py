"""Annotated images as they were found in a folder, and the table that reads them so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from palpate.data.annotations.box_modes import BoxMode
from palpate.data.annotations.labels import BoxLabels, BoxUnit, FindingLabels, LabelKind, MaskLabels
from palpate.data.formats.forms import Form
from palpate.data.inspect.columns import spread
from palpate.data.inspect.seen import Seen
from palpate.data.layouts.mask_pairs import Naming
from palpate.data.layouts.registry import layout_named
from palpate.data.listing import About, locate
from palpate.data.sheets import read_csv
from palpate.data.table import Table, read_table

__all__ = ["FoundAnnotations", "Corners", "Kind"]

Kind = Literal["masks", "boxes", "findings"]
Corners = tuple[str, str, str, str]


@dataclass(frozen=True)
class FoundAnnotations:
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
        folds: `splits_final.json` of nnU-Net, where a split is a fold of it.
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
    lists: FindingLabels | None = None
    mode: BoxMode = "xyxy"
    fractions: bool = False
    doubtful: bool = False
    folds: Path | None = None

    def describe(self) -> str:
        """In one line for a terminal."""
        form = self.form.describe() if self.equal else f"sizes differ, the first {self.form.describe()}"
        more = "".join(f"; {words}" for words in (self.unmatched, *self.notes) if words)
        return f"{self.path}: {self.count} images, {form}; {self.kind} of {', '.join(self.names)}{more}"

    def only_drawn_in(self, folder: Path) -> bool:
        """Whether a folder holds masks of these images and none of the images, as far as a few of them show."""
        masks, images = self._mask_places()
        return any(place.is_relative_to(folder) for place in masks) and not any(
            place.is_relative_to(folder) for place in images
        )

    def _mask_places(self) -> tuple[set[Path], set[Path]]:
        """Folders of masks, and folders of images."""
        if self.kind != "masks" or self.layout not in ("masks", "table"):
            return set(), set()
        if self.layout == "masks":
            return {path for path in (self.path, self.view) if path}, {self.images}
        lines = spread(read_csv(self.path).lines)

        def places(*columns: str | None) -> set[Path]:
            named = (locate(self.images, line.cells[column]) for line in lines for column in columns if column)
            return {(self.images / name).parent for name in named if name}

        return places(self.mask, self.field, *self.others), places(self.file)

    def table(self, split: str | None = None) -> Table:
        """The table of one split (the first of `splits` by default), as this layout reads it.

        Raises:
            InputError: as `palpate.data.table.read_table`.
        """
        split = split or (self.splits[0][0] if self.splits else None)
        listing, listing_file = self.listing or (self.path, self.file)
        values: dict[str, object] = {
            "split": split,
            "splits": self.folds,
            "images": self.images,
            "image_name": self.naming.image,
            "mask_name": self.naming.mask,
            "field_name": self.naming.field,
            "field": self.view,
            "unpaired": "skip",
        }
        if self.layout == "table":
            where = {self.split: split} if self.split and split else {}
            values |= {"file": listing_file, "about": About(self.group), "where": where}
        path = listing if self.layout == "table" else self.path
        return read_table(layout_named(self.layout, path, values), self.labels())

    def labels(self) -> LabelKind:
        """What the images are labelled with."""
        if self.kind == "findings":
            return replace(self.lists or FindingLabels(), names=self.names)
        if self.kind == "masks":
            exclusive = self.exclusive if self.layout == "coco" else None
            return MaskLabels(
                self.names, self.mask or "mask", field=self.field, values=self.values or None, exclusive=exclusive,
                ignore_value=self.ignore_value, threshold=self.threshold,
            )  # fmt: skip
        boxes = self.path if self.listing else None
        corners = self.corners or BoxLabels.corners
        unit: BoxUnit = "fractions" if self.fractions else "pixels"
        return BoxLabels(self.names, boxes, self.file, self.label or "label", corners, self.mode, unit)

"""A CSV with one line per image, or for boxes also with one line per box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from palpate.data.annotations.boxes import BoxLines, box_cases
from palpate.data.annotations.classes import class_cases
from palpate.data.annotations.findings import finding_cases
from palpate.data.annotations.labels import BoxLabels, ClassLabels, FindingLabels, LabelKind, MaskLabels
from palpate.data.annotations.mask_table import mask_cases
from palpate.data.layouts.layout import LabelFields, Layout
from palpate.data.listing import About, Cases, Listing
from palpate.data.remote import Remote
from palpate.data.rows import Rows
from palpate.data.sheets import read_csv
from palpate.data.source import Folder

__all__ = ["CsvTable"]


@dataclass(frozen=True)
class CsvTable(Layout):
    """A CSV with one line per image.

    In UTF-8; with commas, semicolons or tabs.

    Attributes:
        images: folder that all paths start from, or one behind a URL; that of the CSV by default.
        file: column of the images; a bare identifier stands for the one image of that name.
        about: columns that say where an image comes from.
        where: keep the lines whose column has this value, such as `{"split": "test"}`.
    """

    called: ClassVar[str] = "a CSV"
    example: ClassVar[str] = "labels.csv"
    reads: ClassVar[LabelFields] = {
        ClassLabels: ("label",),
        FindingLabels: ("label", "separator", "ignored"),
        MaskLabels: ("mask", "field", "values", "ignore_value", "threshold"),
        BoxLabels: ("boxes", "box_file", "label", "corners", "box_mode", "box_unit"),
    }

    images: Path | Remote | None = None
    file: str = "file"
    about: About = About()
    where: Mapping[str, object] = field(default_factory=dict)

    def rows(self, labels: LabelKind) -> Rows:
        """The images of the lines; a CSV of boxes stands for the images that it names."""
        if isinstance(self.images, Remote):
            remote, images = self.images, self.images.folder
        else:
            remote, images = None, self.images or self.path.parent
        listing = Listing(read_csv(self.path), images, self.file, self.about, self.where, remote)
        source = Folder(images, remote=remote)
        if isinstance(labels, MaskLabels):
            cases, masks = mask_cases(listing, labels)
            return Rows(*cases, source, masks)
        if isinstance(labels, BoxLabels):
            cases, boxes = self._boxes(listing, labels)
            return Rows(*cases, source, boxes)
        if isinstance(labels, FindingLabels):
            cases, findings = finding_cases(listing, labels)
            return Rows(*cases, source, findings)
        return Rows(*class_cases(listing, labels), source)

    def _boxes(self, listing: Listing, labels: BoxLabels) -> tuple[Cases, BoxLines]:
        """The boxes of a second CSV, or of the table itself, whose images then are those that have a line."""
        if labels.boxes not in (None, self.path):
            return box_cases(read_csv(labels.boxes), labels, listing)
        return box_cases(listing.sheet, labels, replace(listing, file=labels.box_file))

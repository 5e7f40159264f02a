"""A folder of images and a folder of masks whose files belong together by their names."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from palpate.data.annotations.labels import LabelKind, MaskLabels
from palpate.data.annotations.mask_table import mask_cases
from palpate.data.layouts.layout import LabelFields, Layout
from palpate.data.layouts.mask_pairs import (
    STEM,
    Naming,
    Unpaired,
    beside,
    mask_files,
    paired,
    pairs_sheet,
    picture_files,
)
from palpate.data.listing import Listing
from palpate.data.rows import Rows
from palpate.data.source import Folder

__all__ = ["MaskFolders"]


@dataclass(frozen=True)
class MaskFolders(Layout):
    """A folder of masks, paired by their names with the images of `images`.

    Attributes:
        images: folder of the images, which may have folders below; by default that of the masks.
        image_name: how the files of images are named, `{stem}` for the part that the files of one image share.
        mask_name: how their masks are named; `*` matches any text, and then an image may have several masks.
        field: folder of field-of-view masks, whose zeros become `IGNORE`.
        field_name: how they are named.
        unpaired: what an image without a mask, or a mask without an image, means: `refuse`; `skip` leaves these files
            out; `empty`: an image without a mask has none of the structures.
    """

    called: ClassVar[str] = "a folder of masks"
    example: ClassVar[str] = "masks"
    reads: ClassVar[LabelFields] = {MaskLabels: ("values", "ignore_value", "threshold")}

    images: Path | None = None
    image_name: str = STEM
    mask_name: str = STEM
    field: Path | None = None
    field_name: str = STEM
    unpaired: Unpaired = "refuse"

    def rows(self, labels: LabelKind) -> Rows:
        """The images with their masks.

        Raises:
            InputError: a folder is missing, files have no counterpart, or values contradict each other.
        """
        assert isinstance(labels, MaskLabels)
        images, masks = self.images or self.path, self.path
        naming = Naming(self.image_name, self.mask_name, self.field_name)
        views = mask_files(self.field, "fields of view") if self.field else []
        together = images.resolve() == masks.resolve()
        pairs = paired(picture_files(images), mask_files(masks), naming, fields=views, together=together)
        listing = Listing(pairs_sheet(images, masks, self.field, pairs, self.unpaired), images)
        named = replace(labels, mask="mask", field="field" if self.field else None)
        cases, held = mask_cases(listing, named, empty=self.unpaired == "empty")
        folder = os.path.relpath(masks, images)
        more = {name: tuple(beside(folder, mask) for mask in own[1:]) for name, own in pairs.masks.items() if own[1:]}
        return Rows(*cases, Folder(images), replace(held, more=more))

"""Tables of images whose annotations lie in files of equal names: masks in a folder, boxes as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from palpate.data.annotations.boxes import BoxLines
from palpate.data.annotations.mask_coding import coded
from palpate.data.annotations.mask_pairs import Naming, Unpaired
from palpate.data.annotations.mask_table import mask_cases, paired_cases
from palpate.data.layouts.voc import voc_masks
from palpate.data.layouts.yolo import read_yolo, yolo_boxes
from palpate.data.listing import About, listed_lines
from palpate.data.table import Folder, Table

__all__ = ["table_of_masks", "table_of_voc_masks", "table_of_yolo"]

VOID = 255
"""Stored value of pixels that count for nothing in the masks of Pascal VOC."""


def table_of_masks(
    images: Path,
    masks: Path,
    *,
    naming: Naming | None = None,
    field: Path | None = None,
    unpaired: Unpaired = "refuse",
    structures: Sequence[str] | None = None,
    values: Sequence[int] | None = None,
    ignore_value: int | None = None,
    threshold: float | None = None,
    spacing: Sequence[float] | None = None,
    exclusive: bool = True,
) -> Table:
    """A table of images with masks from two folders whose files belong together by their names.

    Args:
        images: folder of the images, which may have folders below.
        masks: folder of the masks; it may be that of the images.
        naming: how files are named; without it a mask has the name of its image.
        field: folder of field-of-view masks, whose zeros become `IGNORE`.
        unpaired: what an image without a mask, or a mask without an image, means: `refuse`; `skip` leaves these
            files out; `empty`: an image without a mask has none of the structures.
        structures: as `values`, `ignore_value`, `spacing` and `exclusive`; see `Table.from_masks`.
        values: stored value of each structure.
        ignore_value: stored value that becomes `IGNORE`.
        threshold: instead of `values`; see `Table.from_masks`.
        spacing: mm of a pixel along each axis where files do not say.
        exclusive: give each pixel one structure at most.

    Raises:
        InputError: a folder is missing, files have no counterpart, or values contradict each other.
    """
    view = None if field is None else "field"
    coding = coded("mask", values, structures, view, ignore_value, exclusive, threshold)
    cases, held = paired_cases(images, masks, naming or Naming(), field, unpaired, coding, structures, spacing)
    return Table(*cases, Folder(images), held)


def table_of_voc_masks(
    root: Path,
    split: str | None = None,
    *,
    structures: Sequence[str] | None = None,
    values: Sequence[int] | None = None,
    ignore_value: int | None = VOID,
    spacing: Sequence[float] | None = None,
    exclusive: bool = True,
) -> Table:
    """A table of images with masks from a Pascal VOC folder: `JPEGImages`, `SegmentationClass`, `ImageSets`.

    Args:
        root: such as `VOC2012`.
        split: a list in `ImageSets/Segmentation`; without it `test`, else `val`, or all masks where there is no list.
        structures: as `values`, `ignore_value`, `spacing` and `exclusive`; see `Table.from_masks`.
        values: stored value of each structure, the number of its colour in the palette.
        ignore_value: stored value of outlines and of what no one judged.
        spacing: mm of a pixel along each axis where files do not say.
        exclusive: give each pixel one structure at most.

    Raises:
        InputError: a folder, split, image or mask is missing.
    """
    coding = coded("mask", values, structures, None, ignore_value, exclusive)
    sheet = voc_masks(root, split)
    cases, held = mask_cases(sheet, root, "file", coding, structures, spacing, About(), {})
    return Table(*cases, Folder(root), held)


def table_of_yolo(path: Path, split: str | None = None, *, classes: Sequence[str] | None = None) -> Table:
    """A table of images with boxes from a YOLO set. An image whose text is empty or missing has no boxes.

    Texts that hold polygons, as for segmentation, give the boxes around them.

    Args:
        path: `data.yaml`, or a folder with `images` and `labels`.
        split: `test`, `val` or `train`; without it the first of these that is there.
        classes: names of the classes in the model's order; without them as the set names them.

    Raises:
        InputError: a file, split or class is missing, or a text is damaged.
    """
    yolo = read_yolo(path)
    sheet, names, boxes, texts = yolo_boxes(yolo, split, classes)
    cases = tuple(case for _, case in listed_lines(sheet, yolo.root, "image", About(), {}))
    return Table(cases, names, Folder(yolo.root), BoxLines(path, yolo.root, boxes, fractions=True, texts=texts))

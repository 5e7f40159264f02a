"""Tables of images whose annotations lie in files of equal names: masks in a folder, boxes as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from palpate.data.mask_coding import coded
from palpate.data.mask_pairs import Naming, Unpaired
from palpate.data.mask_table import paired_cases
from palpate.data.table import Folder, Table

__all__ = ["table_of_masks"]


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
        spacing: mm of a pixel along each axis where files do not say.
        exclusive: give each pixel one structure at most.

    Raises:
        InputError: a folder is missing, files have no counterpart, or values contradict each other.
    """
    view = None if field is None else "field"
    coding = coded("mask", values, structures, view, ignore_value, exclusive)
    cases, held = paired_cases(images, masks, naming or Naming(), field, unpaired, coding, structures, spacing)
    return Table(*cases, Folder(images), held)

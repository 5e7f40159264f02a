"""One mask file on the grid of its image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from palpate.data.annotations.mask_images import is_mask_image, mask_size, read_mask_image
from palpate.data.cases import Case
from palpate.data.formats.finite import with_finite_values
from palpate.data.formats.forms import Array
from palpate.data.formats.registry import format_of, header_of
from palpate.data.formats.volumes import is_volume, read_volume_header, same_grid
from palpate.data.source import Folder
from palpate.errors import InputError


def stored_mask(root: Path, case: Case, name: str, *, coloured: bool = False, lossy: bool = False) -> Array:
    """The stored values (*spatial) of a mask file, in any format, of the size and place of its image.

    Args:
        root: folder that paths start from.
        case: the image.
        name: path of the mask.
        coloured: see `palpate.data.annotations.mask_images`.
        lossy: the same.

    Raises:
        InputError: the mask cannot be read, is in colour, or has another size or place than its image.
    """
    folder, mask = Folder(root), Case(name, -1, name, 0)
    path = root / name
    spatial, plain = folder.form(case).shape[1:], is_mask_image(path)
    own = mask_size(path) if plain else folder.header(mask).shape[1:]
    if own != spatial:
        raise InputError(
            f"{path} has the size {_times(own)}, and its image {case.name} {_times(spatial)}. "
            "Give each image the mask that was drawn on it."
        )
    if plain:
        return read_mask_image(path, coloured=coloured, lossy=lossy)
    _check_place(root, case, path)
    stored = mask_numbers(path)
    if (stored != stored[:1]).any():
        raise InputError(f"{path} stores colours. Save the mask as grey, each structure by its value.")
    grey: Array = stored[0]
    return grey


def mask_numbers(path: Path) -> Array:
    """The values (C, *spatial) of a mask that is not a picture; raises InputError for NaN, or as its format does."""
    scan = format_of(path).read(path)
    count = int(np.isnan(scan.stored).sum()) if scan.stored.dtype.kind == "f" else 0
    if count:
        raise InputError(
            f"{path} is a mask and holds NaN in {count} of {scan.stored.size} voxels. Write 0 there if nothing is "
            "drawn, for example with numpy.nan_to_num(mask, nan=0), and save it again."
        )
    return with_finite_values(path, scan).values


def region_mask(root: Path, case: Case) -> Array | None:
    """Where an image may change (*spatial) bool, from the mask in its column of regions; None if it names none.

    Raises:
        InputError: as in `stored_mask`.
    """
    return stored_mask(root, case, case.region) != 0 if case.region else None


def _check_place(root: Path, case: Case, path: Path) -> None:
    image = root / case.path
    if is_volume(path) and is_volume(image):
        apart = not same_grid(read_volume_header(image), read_volume_header(path))
    else:
        # Each format has its own coordinates for positions; sizes of voxels mean the same in all.
        ours, theirs = header_of(image).spacing, header_of(path).spacing
        apart = ours is not None and theirs is not None and not np.allclose(ours, theirs, rtol=0.01)
    if apart:
        raise InputError(
            f"{path} has another position in space or another spacing than its image {case.name}. Resample the mask "
            "to the image, or correct the header."
        )


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))

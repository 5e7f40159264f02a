"""What a few of many masks store: for a first plan after the inspection of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from palpate.data.annotations.mask_files import mask_numbers
from palpate.data.annotations.mask_images import COLOURS, is_mask_image, read_mask_image
from palpate.data.formats.forms import Array
from palpate.data.inspect.seen import reading
from palpate.errors import InputError

__all__ = ["MaskValues", "stored_values"]

_FEW = 6
"""So many different values are structures, for any distances between them."""
_MOST = 32
"""Masks of more different values are changed by JPEG or by scaling, or are pictures."""
_NEAR = 0.16
"""How near to an end of its range a value counts as that end, as a share of the range."""
_BETWEEN = 0.5
"""Most values between both ends that edges may have, as a share of those at the upper end."""
_RANGE = 64
"""Whole values of a smaller range are numbers of structures."""


class MaskValues(NamedTuple):
    """How masks store what they show.

    Attributes:
        values: stored values other than 0, sorted; 1 if there is a threshold; none in pictures.
        threshold: the lowest number that counts as the only structure, if values have been changed; otherwise None.
        doubt: why 0 may be a structure and not background; empty if nothing suggests it.
    """

    values: tuple[int, ...]
    threshold: float | None = None
    doubt: str = ""

    def lines(self) -> list[str]:
        """The lines of a plan for it."""
        if self.threshold is not None:
            why = "CHECK: JPEG or scaling has changed the masks; the structure is where they have this value or more"
            return [f"threshold = {self.threshold:g}  # {why}"]
        word = "0x{:06x}" if self.values and self.values[-1] >= COLOURS else "{}"
        listed = ", ".join(map(word.format, self.values))
        said = f"FILL IN: {self.doubt}" if self.doubt else "stored value of each structure; 0 is background"
        return [f"values = [{listed}]  # {said}"]


def stored_values(root: Path, names: Sequence[str]) -> MaskValues:
    """What some masks store; no values if they are pictures.

    Args:
        root: folder that paths start from.
        names: paths of masks.

    Raises:
        UnreadError: a file cannot be read.
    """
    held: dict[float, int] = {}
    with reading():
        grids = [_numbers(root, name) for name in names]
        if any(_is_coloured(grid) for grid in grids):
            grids = [_numbers(root, name, coloured=True) for name in names]
    for grid in grids:
        for value, count in zip(*(part.tolist() for part in np.unique(grid, return_counts=True)), strict=True):
            held[value] = held.get(value, 0) + count
    whole = all(value == int(value) and value >= 0 for value in held)
    changed = not whole or (len(held) > _FEW and _RANGE <= max(held) < COLOURS)
    if changed and (limit := _between(held)) is not None:
        return MaskValues((1,), limit)
    if not whole or len(held) > _MOST:
        return MaskValues(())
    return MaskValues(tuple(sorted(int(value) for value in held if value)), None, _doubt(grids))


def _doubt(grids: Sequence[Array]) -> str:
    """Why 0 may be a structure: masks have it inside, and another value all around (REFUGE draws black on white)."""
    around = {value for grid in grids for value in np.unique(_edge(grid)).tolist()}
    if len(around) != 1 or 0 in around or not any((grid == 0).any() for grid in grids):
        return ""
    outside = int(around.pop())
    return (
        f"every mask that was checked has {outside} along its whole edge, and 0 inside, and palpate reads 0 as "
        "background. If 0 is a structure, save the masks with 0 outside and give each structure a separate value"
    )


def _edge(grid: Array) -> Array:
    """The outermost values of the last two axes."""
    plane = grid.reshape(-1, *grid.shape[-2:])
    return np.concatenate([plane[:, 0], plane[:, -1], plane[..., 0], plane[..., -1]], axis=None)


def _numbers(root: Path, name: str, *, coloured: bool = False) -> Array:
    if not is_mask_image(root / name):
        return mask_numbers(root / name)
    try:
        return read_mask_image(root / name, coloured=coloured, lossy=not coloured)
    except InputError:
        if coloured:
            raise
        return read_mask_image(root / name, coloured=True)


def _is_coloured(grid: Array) -> bool:
    return bool(grid.size) and grid.dtype == np.int64 and int(grid.max()) >= COLOURS


def _between(held: dict[float, int]) -> float | None:
    """The number halfway between two values that most pixels are close to; None if there are not two such values."""
    low, high = min(held), max(held)
    reach = (high - low) * _NEAR
    below = sum(count for value, count in held.items() if value <= low + reach)
    above = sum(count for value, count in held.items() if value >= high - reach)
    if not np.isfinite([low, high]).all() or sum(held.values()) - below - above > _BETWEEN * above:
        return None
    middle = (low + high) / 2
    return 128.0 if 120 < middle < 136 else float(f"{middle:.3g}")

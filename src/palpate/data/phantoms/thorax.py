"""Digital thorax phantoms: synthetic CT of the chest in Hounsfield units, with lungs and pneumonic lesions.

Slices and volumes are cut from the same anatomy, given in mm. Slices are shown as radiologists see them, from the
feet: the patient's left lung is on the right of the image, and the back below. A phantom is a test object with
known truth, not a model of disease: what a network does on phantoms says nothing about patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from palpate.data.phantoms.canvas import Points, canvas
from palpate.data.phantoms.scanner import couch, scan
from palpate.data.phantoms.thorax_anatomy import HEIGHT, LEFT, RIGHT, Chest, Slice, Waves
from palpate.data.phantoms.thorax_slice import CONSOLIDATION, GROUND_GLASS, KINDS, Lesion, paint
from palpate.errors import InputError
from palpate.seeds import derive

LUNGS = ("left lung", "right lung")
"""Names of the labels 1 and 2; left and right are the patient's."""

WIDTH = 352.0
"""Width and height of the field of view in mm."""

THICKNESS = 3.0
"""Thickness of a single slice in mm."""

_LEVELS = (0.30, 0.84)


@dataclass(frozen=True)
class ThoraxPhantom:
    """A phantom with its ground truth; spatial axes are (y, x) of a slice and (z, y, x) of a volume."""

    image: npt.NDArray[np.int16]
    """Hounsfield units, -1024..3071. A volume's first slice is the lowest."""
    lungs: npt.NDArray[np.uint8]
    """Label of each pixel: 0 outside, 1 left lung, 2 right lung. Lesions and vessels of a lung belong to it."""
    lesions: npt.NDArray[np.bool_]
    """Pixels of lesions, all of them in a lung."""
    kinds: tuple[str, ...]
    """Kind of each lesion that was drawn: ground glass or consolidation."""
    spacing: tuple[float, ...]
    """Size of a pixel along each spatial axis in mm."""


def thorax_slice(rng: np.random.Generator, size: int = 128) -> ThoraxPhantom:
    """One axial slice of a random chest at a random height, with up to four lesions.

    Args:
        rng: Source of everything random.
        size: Width and height in pixels, at least 64; the field of view is always 352 mm.

    Raises:
        InputError: for a size below 64.
    """
    _require(size, 64)
    height = float(rng.uniform(*_LEVELS)) * HEIGHT
    return _phantom(rng, size, np.array([height]), THICKNESS, flat=True)


def thorax_volume(rng: np.random.Generator, depth: int = 48, size: int = 64) -> ThoraxPhantom:
    """A whole chest of `depth` slices that cover 288 mm, with up to six lesions.

    Args:
        rng: Source of everything random.
        depth: Number of slices, at least 16.
        size: Width and height of a slice in pixels, at least 32.

    Raises:
        InputError: for a smaller size.
    """
    _require(size, 32)
    _require(depth, 16)
    thickness = 288.0 / depth
    heights = np.asarray((np.arange(depth) + 0.5) * thickness - 14, np.float64)
    return _phantom(rng, size, heights, thickness, flat=False)


def thorax_set(
    count: int, seed: int, size: int = 128
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """`count` slices, each from its own generator: a longer set begins with the shorter one.

    Returns:
        Hounsfield units (count, size, size) int16; labels of lungs (count, size, size) uint8; lesions
        (count, size, size) bool.

    Raises:
        InputError: for a negative count or too small a size.
    """
    if count < 0:
        raise InputError("A set of phantoms needs a count of 0 or more.")
    shape = (count, size, size)
    images, lungs, lesions = np.empty(shape, np.int16), np.empty(shape, np.uint8), np.empty(shape, np.bool_)
    for i in range(count):
        made = thorax_slice(np.random.default_rng(derive(seed, "thorax", i)), size)
        images[i], lungs[i], lesions[i] = made.image, made.lungs, made.lesions
    return images, lungs, lesions


def _require(size: int, least: int) -> None:
    if size < least:
        raise InputError(f"A thorax phantom of {size} pixels cannot show its lungs. Use {least} or more.")


def _phantom(rng: np.random.Generator, size: int, heights: Points, thickness: float, *, flat: bool) -> ThoraxPhantom:
    chest = Chest.draw(rng)
    lesions = _disease(chest, heights, rng)
    grid, spacing = canvas(size), WIDTH / size
    turn, shift = float(rng.normal(0, 0.03)), rng.normal(0, 5, 2)
    x, y = grid.x * grid.scale * spacing, grid.y * grid.scale * spacing
    cos, sin = np.cos(turn), np.sin(turn)
    u = np.asarray(cos * (x - shift[0]) + sin * (y - shift[1]), np.float32)
    v = np.asarray(cos * (y - shift[1]) - sin * (x - shift[0]), np.float32)
    parts = [paint(chest, lesions, Slice(u, v, z), grid, spacing, thickness) for z in heights.tolist()]
    values, lungs, sick = (np.stack(column) for column in zip(*parts, strict=True))
    for plane in values:
        couch(plane, x, y, spacing, chest.deep + chest.muscle + chest.fat + 34)
    sizes: tuple[float, ...] = (thickness, spacing, spacing)
    if flat:
        values, lungs, sick, sizes = values[0], lungs[0], sick[0], (spacing, spacing)
    image = scan(values, np.array(sizes), float(rng.uniform(14, 40)), rng)
    return ThoraxPhantom(image, lungs, sick, tuple(lesion.kind for lesion in lesions), sizes)


def _disease(chest: Chest, heights: Points, rng: np.random.Generator) -> list[Lesion]:
    """None in one of four; otherwise some lesions, most of them below the pleura and towards the back."""
    if rng.random() < 0.25:
        return []
    low, high = heights.min() + 4, heights.max() - 4
    lesions = []
    for _ in range(int(rng.integers(1, 5 if len(heights) == 1 else 7))):
        solid = rng.random() < 0.35
        side = LEFT if rng.random() < 0.5 else RIGHT
        angle, out = rng.normal(0.55, 0.55), rng.uniform(0.6, 0.97)
        z = float(rng.uniform(low, high)) if len(heights) > 1 else float(heights[0] + rng.uniform(-8, 8))
        radius = rng.uniform(9, 22) if solid else rng.uniform(13, 34)
        stretch = rng.uniform(0.75, 1.35)
        lesions.append(
            Lesion(
                kind=CONSOLIDATION if solid else GROUND_GLASS,
                centre=(z, float(out * chest.deep * np.sin(angle)), float(side * out * chest.wide * np.cos(angle))),
                radii=(float(radius), float(radius * stretch), float(radius / stretch)),
                density=float(rng.uniform(-20, 45) if solid else rng.uniform(-620, -380)),
                rough=Waves.draw(rng, float(rng.uniform(11, 22))),
            )
        )
    return lesions


__all__ = ["KINDS", "LUNGS", "WIDTH", "ThoraxPhantom", "thorax_set", "thorax_slice", "thorax_volume"]

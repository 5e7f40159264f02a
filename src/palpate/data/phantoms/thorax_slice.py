"""One axial slice of a chest in Hounsfield units: organs drawn over one another from the skin inwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from palpate.data.phantoms.canvas import Array, Canvas
from palpate.data.phantoms.thorax_anatomy import HEIGHT, Chest, Slice, Waves, ball, ellipse

AIR, FAT, MUSCLE, SKIN, LIVER, CARTILAGE, SPONGIOSA, CORTEX = -1000, -100, 52, 15, 58, 105, 230, 720
"""Hounsfield units as on scanners at 120 kV, without a contrast agent."""

GROUND_GLASS, CONSOLIDATION = KINDS = ("ground glass", "consolidation")


@dataclass(frozen=True)
class Lesion:
    """A pneumonic lesion: ragged, denser towards its middle."""

    kind: str
    centre: tuple[float, float, float]
    """z, y, x in mm."""
    radii: tuple[float, float, float]
    """z, y, x in mm."""
    density: float
    """Hounsfield units in its middle."""
    rough: Waves

    def depth(self, at: Slice) -> Array:
        """How deep each pixel is in it: 0 at its outline, 1 in the middle, negative outside."""
        z, y, x = self.centre
        rz, ry, rx = self.radii
        away = np.sqrt(np.square((at.x - x) / rx) + np.square((at.y - y) / ry) + ((at.z - z) / rz) ** 2)
        return np.asarray(1 - away + 0.22 * self.rough.at(at), np.float32)


class Painter:
    """Draws shapes on one slice; at an edge two tissues are mixed by partial volume."""

    def __init__(self, at: Slice, spacing: float):
        self.values = np.full_like(at.x, AIR)
        self.spacing = np.float32(spacing)

    def cover(self, distance: Array) -> Array:
        """How much of each pixel is inside, 0..1."""
        return np.asarray(np.clip(0.5 - distance / self.spacing, 0, 1), np.float32)

    def lay(self, distance: Array, value: float | Array) -> None:
        """Paint the pixels at negative distances."""
        self.blend(self.cover(distance), value)

    def blend(self, share: Array, value: float | Array) -> None:
        """Mix a tissue in by its share of each pixel."""
        self.values += share * (np.asarray(value, np.float32) - self.values)

    def bone(self, distance: Array, shell: float) -> None:
        """Cortical bone around spongy bone."""
        self.lay(distance, CORTEX)
        self.lay(distance + np.float32(shell), SPONGIOSA)


def paint(
    chest: Chest, lesions: list[Lesion], at: Slice, grid: Canvas, spacing: float, thickness: float
) -> tuple[Array, npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """A slice of a chest.

    Returns:
        Hounsfield units (size, size); labels (size, size) uint8 0 outside, 1 left lung, 2 right lung; lesions
        (size, size) bool, inside the lungs.
    """
    painter = Painter(at, spacing)
    cage = chest.cage(at)
    _wall(painter, chest, at, cage)
    _middle(painter, chest, at)
    left, right = chest.lungs(at)
    lungs = np.minimum(left, right)
    sick = _air_spaces(painter, chest, lesions, at, lungs)
    painter.blend(chest.vessels.cut(grid, at.z, thickness, spacing) * painter.cover(lungs), chest.blood)
    beside = 1 - painter.cover(chest.pericardium(at))  # bronchi pass the heart
    painter.blend(chest.walls.cut(grid, at.z, thickness, spacing) * beside, 0)
    painter.blend(chest.air.cut(grid, at.z, thickness, spacing) * beside, AIR)
    _bones(painter, chest, at, cage)
    labels = np.where(left < 0, 1, np.where(right < 0, 2, 0)).astype(np.uint8)
    return painter.values, labels, sick & (labels > 0)


def _wall(painter: Painter, chest: Chest, at: Slice, cage: Array) -> None:
    """Skin, fat and muscle around the rib cage; shoulder muscles and blades in the upper chest."""
    a, b, level = chest.wide + chest.muscle + 6, chest.deep + chest.muscle + 6, at.z / HEIGHT
    skin = ellipse(at, 0, 6, a + chest.fat, b + 10 + chest.fat * 0.8, power=2.4)
    painter.lay(skin, SKIN)
    painter.lay(skin + 2.5, FAT + 12 * chest.grain.at(at))
    muscles = [ellipse(at, 0, 3, a, b - 2, power=2.3)]
    high = max(level - 0.35, 0)
    for side in (-1, 1):
        muscles.append(ellipse(at, side * 34, chest.deep + 11, 30, 14))
        muscles.append(ellipse(at, side * chest.wide * 0.86, chest.deep * 0.35, 20 + 30 * high, 48, turn=side * 0.5))
        if high:
            muscles.append(ellipse(at, side * 62, -chest.deep * 0.86, 55, 8 + 26 * high, turn=side * 0.35))
    inside = np.maximum(np.minimum.reduce(muscles), skin + 4)
    painter.lay(inside, MUSCLE + 6 * chest.grain.at(at))
    painter.lay(np.abs(cage - 13.5) - 1.2, FAT / 2)
    painter.lay(cage, FAT / 2)
    for left in (-1, 1) if high else ():
        blade = ellipse(at, left * chest.wide * 0.72, chest.deep * 0.98, 40, 3.6, turn=-left * 0.6)
        painter.bone(np.maximum(blade, skin + 8), 2.4)


def _middle(painter: Painter, chest: Chest, at: Slice) -> None:
    """Mediastinal fat, heart, great vessels, gullet, and the organs below the diaphragm."""
    level, blood = at.z / HEIGHT, chest.blood
    wall = 0.5 * (blood + MUSCLE)
    painter.lay(np.maximum(chest.mediastinum(at), chest.cage(at)), FAT + 25)
    painter.lay(ellipse(at, 6, chest.spine - 24, 8, 6), 35)
    heart = chest.pericardium(at)
    painter.lay(heart + 5, wall + 4 * chest.grain.at(at))
    for centre, radii in ((46, 24), (2, 22)):
        size = chest.heart
        chamber = ball(
            at, (0.33 * HEIGHT, -26 + (46 - centre) * 0.25, centre), (48 * size, 22 * size, radii * size), 0.5
        )
        painter.lay(np.maximum(chamber, heart + 10), blood)
    if 0.5 < level < 0.72:
        for x, y, a, b in ((-16, -20, 16, 16), (-34, -8, 9, 10), (22, -24, 15, 13)):
            painter.lay(ellipse(at, x, y, a, b), blood)
    if 0.52 < level < 0.6:  # the pulmonary arteries cross to both hila
        painter.lay(ellipse(at, 0, 0, 36, 8, turn=-0.15), blood)
    elif 0.68 < level < 0.77:
        painter.lay(ellipse(at, 8, 0, 38, 12, turn=0.9), blood)
        painter.lay(ellipse(at, -26, -18, 9, 10), blood)
    elif level >= 0.77:
        for x, y in ((-22, -14), (-8, -26), (10, -10), (19, 4), (24, -20)):
            painter.lay(ellipse(at, x, y, 7, 7), blood)
    painter.lay(chest.aorta(at), blood)
    for dome, organ in zip(chest.domes(at), (48, LIVER), strict=True):
        painter.lay(np.maximum(dome, chest.cage(at)), organ + 4 * chest.grain.at(at) + 0.12 * (blood - 40))


def _air_spaces(
    painter: Painter, chest: Chest, lesions: list[Lesion], at: Slice, lungs: Array
) -> npt.NDArray[np.bool_]:
    """Lung tissue, denser where it hangs down, with lesions; returns where lesions are, (size, size) bool."""
    tissue = chest.lung + 0.32 * at.y + 14 * chest.grain.at(at)
    sick = np.zeros(at.x.shape, bool)
    for lesion in lesions:
        depth = lesion.depth(at)
        solid = lesion.kind == CONSOLIDATION
        rise = np.clip(depth / (0.12 if solid else 0.35), 0, 1) * (1 if solid else 0.75 + 0.25 * lesion.rough.at(at))
        tissue = np.where(
            depth > 0, np.maximum(tissue, tissue + np.clip(rise, 0, 1) * (lesion.density - tissue)), tissue
        )
        sick |= depth > 0.06
    painter.lay(lungs, tissue)
    return sick


def _bones(painter: Painter, chest: Chest, at: Slice, cage: Array) -> None:
    """Ribs with cartilage at the breastbone, breastbone and spine."""
    ribs = chest.ribs(at, cage)
    front = np.clip((-at.y / chest.deep - 0.62) * 6, 0, 1) * (np.abs(at.x) < chest.wide * 0.75)
    painter.blend(painter.cover(ribs), CORTEX * (1 - front) + CARTILAGE * front)
    painter.blend(painter.cover(ribs + 2.2), SPONGIOSA * (1 - front) + CARTILAGE * front)
    if at.z > 0.28 * HEIGHT:
        painter.bone(ellipse(at, 0, -chest.deep - 5, 19, 6.5), 2.4)
    y = chest.spine + 4
    painter.bone(ellipse(at, 0, y + 21, 17, 14), 3)
    for side in (-1, 1):
        painter.bone(ellipse(at, side * 22, y + 24, 17, 4.5, turn=side * 0.35), 2.4)
    painter.bone(ellipse(at, 0, y + 40, 4.5, 15), 2.4)
    painter.bone(ellipse(at, 0, y, 19, 16), 2.6)
    painter.lay(ellipse(at, 0, y + 21, 9.5, 8), 32)

"""The chest of a thorax phantom: organs as distances in mm, drawn into one axial slice at a time.

Axes in mm: x to the right of the image, which is the patient's left (radiological convention, seen from the feet);
y downwards, to the patient's back; z to the head, 0 at the lowest level of the lungs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from palpate.data.phantoms.airways import Tubes, airways, grow, joined
from palpate.data.phantoms.canvas import Array, Points

HEIGHT = 260.0
"""Height of the lungs in mm before scaling by the patient's size."""

LEFT, RIGHT = 1.0, -1.0
"""Sign of x of the patient's sides."""

_RIB_EVERY = 27.0
_RIB_DROP = 85.0


class Slice(NamedTuple):
    """The position of an axial slice: coordinates of its pixels in the patient, (size, size), and its height, in mm."""

    x: Array
    y: Array
    z: float


def ellipse(at: Slice, x: float, y: float, a: float, b: float, *, turn: float = 0.0, power: float = 2.0) -> Array:
    """Signed distance along rays from (x, y) to a superellipse of half axes `a`, `b`; negative inside, in mm."""
    u, v = at.x - np.float32(x), at.y - np.float32(y)
    if turn:
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        u, v = cos * u + sin * v, cos * v - sin * u
    share = (np.abs(u / np.float32(a)) ** power + np.abs(v / np.float32(b)) ** power) ** (1 / power)
    away = np.hypot(u, v)
    return np.asarray(np.where(share > 1e-4, away - away / np.maximum(share, 1e-4), -min(a, b)), np.float32)


def ball(at: Slice, centre: tuple[float, float, float], radii: tuple[float, float, float], turn: float = 0.0) -> Array:
    """Signed distance to an ellipsoid's section; centre and radii in the order z, y, x; far outside without one."""
    height = (at.z - centre[0]) / radii[0]
    if abs(height) >= 1:
        return np.full_like(at.x, 1e3)
    share = np.sqrt(1 - height**2)
    return ellipse(at, centre[2], centre[1], radii[2] * share, radii[1] * share, turn=turn)


def overlap(*distances: Array, soft: float = 5.0) -> Array:
    """Signed distance to the intersection of all shapes, with corners rounded by about `soft` mm."""
    stack = np.stack(distances) / np.float32(soft)
    top = stack.max(0)
    return np.asarray((top + np.log(np.exp(np.maximum(stack - top, -30)).sum(0))) * np.float32(soft), np.float32)


@dataclass(frozen=True)
class Waves:
    """Smooth random texture in space, of mean 0 and deviation 1: a sum of plane waves, the same on every grid."""

    vectors: Points
    phases: Points

    @classmethod
    def draw(cls, rng: np.random.Generator, length: float, count: int = 20) -> Waves:
        """Waves of about `length` mm in random directions."""
        ways = rng.standard_normal((count, 3))
        ways *= (2 * np.pi / length * rng.uniform(0.6, 1.5, (count, 1))) / np.linalg.norm(ways, axis=1, keepdims=True)
        return cls(ways, rng.uniform(0, 2 * np.pi, count))

    def at(self, where: Slice) -> Array:
        """Its values on a slice, (size, size)."""
        total = np.zeros_like(where.x)
        for (kz, ky, kx), phase in zip(self.vectors.tolist(), self.phases.tolist(), strict=True):
            total += np.cos(np.float32(kx) * where.x + np.float32(ky) * where.y + np.float32(kz * where.z + phase))
        return np.asarray(total * np.sqrt(2 / len(self.phases)), np.float32)


@dataclass(frozen=True)
class Chest:
    """One patient's chest without disease. Lengths in mm."""

    wide: float
    deep: float
    fat: float
    muscle: float
    heart: float
    dome: float
    blood: float
    lung: float
    rib_phase: float
    grain: Waves
    vessels: Tubes
    walls: Tubes
    air: Tubes

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Chest:
        """A random adult with raised arms; blood is enhanced by a contrast agent in two of five."""
        hila = tuple(np.array([0.52 * HEIGHT, 8.0, side * 34.0]) for side in (LEFT, RIGHT))
        ways = tuple(_fan(side, rng) for side in (LEFT, RIGHT))
        trees = [grow(hilum, _fan(side, rng), 4.8, rng) for hilum, side in zip(hila, (LEFT, RIGHT), strict=True)]
        more = [grow(hilum, _fan(side, rng), 4.0, rng) for hilum, side in zip(hila, (LEFT, RIGHT), strict=True)]
        carina = np.array([0.62 * HEIGHT, 12.0, -2.0])
        walls, air = airways(carina, (hila[0], hila[1]), (ways[0], ways[1]), rng)
        return cls(
            wide=float(rng.uniform(116, 132)),
            deep=float(rng.uniform(78, 92)),
            fat=float(rng.uniform(5, 22)),
            muscle=float(rng.uniform(8, 13)),
            heart=float(rng.uniform(0.88, 1.12)),
            dome=float(rng.uniform(0.24, 0.34)) * HEIGHT,
            blood=float(rng.uniform(120, 200) if rng.random() < 0.4 else rng.uniform(36, 48)),
            lung=float(rng.uniform(-880, -800)),
            rib_phase=float(rng.uniform(0, _RIB_EVERY)),
            grain=Waves.draw(rng, 16.0),
            vessels=joined(*trees, *more),
            walls=walls,
            air=air,
        )

    @property
    def spine(self) -> float:
        """Middle of the vertebral bodies along y."""
        return self.deep * 0.72

    def cage(self, at: Slice) -> Array:
        """Signed distance to the inner wall of the rib cage, which narrows towards the apex."""
        level = at.z / HEIGHT
        narrow = 1 - 0.55 * max(level - 0.55, 0) ** 1.5 / 0.45**1.5
        return ellipse(at, 0, 0, self.wide * narrow, self.deep * (0.45 + 0.55 * narrow), power=2.3)

    def mediastinum(self, at: Slice) -> Array:
        """Signed distance to everything between the lungs: fat, heart, great vessels and spine."""
        column = ellipse(at, 2, 2, 34, self.deep * 0.95, power=1.9)
        bones = ellipse(at, 0, self.spine + 6, 25, 24)
        shape = np.minimum.reduce([column, self.pericardium(at), self.aorta(at), bones])
        return np.asarray(shape + 1.6 * self.grain.at(at), np.float32)

    def pericardium(self, at: Slice) -> Array:
        """Signed distance to the heart with its fat; far outside above and below."""
        size = self.heart
        return ball(at, (0.33 * HEIGHT, -20, 20), (66 * size, 48 * size, 68 * size), turn=0.5)

    def aorta(self, at: Slice) -> Array:
        """Signed distance to the descending aorta, on the left before the spine."""
        if at.z > 0.74 * HEIGHT:
            return np.full_like(at.x, 1e3)
        return ellipse(at, 21, self.spine - 17, 13.5, 13.5)

    def domes(self, at: Slice) -> tuple[Array, Array]:
        """Signed distances to the left and the right dome of the diaphragm, with spleen and liver below."""
        right = ball(at, (self.dome - 84, -4, -66), (84, 74, 68))
        left = ball(at, (self.dome - 98, 4, 66), (84, 70, 62))
        return left, right

    def lungs(self, at: Slice) -> tuple[Array, Array]:
        """Signed distances to the left and the right lung."""
        inside, between = self.cage(at), -self.mediastinum(at)
        top = np.full_like(at.x, (at.z - 0.97 * HEIGHT) * 0.8)
        left, right = self.domes(at)
        # Below the heart only the spine separates them; the midline decides the rest.
        return (
            overlap(inside, between, top, -left, -at.x),
            overlap(inside, between, top, -right, at.x),
        )

    def ribs(self, at: Slice, cage: Array) -> Array:
        """Signed distance to the nearest rib: rings around the cage that fall towards the front."""
        angle = np.arctan2(at.y / self.deep, at.x / self.wide)
        drop = _RIB_DROP * np.arccos(np.clip(np.sin(angle), -1, 1)) / np.pi
        up = (at.z + drop + self.rib_phase + _RIB_EVERY / 2) % _RIB_EVERY - _RIB_EVERY / 2
        return np.asarray((np.hypot(up / 5.5, (cage - 6.5) / 4.2) - 1) * 4.2, np.float32)


def _fan(side: float, rng: np.random.Generator) -> Points:
    """Directions of nine trunks from the hilum into a lung: outwards, and to all heights, front and back."""
    turn = np.linspace(0, 2 * np.pi, 9, endpoint=False) + rng.normal(0, 0.25, 9)
    tilt = rng.uniform(0.5, 1.3, 9)
    return np.stack([np.sin(turn) * tilt, np.cos(turn) * tilt, np.full(9, side * 0.8)], 1)

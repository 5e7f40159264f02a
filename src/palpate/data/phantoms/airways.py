"""Vessels and airways of the lungs: trees of soft tubes in space, from the hila outwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palpate.data.phantoms.canvas import Array, Canvas, Points

STEP = 2.5
"""Length of one step along a tube, in mm."""

_CHILDREN = (7, 3, 0)
_LENGTHS = ((75.0, 110.0), (35.0, 60.0), (15.0, 30.0))
_WALL = 1.3


@dataclass(frozen=True)
class Tubes:
    """Points along centre lines with their radii; mm, axes z (to the head), y (to the back), x (to the left side)."""

    points: Points
    """(n, 3)."""
    radii: Points
    """(n,)."""

    def widened(self, by: float) -> Tubes:
        """The same tubes with a radius greater by `by` mm."""
        return Tubes(self.points, self.radii + by)

    def cut(self, grid: Canvas, z: float, thickness: float, spacing: float) -> Array:
        """How much of each pixel of the slice at `z` is in a tube, (size, size), 0..1.

        A tube thinner than the slice fills only its share of the thickness (partial volume).
        """
        beside = np.maximum(np.abs(self.points[:, 0] - z) - thickness / 2, 0)
        hit = beside < self.radii
        radii = np.sqrt(np.square(self.radii[hit]) - np.square(beside[hit]))
        share = np.minimum(2 * self.radii[hit] / thickness, 1)
        cover = grid.blank()
        unit = spacing * grid.scale
        order = np.argsort(radii)
        # Stamping costs as much as the widest disc of a call, so narrow and wide ones are drawn in separate calls.
        for part in np.array_split(order, 3):
            grid.stamp(cover, self.points[hit][part][:, :0:-1] / unit, radii[part] / unit, "flat", share[part])
        return cover


def joined(*parts: Tubes) -> Tubes:
    """All tubes of several trees."""
    return Tubes(np.concatenate([part.points for part in parts]), np.concatenate([part.radii for part in parts]))


def straight(start: Points, end: Points, radius: float) -> Tubes:
    """A straight tube."""
    count = int(np.ceil(np.linalg.norm(end - start) / STEP)) + 1
    shares = np.linspace(0, 1, count)[:, None]
    return Tubes(start + shares * (end - start), np.full(count, radius))


def _unit(vectors: Points) -> Points:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _walk(starts: Points, headings: Points, length: float, rng: np.random.Generator) -> tuple[Points, Points]:
    """Positions and headings (n, steps, 3) of n tubes that wind smoothly."""
    turns = np.cumsum(rng.normal(0, 0.075, (len(starts), int(length / STEP), 3)), 1)
    ways = _unit(headings[:, None] + turns)
    return starts[:, None] + np.cumsum(ways * STEP, 1), ways


def grow(hilum: Points, headings: Points, radius: float, rng: np.random.Generator) -> Tubes:
    """A tree of one lung in three generations, thinner and shorter from one to the next.

    Args:
        hilum: Where the trunks start, (3,), mm.
        headings: Directions of the trunks, (n, 3).
        radius: Radius of the trunks at the hilum, in mm.
        rng: Source of the tree.
    """
    starts = np.repeat(hilum[None], len(headings), 0)
    radii = radius * rng.uniform(0.75, 1.0, len(headings))
    ways = _unit(headings)
    tubes = []
    for children, lengths in zip(_CHILDREN, _LENGTHS, strict=True):
        path, along = _walk(starts, ways, float(rng.uniform(*lengths)), rng)
        steps = path.shape[1]
        taper = radii[:, None] * (1 - 0.55 * np.arange(steps) / steps)
        tubes.append(Tubes(path.reshape(-1, 3), taper.reshape(-1)))
        if children:
            at = ((np.arange(children) + rng.uniform(0.1, 0.9, (len(path), children))) / children * steps).astype(int)
            at = np.clip(at, 2, steps - 1)
            rows = np.arange(len(path))[:, None]
            starts, radii = path[rows, at].reshape(-1, 3), (taper[rows, at] * rng.uniform(0.55, 0.75)).reshape(-1)
            ways = _unit(along[rows, at].reshape(-1, 3) + _unit(rng.standard_normal((len(starts), 3))) * 0.9)
    return joined(*tubes)


def airways(
    carina: Points, hila: tuple[Points, Points], headings: tuple[Points, Points], rng: np.random.Generator
) -> tuple[Tubes, Tubes]:
    """Trachea, main bronchi and their first branches.

    Returns:
        The walls (filled) and the air in them.
    """
    trachea = straight(carina, carina + np.array([140.0, 6.0, 0.0]), float(rng.uniform(7.5, 9.5)))
    parts = [trachea]
    for hilum, ways in zip(hila, headings, strict=True):
        parts.append(straight(carina, hilum, float(rng.uniform(5.5, 6.5))))
        path, _ = _walk(np.repeat(hilum[None], len(ways), 0), _unit(ways), 45.0, rng)
        radii = np.linspace(3.6, 1.4, path.shape[1])
        parts.append(Tubes(path.reshape(-1, 3), np.tile(radii, len(ways))))
    air = joined(*parts)
    return air.widened(_WALL), air

"""A square pixel grid in units of the field of view, and the only way to draw on it: stamping soft discs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Profile = Literal["cylinder", "flat", "soft"]

FIELD_SHARE = 0.955
"""Radius of the field of view over half the image's width."""


@dataclass(frozen=True)
class Canvas:
    """Pixel centres of a `size` x `size` image; the field of view is the unit disc, x to the right, y downwards."""

    size: int
    x: Array
    y: Array

    @property
    def scale(self) -> float:
        """Pixels per unit: the radius of the field of view in pixels."""
        return FIELD_SHARE * self.size / 2

    def distance(self, x: float, y: float) -> Array:
        """Distance of every pixel from a point, (size, size), in units of the field's radius."""
        return np.asarray(np.hypot(self.x - np.float32(x), self.y - np.float32(y)), np.float32)

    def blank(self) -> Array:
        """A map of zeros, (size, size)."""
        return np.zeros((self.size, self.size), np.float32)

    def smooth_noise(self, rng: np.random.Generator, cells: int) -> Array:
        """Gaussian noise of mean 0 and deviation 1 that varies over 1/`cells` of the image, the same at every size."""
        weights = _bumps(self.size, cells)
        coarse = rng.standard_normal((weights.shape[1],) * 2, np.float32)
        # einsum, not @: threads of a linear-algebra library cost more than they save, and results differ by machine.
        return np.asarray(np.einsum("il,jl->ij", np.einsum("ik,kl->il", weights, coarse), weights), np.float32)

    def at(self, values: Array, points: Points) -> Array:
        """The value of a map at the pixel nearest to each of `points`, (n,)."""
        column, row = np.rint(points.T * self.scale + (self.size - 1) / 2).astype(np.intp).clip(0, self.size - 1)
        return np.asarray(values[row, column], np.float32)

    def stamp(
        self,
        target: Array,
        centres: Points,
        radii: Points,
        profile: Profile = "flat",
        strength: Points | None = None,
        ragged: Points | None = None,
    ) -> None:
        """Raise `target` in place to the greatest of itself and one disc per centre.

        Discs thinner than a pixel keep their integral across: they are drawn wider and fainter. Profiles: `flat`
        is 1 inside with an edge of one pixel; `cylinder` is the chord through a tube, sqrt(1 - d^2); `soft` is a
        Gaussian that has fallen to 1/e at the radius.

        Args:
            target: Map of (size, size).
            centres: (n, 2), x and y.
            radii: (n,), in units of the field's radius.
            profile: How a disc falls off.
            strength: (n,) greatest value of each disc; None: 1.
            ragged: (n, 4) amplitudes and phases of two angular waves that make the outline irregular, or None.
        """
        if not len(centres):
            return
        pixels = np.asarray(centres * self.scale + (self.size - 1) / 2, np.float32)
        radius = np.asarray(radii * self.scale, np.float32)
        drawn = np.maximum(radius, np.float32(0.8))
        reach = int(np.ceil((drawn * (1.5 if profile != "soft" else 2.2)).max() + 1))
        offsets = np.arange(-reach, reach + 1, dtype=np.int32)
        corner = np.rint(pixels).astype(np.int32)
        columns = corner[:, 0, None] + offsets
        rows = corner[:, 1, None] + offsets
        dx = (columns - pixels[:, 0, None]).astype(np.float32)[:, None, :]
        dy = (rows - pixels[:, 1, None]).astype(np.float32)[:, :, None]
        d = np.hypot(dx, dy)
        edge = drawn[:, None, None]
        if ragged is not None:
            edge = edge * _outline(np.arctan2(dy, dx), ragged)
        peak = np.minimum(radius / drawn, 1) * (1.0 if strength is None else strength)
        value = _falloff(d, edge, profile) * peak[:, None, None]
        inside = ((columns >= 0) & (columns < self.size))[:, None, :] & ((rows >= 0) & (rows < self.size))[:, :, None]
        index = rows[:, :, None] * self.size + columns[:, None, :]
        np.maximum.at(target.reshape(-1), index[inside], value[inside].astype(np.float32))


def _outline(angle: Points, ragged: Points) -> Points:
    """1 plus two angular waves, of two and five lobes."""
    wave = ragged[:, :, None, None]
    return np.asarray(1 + wave[:, 0] * np.cos(2 * angle + wave[:, 1]) + wave[:, 2] * np.cos(5 * angle + wave[:, 3]))


def _falloff(distance: Points, edge: Points, profile: Profile) -> Points:
    if profile == "flat":
        return np.asarray(np.clip(edge - distance + 0.5, 0, 1))
    if profile == "soft":
        return np.asarray(np.exp(-np.square(distance / edge)))
    return np.asarray(np.sqrt(np.clip(1 - np.square(distance / (edge + 0.35)), 0, 1)))


@cache
def _bumps(size: int, cells: int) -> Array:
    """Gaussian bumps along one axis, (size, cells + 2), each row of unit length so that noise keeps its variance."""
    along = (np.arange(size) + 0.5)[:, None] / size * cells
    bumps = np.exp(-0.5 * np.square((along - np.arange(-0.5, cells + 1)) / 0.6))
    return np.asarray(bumps / np.linalg.norm(bumps, axis=1, keepdims=True), np.float32)


@cache
def canvas(size: int) -> Canvas:
    """The canvas of a size; its grids are shared and read-only."""
    axis = ((np.arange(size) - (size - 1) / 2) / (FIELD_SHARE * size / 2)).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    x.flags.writeable = y.flags.writeable = False
    return Canvas(size, x, y)

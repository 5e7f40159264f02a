"""The outline of the body, in which metal can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from palpate.artefacts.ct.slices import Slices

__all__ = ["Outline"]

_AIR = -500.0
"""HU below which a pixel outside the body is air."""
_SKIN = 2
"""Pixels around the body that belong to its blurred edge."""


@dataclass(frozen=True, eq=False)
class Outline:
    """Where the body begins and ends in each row of the grid, in mm from the isocentre.

    Attributes:
        rows: (R,) the rows that the body has, from its top to its bottom.
        left: (R,) where it begins in each.
        right: (R,) where it ends in each.
        body: (height, width) 1 on the grid's pixels of the body, its holes and its skin, 0 elsewhere.
    """

    rows: Tensor
    left: Tensor
    right: Tensor
    body: Tensor

    @classmethod
    def of(cls, slices: Slices) -> Outline:
        """The largest region above -500 HU, without the table; the whole grid if all is air."""
        dense = ((slices.values > _AIR).float().mean(0) >= 0.5).numpy()
        opened = ndimage.binary_opening(dense, iterations=2)
        regions, count = ndimage.label(opened if opened.any() else dense)
        body = np.ones_like(dense)
        if count:
            body = regions == 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
        used = np.flatnonzero(body.any(1))
        first, last = body.argmax(1)[used], body.shape[1] - 1 - body[:, ::-1].argmax(1)[used]
        down, across = slices.scanner.axes()
        half = slices.scanner.pixel / 2
        skin = ndimage.binary_dilation(ndimage.binary_fill_holes(body), iterations=_SKIN)
        return cls(down[used], across[first] - half, across[last] + half, torch.from_numpy(skin).float())

    @property
    def height(self) -> float:
        """In mm."""
        return float(self.rows[-1] - self.rows[0])

    @property
    def width(self) -> float:
        """That of the widest row, in mm."""
        return float((self.right - self.left).max())

    def at(self, down: Tensor, right: Tensor, margin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shares of the body's height, and of its width there (N,), as places in mm, at least `margin` inside it.

        Where the body is thinner than two margins, the place is its middle.

        Returns:
            (N,) down, (N,) right, and (N,) where the middle of that row is, from the isocentre.
        """
        top, bottom = _inside(self.rows[0].expand_as(margin), self.rows[-1].expand_as(margin), margin)
        row = torch.lerp(top, bottom, down)
        left, last = (_between(self.rows, edge, row) for edge in (self.left, self.right))
        middle = (left + last) / 2
        left, last = _inside(left, last, margin)
        return row, torch.lerp(left, last, right), middle


def _inside(low: Tensor, high: Tensor, margin: Tensor) -> tuple[Tensor, Tensor]:
    middle = (low + high) / 2
    return torch.minimum(low + margin, middle), torch.maximum(high - margin, middle)


def _between(points: Tensor, values: Tensor, place: Tensor) -> Tensor:
    """Values (R,) at points (R,), which rise, interpolated at places (N,)."""
    if len(points) == 1:
        return values.expand_as(place)
    above = torch.searchsorted(points, place.detach().contiguous()).clamp(1, len(points) - 1)
    share = ((place - points[above - 1]) / (points[above] - points[above - 1])).clamp(0, 1)
    return torch.lerp(values[above - 1], values[above], share)

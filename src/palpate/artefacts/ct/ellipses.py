"""Ellipses in closed form: their line integrals, and how much of each pixel they cover."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Ellipses"]

_EDGE = 1 - 1e-6


@dataclass(frozen=True, eq=False)
class Ellipses:
    """N ellipses; differentiable in all their measures.

    Attributes:
        right: (N,) of the middle from the isocentre, in mm.
        down: (N,) likewise.
        long: (N,) half the long axis, in mm.
        short: (N,) half the short axis, in mm.
        angle: (N,) of the long axis, from the right towards down, in radians.
    """

    right: Tensor
    down: Tensor
    long: Tensor
    short: Tensor
    angle: Tensor

    def lines(self, angles: Tensor, places: Tensor, bin_width: float) -> Tensor:
        """Mean length of the rays in each bin inside each ellipse (N, V, bins), in cm.

        The shadow at angle a has the half-width s = sqrt(A^2 cos^2(a - g) + B^2 sin^2(a - g)), and the chord at t is
        2 A B / s^2 sqrt(s^2 - (t - t0)^2) (Kak and Slaney, chapter 3). Its mean over a bin is exact too, so an ellipse
        that is smaller than a bin is not missed.

        Args:
            angles: (V,) of the views in radians.
            places: (bins,) of the middle of each bin, in mm.
            bin_width: in mm.
        """
        turned = angles - self.angle[:, None]
        squared = (self.long[:, None] * turned.cos()) ** 2 + (self.short[:, None] * turned.sin()) ** 2
        # Not quite 0 for an ellipse of size 0, whose gradient is finite then.
        half = torch.sqrt(squared + 1e-10)[..., None]
        middle = self.right[:, None] * angles.cos() + self.down[:, None] * angles.sin()
        offset = places - middle[..., None]
        ends = [_swept(((offset + side * bin_width / 2) / half).clamp(-_EDGE, _EDGE)) for side in (1, -1)]
        area = (self.long * self.short)[:, None, None] * (ends[0] - ends[1])
        return torch.where(offset.abs() < half + bin_width / 2, area / bin_width / 10, 0.0)

    def cover(self, rows: Tensor, columns: Tensor, resolution: float) -> Tensor:
        """The share of each pixel that is inside (N, height, width), 0 to 1, with soft edges.

        Args:
            rows: (height,) middles of the rows, in mm.
            columns: (width,) middles of the columns, in mm.
            resolution: width of the edges, in mm.
        """
        # A thinner ellipse than can be resolved is drawn as wide as that, and as much weaker.
        axes = [half.clamp(min=resolution / 2)[:, None, None] for half in (self.long, self.short)]
        weaker = ((self.long * self.short)[:, None, None] / (axes[0] * axes[1])).clamp(max=1)
        down, right = rows[:, None] - self.down[:, None, None], columns - self.right[:, None, None]
        cos, sin = self.angle.cos()[:, None, None], self.angle.sin()[:, None, None]
        along, across = right * cos + down * sin, down * cos - right * sin
        level = (along / axes[0]) ** 2 + (across / axes[1]) ** 2
        steepness = torch.sqrt((along / axes[0] ** 2) ** 2 + (across / axes[1] ** 2) ** 2 + 1e-12)
        root = torch.sqrt(level + 1e-12)
        # The distance from the edge, exact for a circle; in the middle the slope has no direction.
        distance = (1 - root) * torch.where(level > 1e-8, root / steepness, axes[1])
        share = (0.5 + distance / resolution).clamp(0, 1)
        # Without kinks, so that gradients are those of small steps.
        return weaker * share**2 * (3 - 2 * share)


def _swept(place: Tensor) -> Tensor:
    """Twice the integral of sqrt(1 - u^2) from 0."""
    return place * torch.sqrt(1 - place**2) + torch.asin(place)

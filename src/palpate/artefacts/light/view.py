"""Where pixels are, and what a disc out of focus covers of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from palpate.artefacts.parameter import Parameter

ANYWHERE = "derived: it can be anywhere"
_SMALLEST = 1e-9


def place(what: str, low: float = 0.0, high: float = 1.0) -> tuple[Parameter, Parameter]:
    """The two parameters that say where the middle of something is."""
    source = ANYWHERE if (low, high) == (0, 1) else "derived: near the middle, so that it is in the view"
    return (Parameter(f"{what} from the top", "share of the height", source, low, high),
            Parameter(f"{what} from the left", "share of the width", source, low, high))  # fmt: skip


@dataclass(frozen=True, eq=False)
class View:
    """The middles of all pixels of an image (C, H, W). The unit is its shorter side, so that circles are round.

    Attributes:
        down: (H, 1).
        right: (1, W).
        side: the shorter side in pixels.
    """

    down: Tensor
    right: Tensor
    side: int

    @classmethod
    def of(cls, image: Tensor) -> View:
        """The pixels of an image, on its device and of its type."""
        height, width = image.shape[-2:]
        side = min(height, width)
        down, right = ((torch.arange(size).to(image) + 0.5) / side for size in (height, width))
        return cls(down[:, None], right[None], side)

    @property
    def pixel(self) -> float:
        """Width of a pixel in shorter sides."""
        return 1 / self.side

    @property
    def height(self) -> float:
        """Height in shorter sides."""
        return self.down.shape[0] / self.side

    @property
    def width(self) -> float:
        """Width in shorter sides."""
        return self.right.shape[1] / self.side

    def offsets(self, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """How far each pixel is below (K, H, 1) and to the right (K, 1, W) of K places, given in shares (K,)."""
        below = self.down - self.column(down * self.height)
        beside = self.right - self.column(right * self.width)
        return below, beside

    def distance(self, down: Tensor, right: Tensor) -> Tensor:
        """Distance (K, H, W) of each pixel from K places, given in shares of height and width (K,)."""
        below, beside = self.offsets(down, right)
        return (below**2 + beside**2 + _SMALLEST**2).sqrt()

    def column(self, values: Tensor) -> Tensor:
        """One number for each of K images, (K,) as (K, 1, 1)."""
        return values.to(self.down).reshape(-1, 1, 1)


def blurred_disc(distance: Tensor, radius: Tensor, blur: Tensor) -> Tensor:
    """A disc of value 1, convolved with the blur disc of a lens, at a distance from its middle: from 0 to 1.

    Geometrical optics: a point out of focus becomes an even disc, the image of the aperture. So a disc of radius r
    becomes the share of the blur disc (radius R) that it covers: |D_r(0) and D_R(d)| / (pi R^2), the closed form of
    two circles that overlap. Its sum over the plane is pi r^2 for each R.

    Args:
        distance: d, (K, H, W).
        radius: r, (K, 1, 1).
        blur: R > 0, (K, 1, 1).
    """
    covered: Tensor = _Overlap.apply(distance, radius, blur)  # type: ignore[no-untyped-call]
    return covered / (math.pi * blur**2)


class _Overlap(torch.autograd.Function):
    """Area that two circles share, and its derivatives; those of the formula's terms are infinite at its ends.

    By the distance it is minus the common chord, by a radius it is the arc inside the other circle.
    """

    @staticmethod
    def forward(ctx: Any, distance: Tensor, first: Tensor, second: Tensor) -> Tensor:
        d, r, s = distance.clamp(min=_SMALLEST), first.clamp(min=_SMALLEST), second.clamp(min=_SMALLEST)
        angle_r = torch.acos(((d**2 + r**2 - s**2) / (2 * d * r)).clamp(-1, 1))
        angle_s = torch.acos(((d**2 + s**2 - r**2) / (2 * d * s)).clamp(-1, 1))
        chord = ((r + s - d) * (d + r - s) * (d - r + s) * (d + r + s)).clamp(min=0).sqrt() / d
        ctx.save_for_backward(chord, 2 * r * angle_r, 2 * s * angle_s)
        ctx.shapes = (distance.shape, first.shape, second.shape)
        return r**2 * angle_r + s**2 * angle_s - d * chord / 2

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, ...]:
        chord, arc_r, arc_s = ctx.saved_tensors
        parts = (-chord, arc_r, arc_s)
        return tuple((upstream[0] * part).sum_to_size(shape) for part, shape in zip(parts, ctx.shapes, strict=True))

"""A parallel-beam scanner of slices: line integrals, and their filtered back-projection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["MU_WATER", "Scanner"]

MU_WATER = 0.192
"""Attenuation of water at 70 keV in 1/cm (liaohaofu/adn, `get_mar_params.m`)."""
_FINER = 16
"""Filtered views are interpolated to bins this many times finer; a pixel then takes the nearest."""
_RAYS = 100_000
"""Samples of an image that are taken together."""
_VIEWS, _COLUMNS = 20, 16
"""Views and slices that are back-projected together: what stays in the cache of a processor."""


@dataclass(frozen=True, eq=False)
class Scanner:
    """Views over half a turn of square pixels about the middle of the grid.

    View v looks along the angle a_v = pi v / V. The line integral of its bin at t is over all (x, y), x to the right
    and y down, with x cos a_v + y sin a_v = t. Line integrals of attenuation in 1/cm have no unit.

    Attributes:
        height: rows of the grid.
        width: columns of the grid.
        pixel: size of a pixel, and of a bin of the detector, in mm.
        views: number of views V.
        soft: back-projection uses a Hann window, as kernels for soft tissue do; else the plain ramp.

    >>> Scanner(8, 8, 1.0, views=12).project(torch.ones(1, 8, 8)).shape
    torch.Size([1, 12, 15])
    """

    height: int
    width: int
    pixel: float
    views: int = 180
    soft: bool = True

    @cached_property
    def bins(self) -> int:
        """Bins of the detector: they cover the diagonal."""
        return 2 * math.ceil(math.hypot(self.height, self.width) / 2 + 1) + 1

    @cached_property
    def angles(self) -> Tensor:
        """(V,) in radians."""
        return torch.arange(self.views, dtype=torch.float32) * (math.pi / self.views)

    @cached_property
    def places(self) -> Tensor:
        """Where the middle of each bin is (bins,), in mm from the isocentre."""
        return (torch.arange(self.bins, dtype=torch.float32) - (self.bins - 1) / 2) * self.pixel

    def axes(self) -> tuple[Tensor, Tensor]:
        """Where the middles of rows (height,) and columns (width,) are, in mm from the isocentre."""
        rows, columns = (torch.arange(size, dtype=torch.float32) - (size - 1) / 2 for size in (self.height, self.width))
        return rows * self.pixel, columns * self.pixel

    def project(self, slices: Tensor) -> Tensor:
        """Line integrals (S, V, bins) of slices (S, height, width) of attenuation in 1/cm.

        Joseph's method: each ray crosses the rows, or the columns if it is closer to them, and values are interpolated
        linearly between two pixels (Joseph, IEEE Transactions on Medical Imaging 1982).
        """
        upright, turned = (F.pad(one.to(torch.float32), (1, 2)) for one in (slices, slices.transpose(1, 2)))
        cos, sin = self.angles.cos(), self.angles.sin()
        steep = cos.abs() >= sin.abs()
        views = torch.zeros(len(slices), self.views, self.bins)
        for image, chosen, along, across in ((upright, steep, cos, sin), (turned, ~steep, sin, cos)):
            together = max(_RAYS // (image.shape[1] * self.bins), 1)
            for some in torch.split(chosen.nonzero()[:, 0], together):
                sums = _summed(image, self.places / self.pixel, along[some, None, None], across[some, None, None])
                views[:, some] = sums * (self.pixel / 10 / along[some, None].abs())
        return views

    def reconstruct(self, sinogram: Tensor) -> Tensor:
        """Filtered back-projection of line integrals (N, V, bins): attenuation (N, height, width) in 1/cm."""
        parts = torch.split(sinogram, _COLUMNS)
        return torch.cat([self.spread(self.filtered(some), range(self.views)) for some in parts])

    def filtered(self, views: Tensor) -> Tensor:
        """Views (..., bins) after the ramp filter of Kak and Slaney, Principles of Computerized Tomographic Imaging."""
        size = 2 ** math.ceil(math.log2(2 * self.bins))
        offset = torch.arange(size)
        offset = torch.minimum(offset, size - offset)
        kernel = torch.where(offset % 2 == 1, -1 / (math.pi * offset.clamp(min=1).double()) ** 2, 0.0)
        kernel[0] = 0.25
        response = torch.fft.rfft(kernel).real
        if self.soft:
            window = 0.5 + 0.5 * torch.cos(math.pi * torch.arange(len(response)) / (len(response) - 1))
            response = response * window
        spectrum = torch.fft.rfft(views, n=size) * (response * (10 / self.pixel)).to(views)
        made: Tensor = torch.fft.irfft(spectrum, n=size)[..., : self.bins]
        return made

    def spread(self, filtered: Tensor, chosen: range, views: int | None = None) -> Tensor:
        """Back-projection of some filtered views (N, len(chosen), bins): (N, height, width).

        Args:
            filtered: what `filtered` gave, of the chosen views only.
            chosen: which views they are.
            views: how many views share half a turn; all of the scanner by default.
        """
        size, parts = (self.bins - 1) * _FINER + 1, []
        for some in torch.split(filtered, _COLUMNS):
            total = torch.zeros(self.height * self.width, len(some))
            for start in range(0, len(chosen), _VIEWS):
                block = some[:, start : start + _VIEWS]
                finer = F.interpolate(block, size=size, mode="linear", align_corners=True)
                # Through one axis, so that the strides are the usual ones for one column too: others are slow.
                table = finer.permute(1, 2, 0).flatten().reshape(-1, len(some))
                bags = self._nearest(chosen[start : start + _VIEWS], size)
                total = total + F.embedding_bag(bags, table, mode="sum")
            parts.append(total.T.reshape(-1, self.height, self.width))
        return torch.cat(parts) * (math.pi / (self.views if views is None else views))

    def _nearest(self, chosen: range, size: int) -> Tensor:
        """The finer bin of each view that each pixel takes (height * width, views)."""
        angles = self.angles[list(chosen)]
        down, right = ((axis / self.pixel * _FINER)[:, None] for axis in self.axes())
        # The half makes a floor of what is rounded; each view has its rows of the table.
        first = (self.bins - 1) / 2 * _FINER + 0.5 + torch.arange(len(angles)) * size
        bins = (down * torch.sin(angles) + first)[:, None] + (right * torch.cos(angles))[None]
        return bins.to(torch.int32).reshape(-1, len(angles))


def _summed(image: Tensor, places: Tensor, along: Tensor, across: Tensor) -> Tensor:
    """Sums over the rows of an image (S, rows, columns + 3) of its values on rays at `places` in pixels: (S, V, bins).

    The image has one column of zeros before and two after; what is outside takes those.

    Args:
        image: the slices.
        places: (bins,) from the isocentre.
        along: (V, 1, 1) the cosine of the angle between the axis of the columns and the detector.
        across: (V, 1, 1) its sine.
    """
    slices, rows, padded = image.shape
    columns = padded - 3
    row = torch.arange(rows, dtype=torch.float32)[:, None]
    at = (places - (row - (rows - 1) / 2) * across) / along + (columns - 1) / 2 + 1
    at = at.clamp(0, columns + 1)
    left = at.floor()
    index = (left + row * padded).to(torch.int32).reshape(-1)
    flat = image.reshape(slices, -1)
    first, second = (flat.index_select(1, index + step).reshape(slices, *at.shape) for step in (0, 1))
    return torch.lerp(first, second, at - left).sum(2)

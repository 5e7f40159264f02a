"""From iterates to images: what happens to a change before the model sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from palpate.streams import Streams
from palpate.tensors import lengths, spread
from palpate.threats.lattice import Lattice
from palpate.threats.neighbourhoods import Around


@dataclass(frozen=True, eq=False)
class Confinement:
    """The linear part of `to_image`: it does not make a change longer in any of the norms.

    Attributes:
        region: (B, 1 or C, *spatial) 0 or 1, or None.
        shares: (1, C, 1, ...) from 0 to 1, or None.
        tied: one change for all channels.
        smooth: width of the Gaussian in pixels; 0: none.
    """

    region: Tensor | None = None
    shares: Tensor | None = None
    tied: bool = False
    smooth: float = 0.0

    def shaped(self, change: Tensor) -> Tensor:
        """The change tied, smoothed and cut to the region; differentiable."""
        if self.tied:
            change = change.mean(1, keepdim=True).expand_as(change)
        if self.smooth:
            change = smoothed(change, self.smooth)
        return change if self.region is None else change * self.region

    def restricted(self, change: Tensor) -> Tensor:
        """The shaped change with each channel's share; differentiable."""
        change = self.shaped(change)
        return change if self.shares is None else change * self.shares

    def take(self, rows: Tensor) -> Confinement:
        """The same for some rows."""
        region = None if self.region is None else self.region[rows]
        return Confinement(region, self.shares, self.tied, self.smooth)


class Delivered(Around):
    """A ball in which iterates move, and the images that the model sees for them.

    Args:
        inner: the ball of the iterates.
        confinement: the linear part.
        lattice: whole stored steps, or None.
    """

    def __init__(self, inner: Around, confinement: Confinement, lattice: Lattice | None = None):
        super().__init__(inner.clean, inner.radius, inner.low, inner.high)
        self.norm = inner.norm  # type: ignore[misc]
        self.inner, self.confinement, self.lattice = inner, confinement, lattice

    def project(self, images: Tensor) -> Tensor:
        """The nearest iterates of the ball."""
        return self.inner.project(images)

    def steepest(self, gradient: Tensor) -> Tensor:
        """As in the ball; the gradient has already passed back through `to_image`."""
        return self.inner.steepest(gradient)

    def move(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """As in the ball."""
        return self.inner.move(images, gradient, size)

    def sample(self, streams: Streams) -> Tensor:
        """Random iterates, tied, smoothed and cut like any change, then scaled back to the length that was drawn.

        Plain draws would lose most of their length: smoothing removes white noise.
        """
        drawn = self.inner.sample(streams) - self.clean
        shaped = self.confinement.shaped(drawn)
        longer = lengths(drawn, self.norm) / lengths(shaped, self.norm).clamp(min=1e-30)
        return self.inner.project(self.clean + shaped * spread(longer, shaped))

    def to_image(self, images: Tensor) -> Tensor:
        """D(z) = x + round(restrict(z - x)), inside the box; rounding and box are straight-through."""
        change = self.confinement.restricted(images - self.clean)
        delivered = self._delivered(change.detach())
        # A value minus itself is exactly zero: the image equals the delivered one to the last bit.
        return delivered + (change - change.detach()) if change.requires_grad else delivered

    def _delivered(self, change: Tensor) -> Tensor:
        least, most = self.low - self.clean, self.high - self.clean
        if self.confinement.tied:
            # Tied channels can change only as far as the most limited of them.
            least, most = least.amax(1, keepdim=True), most.amin(1, keepdim=True)
        change = torch.clamp(change, least, most)
        if self.lattice is None:
            return (self.clean + change).clamp(self.low, self.high)
        return self.lattice.image(self.clean, change, least, most, self.norm, self.confinement.shares)

    def size(self, images: Tensor) -> Tensor:
        """Distance from the clean images (B,); counted in stored steps first, if changes are whole steps."""
        if self.lattice is None:
            return super().size(images)
        return lengths(self.lattice.change(images, self.clean), self.norm)

    def widened(self, factor: float) -> Delivered:
        """The same with a radius `factor` times as large."""
        lattice = None if self.lattice is None else replace(self.lattice, eps=self.lattice.eps * factor)
        return Delivered(self.inner.widened(factor), self.confinement, lattice)

    def take(self, rows: Tensor) -> Delivered:
        """The same around some rows."""
        lattice = None if self.lattice is None else self.lattice.take(rows)
        return Delivered(self.inner.take(rows), self.confinement.take(rows), lattice)

    def at_radius(self, radius: Tensor) -> Delivered:
        """The same at smaller radii (B,). On the lattice an L-inf radius is cut to whole steps, which may be none."""
        radius = self._no_larger(radius)
        if self.lattice is None:
            return Delivered(self.inner.at_radius(radius), self.confinement)
        lattice = self.lattice.at_radius(radius)
        whole = lattice.radius() if self.norm == "linf" else radius
        return Delivered(self.inner.at_radius(whole), self.confinement, lattice)

    def radius_of(self, images: Tensor) -> Tensor:
        """The radius at which these iterates give the same images (B,), as far as it is known.

        Tied, cut to a region and rounded, a delivered image is its own iterate, so its distance is enough. Smoothness
        and shares of channels shorten a change again each time, so there it is this radius.
        """
        if self.confinement.smooth or self.confinement.shares is not None:
            return self.radius.double()
        return super().radius_of(self.to_image(images))


def smoothed(change: Tensor, sigma: float) -> Tensor:
    """A depthwise Gaussian of (B, C, *spatial) along every spatial axis; beyond the border the change is zero.

    Along each axis it is a symmetric matrix whose rows sum to at most 1, so that no L-p norm grows (Young).
    """
    for axis in range(2, change.ndim):
        weights = _matrix(change.shape[axis], sigma).to(change)
        change = (change.movedim(axis, -1) @ weights).movedim(-1, axis)
    return change


@lru_cache(maxsize=16)
def _matrix(extent: int, sigma: float) -> Tensor:
    """(extent, extent) float64, cut off at three widths."""
    half = math.ceil(3 * sigma)
    total = torch.exp(-0.5 * (torch.arange(-half, half + 1, dtype=torch.float64) / sigma) ** 2).sum()
    place = torch.arange(extent, dtype=torch.float64)
    apart = (place[:, None] - place).abs()
    return torch.where(apart <= half, torch.exp(-0.5 * (apart / sigma) ** 2) / total, 0.0)

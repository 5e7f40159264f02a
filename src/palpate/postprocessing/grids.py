"""Resampling to a coarser grid and back, and Gaussian smoothing: linear, so that their gradients are exact."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.errors import InputError
from palpate.postprocessing.base import through
from palpate.units import Scale

_WIDEST = 32.0
"""Widest Gaussian in pixels: its kernel has four times as many on each side."""


@dataclass(frozen=True)
class Resampled:
    """Resampled to a fraction of the grid and back, both bilinear, antialiased on the way down; nothing is rounded.

    The triangle of the filter widens with the factor, as in Pillow. Volumes: every plane of the last two axes.

    Attributes:
        scale: what the values mean.
        factor: side of the coarser grid in sides of the image, between 0 and 1.

    Raises:
        InputError: a factor that is not between 0 and 1.
    """

    scale: Scale
    factor: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise InputError(f"resample{self.factor:g}: the fraction of the grid must be between 0 and 1.")

    @property
    def name(self) -> str:
        """`half`, or with its factor `resample0.75`."""
        return "half" if self.factor == 0.5 else f"resample{self.factor:g}"

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"resampled to {self.factor:g} of the grid and back, bilinear"

    def __call__(self, images: Tensor) -> Tensor:
        """Smoother values (B, C, *spatial) on the original grid."""
        with torch.no_grad():
            return self.soft(images)

    def soft(self, images: Tensor) -> Tensor:
        """The same with its exact gradient."""
        fine = images.shape[-2:]
        coarse = [max(1, round(side * self.factor)) for side in fine]
        planes = images.flatten(1, -3)
        for size in (coarse, list(fine)):
            planes = F.interpolate(planes, size=size, mode="bilinear", antialias=True)
        return _inside(planes.reshape(images.shape), self.scale)


@dataclass(frozen=True)
class Blurred:
    """Smoothed by a Gaussian along every spatial axis, channels apart; borders are mirrored (d c b a | a b c d).

    The kernel is sampled and cut off at four widths, as by scipy.ndimage.gaussian_filter; nothing is rounded.

    Attributes:
        scale: what the values mean.
        sigma: width of the Gaussian in pixels.

    Raises:
        InputError: a width that is not above 0 and at most 32.
    """

    scale: Scale
    sigma: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= _WIDEST:
            raise InputError(f"blur{self.sigma:g}: the width in pixels must be above 0 and at most {_WIDEST:g}.")

    @property
    def name(self) -> str:
        """`blur1`."""
        return f"blur{self.sigma:g}"

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"smoothed by a Gaussian of {self.sigma:g} pixel{'' if self.sigma == 1 else 's'}"

    def __call__(self, images: Tensor) -> Tensor:
        """Smoother values (B, C, *spatial)."""
        with torch.no_grad():
            return self.soft(images)

    def soft(self, images: Tensor) -> Tensor:
        """The same with its exact gradient."""
        smooth = images
        for axis in range(2, images.ndim):
            smooth = _along(smooth, self._weights, axis)
        return _inside(smooth, self.scale)

    @property
    def _weights(self) -> list[float]:
        """Weights of the centre and of the offsets 1, 2, ... on one side."""
        half = [exp(-0.5 * (offset / self.sigma) ** 2) for offset in range(int(4 * self.sigma + 0.5) + 1)]
        total = 2 * sum(half) - half[0]
        return [weight / total for weight in half]


def _along(images: Tensor, weights: list[float], axis: int) -> Tensor:
    """One pass of a symmetric kernel along one axis: a sum of shifted views, the fastest for small kernels."""
    reach, extent = len(weights) - 1, images.shape[axis]
    places = torch.arange(-reach, extent + reach, device=images.device).remainder(2 * extent)
    # The mirrored image repeats after twice its extent, so images narrower than the kernel work too.
    padded = images.index_select(axis, torch.minimum(places, 2 * extent - 1 - places))
    smooth = padded.narrow(axis, reach, extent) * weights[0]
    for offset in range(1, reach + 1):
        pair = padded.narrow(axis, reach - offset, extent) + padded.narrow(axis, reach + offset, extent)
        smooth = torch.add(smooth, pair, alpha=weights[offset])
    return smooth


def _inside(images: Tensor, scale: Scale) -> Tensor:
    """Clamped to the bounds, which only rounding of an average can leave; the gradient does not change."""
    return through(images.clamp(*scale.bounds), images)

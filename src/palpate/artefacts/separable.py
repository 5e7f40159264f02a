"""Linear maps along the axes of an image, one per candidate: blur whose width is a parameter."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["applied", "blurred", "gaussian"]

_NARROW = 1e-3


def gaussian(size: int, sigma: Tensor) -> Tensor:
    """Matrices (K, size, size) of normal blur of K standard deviations in pixels; the border repeats.

    Each row sums to 1, so constant images stay. A standard deviation of 0 is the identity.
    """
    place = torch.arange(size, dtype=sigma.dtype, device=sigma.device)
    wide = sigma.clamp(min=_NARROW)[:, None, None]
    weights = torch.exp(-(((place[:, None] - place) / wide) ** 2) / 2)
    # The border pixel also counts for what is outside.
    outside = torch.exp(-(((place + 1 + torch.arange(size, device=place.device)[:, None]) / wide[..., :1]) ** 2) / 2)
    outside = outside.sum(1)
    weights = weights + torch.nn.functional.pad(outside[:, :, None], (0, size - 1))
    weights = weights + torch.nn.functional.pad(outside.flip(1)[:, :, None], (size - 1, 0))
    return weights / weights.sum(2, keepdim=True)


def applied(matrices: Tensor, image: Tensor, axis: int) -> Tensor:
    """K matrices along one axis of an image (C, *spatial): (K, C, *spatial)."""
    made: Tensor = torch.tensordot(matrices.to(image), image.movedim(axis, 0), 1)
    return made.movedim(1, axis)


def blurred(image: Tensor, sigma: Tensor) -> Tensor:
    """An image (C, height, width), or K of them, with K widths of normal blur in pixels: (K, C, height, width)."""
    down, right = (gaussian(size, sigma).to(image)[:, None] for size in image.shape[-2:])
    return down @ image @ right.mT

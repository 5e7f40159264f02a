"""A Gaussian that smooths each channel separately, in any number of spatial dimensions."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache(maxsize=32)
def gaussian_weights(size: int, sigma: float) -> tuple[float, ...]:
    """A symmetric 1D Gaussian that sums to one; size 3 and sigma 1 give (.2741, .4519, .2741).

    Raises:
        ValueError: the size is not odd and positive, or sigma is not above zero.
    """
    if size < 1 or size % 2 == 0 or not sigma > 0:
        raise ValueError(f"a Gaussian of size {size} and sigma {sigma:g}: the size must be odd and sigma above zero")
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return tuple((weights / weights.sum()).tolist())


def gaussian(images: Tensor, size: int, sigma: float) -> Tensor:
    """Smooth (B, C, *spatial) depthwise, one axis after the other; the border repeats its own values.

    Differentiable. Channels never mix, the kernel has unit gain, and a constant image stays constant.
    """
    weights = gaussian_weights(size, sigma)
    for axis in range(2, images.ndim):
        images = _along(images, weights, axis)
    return images


def _along(images: Tensor, weights: tuple[float, ...], axis: int) -> Tensor:
    half, extent = len(weights) // 2, images.shape[axis]
    padding = [0] * (2 * (images.ndim - 2))
    padding[2 * (images.ndim - 1 - axis)] = padding[2 * (images.ndim - 1 - axis) + 1] = half
    padded = F.pad(images, padding, mode="replicate")
    # A sum of shifted views: for such small kernels it is faster on a CPU than a depthwise convolution.
    smoothed = padded.narrow(axis, half, extent) * weights[half]
    for offset in range(half):
        pair = padded.narrow(axis, offset, extent) + padded.narrow(axis, 2 * half - offset, extent)
        smoothed = torch.add(smoothed, pair, alpha=weights[offset])
    return smoothed

"""How visible the difference from the original is: PSNR and SSIM."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW = 11
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03
_TOGETHER = 2**15
"""Values of small images that are compared in one call; more do not fit into the processor's cache."""


def psnr(images: Tensor, clean: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Peak signal-to-noise ratio in dB (B,), float64: 10 log10((high - low)^2 / mean((x - x_clean)^2)).

    Args:
        images: (B, C, *spatial) values.
        clean: the originals.
        bounds: lowest and highest value; their difference is the peak.

    NaN where nothing changed.
    """
    error = torch.stack(
        [(image.double() - origin).square().mean() for image, origin in zip(images, clean, strict=True)]
    )
    ratio = 10 * torch.log10((bounds[1] - bounds[0]) ** 2 / error)
    return torch.where(error > 0, ratio, torch.nan)


def ssim(images: Tensor, clean: Tensor, bounds: tuple[float, float]) -> Tensor:
    """Structural similarity (B,), float64, 1 at best: the mean over all places and channels (Wang et al. 2004).

    The window is a Gaussian of 11 x 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, without padding, as in MONAI, bit
    for bit; brightness is counted from the lowest bound, because the index is not defined for negative brightness.
    Volumes: the mean over all planes of the last two axes.

    Args:
        images: (B, C, *spatial) values.
        clean: the originals.
        bounds: lowest and highest value.

    NaN where a plane is smaller than the window. One plane is held at a time, or several small images.
    """
    if min(images.shape[-2:]) < _WINDOW:
        return images.new_full((len(images),), torch.nan, dtype=torch.float64)
    # (B, C, planes, rows, columns), whatever the number of spatial axes.
    stacks = [one.detach().reshape(*one.shape[:2], -1, *one.shape[-2:]) for one in (images, clean)]
    together = max(1, _TOGETHER // max(1, images[:1].numel()))
    parts = zip(*(torch.split(stack, together) for stack in stacks), strict=True)
    return torch.cat([_planes(found, origin, bounds) for found, origin in parts])


def _planes(images: Tensor, clean: Tensor, bounds: tuple[float, float]) -> Tensor:
    """The index of images (B, C, planes, rows, columns)."""
    low, extent = bounds[0], bounds[1] - bounds[0]
    total = images.new_zeros(len(images), dtype=torch.float64)
    for found, origin in zip(images.unbind(2), clean.unbind(2), strict=True):
        index = _index(((found - low) / extent).float(), ((origin - low) / extent).float())
        # One mean at a time: the sum of a whole batch would depend on its size.
        total += torch.stack([one.double().mean() for one in index])
    return total / images.shape[2]


def _index(x: Tensor, y: Tensor) -> Tensor:
    """The index at each place (B, C, rows, columns) of planes in [0, 1]."""
    window = _gaussian().to(x).expand(x.shape[1], 1, _WINDOW, _WINDOW)
    blurred = F.conv2d(torch.cat([x, y, x * x, y * y, x * y]), window, groups=x.shape[1])
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = blurred.chunk(5)
    c1, c2 = _K1**2, _K2**2
    var_x, var_y, both = mean_xx - mean_x * mean_x, mean_yy - mean_y * mean_y, mean_xy - mean_x * mean_y
    contrast = (2 * both + c2) / (var_x + var_y + c2)
    return ((2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)) * contrast


def _gaussian() -> Tensor:
    """The window (11, 11), of sum 1."""
    places = torch.arange((1 - _WINDOW) / 2, (1 + _WINDOW) / 2)
    line = torch.exp(-torch.pow(places / _SIGMA, 2) / 2)
    line = (line / line.sum())[None]
    return line.T @ line

"""How visible the difference from the original is: PSNR and SSIM."""

from __future__ import annotations

import torch
from torch import Tensor

_WINDOW = 11
_SIGMA = 1.5


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
    """Structural similarity (B,), float64, 1 at best: the mean over all places and channels (Wang et al. 2004, MONAI).

    The window is a Gaussian of 11 x 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03; brightness is counted from the
    lowest bound, because the index is not defined for negative brightness. Volumes: the mean over all planes of
    the last two axes.

    Args:
        images: (B, C, *spatial) values.
        clean: the originals.
        bounds: lowest and highest value.

    NaN where a plane is smaller than the window. One plane is held at a time.
    """
    if min(images.shape[-2:]) < _WINDOW:
        return images.new_full((len(images),), torch.nan, dtype=torch.float64)
    return torch.stack([_of_one(image, origin, bounds) for image, origin in zip(images, clean, strict=True)])


def _of_one(image: Tensor, clean: Tensor, bounds: tuple[float, float]) -> Tensor:
    """The index of one image (C, *spatial)."""
    from monai.metrics.regression import compute_ssim_and_cs

    low, extent = bounds[0], bounds[1] - bounds[0]
    total = image.new_zeros((), dtype=torch.float64)
    # (planes, C, rows, columns), whatever the number of spatial axes.
    planes = [one.detach().flatten(1, -3).unbind(1) if one.ndim > 3 else (one.detach(),) for one in (image, clean)]
    for plane, origin in zip(*planes, strict=True):
        index, _ = compute_ssim_and_cs(
            ((plane - low) / extent)[None],
            ((origin - low) / extent)[None],
            spatial_dims=2,
            kernel_size=(_WINDOW, _WINDOW),
            kernel_sigma=(_SIGMA, _SIGMA),
        )
        total += index.double().mean()
    return total / len(planes[0])

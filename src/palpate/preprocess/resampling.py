"""Change the grid of images, in 2D and 3D."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Mode = Literal["linear", "cubic", "nearest", "area"]
_PLANE = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest-exact", "area": "area"}


def resized(images: Tensor, size: tuple[int, ...], mode: Mode = "linear", antialias: bool = True) -> Tensor:
    """Images (B, C, *spatial) on a grid of `size` that covers the same field of view.

    Pixel centres are at half pixels, as in OpenCV, Pillow and scikit-image. `antialias` widens the kernel of `linear`
    and `cubic` by the factor by which an axis shrinks, as Pillow does; OpenCV does not.
    """
    if tuple(images.shape[2:]) == size:
        return images
    if images.ndim == 4 or mode in ("nearest", "area"):
        return _plane(images, size, mode, antialias)
    # The kernels are separable, and torch widens them in two dimensions only: rows and columns first, then slices.
    batch, channels, slices = images.shape[:3]
    planes = _plane(images.flatten(1, 2), size[1:], mode, antialias).reshape(batch, channels, slices, *size[1:])
    upright = planes.permute(0, 1, 3, 2, 4).flatten(1, 2)
    stack = _plane(upright, (size[0], size[2]), mode, antialias).reshape(batch, channels, size[1], size[0], size[2])
    return stack.permute(0, 1, 3, 2, 4).contiguous()


def _plane(images: Tensor, size: tuple[int, ...], mode: Mode, antialias: bool) -> Tensor:
    return F.interpolate(images, size=size, mode=_PLANE[mode], antialias=antialias and mode in ("linear", "cubic"))

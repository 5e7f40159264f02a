"""Blur through transfer functions: exact for any size, so that it begins at the image itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The Fourier transform of an image that was continued by reflection.

    Attributes:
        values: (C, H', W'/2 + 1), complex.
        down: frequencies along the height, (H', 1), in cycles per pixel.
        right: frequencies along the width, (1, W'/2 + 1).
        margin: pixels that were added on each side, along height and width.
        size: of the continued image, (H', W').
    """

    values: Tensor
    down: Tensor
    right: Tensor
    margin: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def of(cls, image: Tensor, reach: float) -> Spectrum:
        """The spectrum of an image (C, H, W) for kernels that reach this many pixels to each side."""
        down, right = (min(math.ceil(reach) + 1, size - 1) for size in image.shape[-2:])
        continued = F.pad(image.unsqueeze(0), (right, right, down, down), mode="reflect")[0]
        height, width = continued.shape[-2:]
        return cls(
            torch.fft.rfft2(continued),
            torch.fft.fftfreq(height).to(image)[:, None],
            torch.fft.rfftfreq(width).to(image)[None],
            (down, right),
            (height, width),
        )

    def filtered(self, transfer: Tensor) -> Tensor:
        """K images (K, C, H, W) by K transfer functions (K, H', W'/2 + 1)."""
        whole: Tensor = torch.fft.irfft2(self.values * transfer.unsqueeze(1), s=self.size)
        (down, right), (height, width) = self.margin, self.size
        return whole[..., down : height - down, right : width - right]


def disc(spectrum: Spectrum, diameter: Tensor) -> Tensor:
    """Transfer functions of even discs of K diameters in pixels: 2 J1(x) / x, x = pi d f. No gradient.

    This is a lens out of focus by geometrical optics (Goodman, Introduction to Fourier Optics, 2005).
    """
    frequency = (spectrum.down**2 + spectrum.right**2).sqrt()
    x = math.pi * diameter.to(frequency).reshape(-1, 1, 1) * frequency
    transfer: Tensor = torch.special.bessel_j1(x)
    return torch.where(x < 1e-3, 1 - x**2 / 8, 2 * transfer / x.clamp(min=1e-3))


def line(spectrum: Spectrum, length: Tensor, degrees: Tensor) -> Tensor:
    """Transfer functions of even lines of K lengths in pixels and K directions: sin(x) / x, x = pi l f.u.

    u is the direction; 0 degrees is to the right, 90 degrees is up. Differentiable.
    """
    angle = (degrees * (math.pi / 180)).to(spectrum.down).reshape(-1, 1, 1)
    along = torch.cos(angle) * spectrum.right - torch.sin(angle) * spectrum.down
    return torch.sinc(length.to(spectrum.down).reshape(-1, 1, 1) * along)

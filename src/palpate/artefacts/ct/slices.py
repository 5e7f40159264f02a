"""From an image in Hounsfield units to slices of attenuation on a scanner's grid, and changes back to the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Scene
from palpate.artefacts.ct.scanner import MU_WATER, Scanner

__all__ = ["LARGEST", "Slices"]

LARGEST = 256
"""Rows or columns of the grid on which changes are computed, at most. A larger image takes them interpolated."""
_MOST_VIEWS = 360


@dataclass(frozen=True, eq=False)
class Slices:
    """The slices of an image on the grid of a scanner.

    A volume (C, D, H, W) is scanned slice by slice along its first axis, each with the same parameters. Only the
    *change* of an artefact is computed on this grid, in single precision on the CPU; it is added to the image itself,
    which is never resampled.

    Attributes:
        scanner: its grid has square pixels.
        values: (S, height, width) in HU on that grid; S is the number of channels times slices.
        shape: shape of the image.
    """

    scanner: Scanner
    values: Tensor
    shape: tuple[int, ...]

    @classmethod
    def of(cls, image: Tensor, scene: Scene, *, views: int | None = None, finest: float = 0.0) -> Slices:
        """The slices of an image (C, H, W) or (C, D, H, W); pixels of 1 mm if their size is not known.

        By default there are as many views as pixels on half a circle around the grid, which is what it needs, but at
        most 360. Pixels are at least `finest` mm wide.
        """
        height, width = image.shape[-2:]
        spacing = scene.spacing or (1.0, 1.0)
        tall, wide = height * spacing[-2], width * spacing[-1]
        pixel = max(max(tall, wide) / LARGEST, min(spacing[-2:]), finest)
        size = (max(round(tall / pixel), 1), max(round(wide / pixel), 1))
        values = image.detach().to("cpu", torch.float32).reshape(-1, 1, height, width)
        if size != (height, width):
            values = F.interpolate(values, size=size, mode="bilinear", antialias=True, align_corners=False)
        enough = min(2 * math.ceil(math.pi / 4 * max(size)), _MOST_VIEWS)
        return cls(Scanner(*size, pixel, views or enough), values[:, 0], tuple(image.shape))

    @property
    def attenuation(self) -> Tensor:
        """(S, height, width) in 1/cm: mu = mu_water (1 + HU / 1000), and 0 below."""
        return (MU_WATER * (1 + self.values / 1000)).clamp(min=0)

    def reconstructed(self, sinograms: Tensor) -> Tensor:
        """A change of line integrals (K, S, V, bins) as a change of the image in HU (K, *shape)."""
        made = self.scanner.reconstruct(sinograms.flatten(0, 1))
        return self.change(made.reshape(*sinograms.shape[:2], *made.shape[1:]))

    def change(self, attenuation: Tensor) -> Tensor:
        """A change of attenuation (K, S, height, width) in 1/cm as a change of the image in HU (K, *shape)."""
        count = len(attenuation)
        change = attenuation.reshape(-1, 1, *attenuation.shape[-2:]) * (1000 / MU_WATER)
        if change.shape[-2:] != self.shape[-2:]:
            change = F.interpolate(change, size=self.shape[-2:], mode="bicubic", align_corners=False)
        return change.reshape(count, *self.shape)

"""Models whose smoothed form is known on paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Plane(nn.Module):
    """Two classes apart at a plane. Of an image at distance d from it, on the side of class 1, the exact radius is d.

    Under noise the projection on the unit normal w is N(d, sigma^2), so class 1 has the probability Phi(d / sigma), and
    the smoothed model changes its decision where the model itself does.

    Args:
        values: number of stored values of an image.
        outputs: `softmax`, `one-logit` or `cumulative`, all with the same decision.
    """

    def __init__(self, values: int, outputs: str = "softmax", steep: float = 1.0):
        super().__init__()
        self.normal = nn.Parameter(torch.ones(values) / values**0.5)
        self.outputs, self.steep = outputs, steep

    def forward(self, images: Tensor) -> Tensor:
        z = self.steep * (images.flatten(1) - 100) @ self.normal
        return torch.stack([-z / 2, z / 2], 1) if self.outputs == "softmax" else z[:, None]


def at_distance(distance: float, side: int = 4) -> Tensor:
    """An image (1, 1, side, side) at this distance from the plane, inside (0, 255)."""
    return torch.full((1, 1, side, side), 100.0 + distance / side)


class PixelThreshold(nn.Module):
    """One structure where a value is above 100: each pixel is a plane of its own, and its exact radius |v - 100|."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([100 - images, images - 100], 1)

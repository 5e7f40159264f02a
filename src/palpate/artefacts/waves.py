"""Plane waves over the pixels of an image: spikes of k-space, and grids."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def waves(size: tuple[int, ...], frequency: Tensor, degrees: Tensor, phase: Tensor) -> Tensor:
    """cos(2 pi f (u cos b + v sin b) + p) at pixels u to the right and v down: (K, height, width).

    Args:
        size: height and width.
        frequency: (K,) f in cycles per pixel.
        degrees: (K,) b, the direction in which the wave runs.
        phase: (K,) p in degrees.
    """
    down, right = (torch.arange(count, dtype=frequency.dtype, device=frequency.device) for count in size)
    turn, cycles = (degrees * (math.pi / 180))[:, None], frequency[:, None] * 2 * math.pi
    angle = (cycles * torch.sin(turn) * down)[:, :, None] + (cycles * torch.cos(turn) * right)[:, None, :]
    return torch.cos(angle + phase[:, None, None] * (math.pi / 180))

"""Beams of a probe at the top of the image: parallel ones, or a fan from a point above it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from palpate.artefacts.parameter import Parameter

__all__ = ["FAN", "Beams"]

FAN = Parameter("fan", "per height", "derived: 0 is a linear probe; from 1 on, curved ones and sectors", 0.0, 3.0)
"""One over the height of the point, above the image, from which the beams come."""


class Beams(NamedTuple):
    """Where each pixel is in the beams, for K fans.

    With the height of the image as unit, pixels are u right of the middle and v below the top, and beams come from the
    point 1 / f above the top.

    Attributes:
        across: (K, height, width) where the beam crosses the middle row, as a share of the width from the left.
        depth: (K, height, width) distance from the probe along the beam, in heights: sqrt((1 / f + v)^2 + u^2) - 1 / f.
    """

    across: Tensor
    depth: Tensor

    @classmethod
    def of(cls, size: tuple[int, ...], fan: Tensor) -> Beams:
        """The beams of K fans (K,) in an image of a height and a width."""
        height, width = size
        f = fan[:, None, None]
        v = ((torch.arange(height, dtype=fan.dtype, device=fan.device) + 0.5) / height)[:, None]
        u = (torch.arange(width, dtype=fan.dtype, device=fan.device) + 0.5 - width / 2) / height
        across = u * (1 + f / 2) / (1 + f * v) * (height / width) + 0.5
        # The distance without 1 / f, so that parallel beams are the case f = 0.
        depth = (2 * v + f * (v**2 + u**2)) / (((1 + f * v) ** 2 + (f * u) ** 2).sqrt() + 1)
        return cls(across, depth)

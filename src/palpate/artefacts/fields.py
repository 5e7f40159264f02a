"""Randomness of artefacts: fields of noise that are drawn once per image, and turned by a parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.artefacts.parameter import Parameter
from palpate.streams import Streams

REALISATION = Parameter("realisation", "degrees", "derived: any noise of this strength is equally likely", 0.0, 360.0)
"""Which noise it is: the angle between two independent fields. So a search can choose the noise, not only its size."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Standard normal noise that depends smoothly on an angle: cos(a) n1 + sin(a) n2 is standard normal for each a.

    Attributes:
        first: n1, of any shape.
        second: n2, of the same shape.
    """

    first: Tensor
    second: Tensor

    @classmethod
    def drawn(cls, streams: Streams, shape: Sequence[int], like: Tensor) -> Noise:
        """Two fields of a shape from one stream, on the device and of the type of `like`."""
        both = streams.normal((2, *shape), like)[0]
        return cls(both[0], both[1])

    def at(self, degrees: Tensor) -> Tensor:
        """Noise (K, *shape) at K angles; differentiable."""
        angle = (degrees * (math.pi / 180)).to(self.first).reshape(-1, *([1] * self.first.ndim))
        return torch.cos(angle) * self.first + torch.sin(angle) * self.second


def column(values: Tensor, like: Tensor) -> Tensor:
    """One parameter (K,) as (K, 1, ..., 1), so that it broadcasts over images like `like` (C, *spatial)."""
    return values.to(like).reshape(-1, *([1] * like.ndim))

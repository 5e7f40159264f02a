"""The signal of an MR image: values above air, their scale, magnitudes, and axes of phase encoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.artefacts.parameter import Parameter

__all__ = ["PHASE_AXIS", "Signal", "along", "along_axis", "lines"]

PHASE_AXIS = Parameter(
    "phase axis", "", "derived: phase is encoded along either axis of a slice", choices=("down", "across")
)
"""The last axis but one, or the last."""


@dataclass(frozen=True, eq=False)
class Signal:
    """What an image measures.

    Attributes:
        values: (C, *spatial), 0 in air.
        air: (C, 1, ..., 1), the lowest value of each channel.
        scale: (C, 1, ..., 1), the 99th percentile of `values` of each channel.
    """

    values: Tensor
    air: Tensor
    scale: Tensor

    @classmethod
    def of(cls, image: Tensor) -> Signal:
        """The signal of an image (C, *spatial)."""
        flat = image.flatten(1)
        wide = (-1, *([1] * (image.ndim - 1)))
        air = flat.amin(1)
        # Without interpolation, so that any size of volume is read.
        top = flat.kthvalue(max(1, round(0.99 * flat.shape[1])), 1).values
        return cls(image - air.reshape(wide), air.reshape(wide), (top - air).reshape(wide))

    def magnitude(self, change: Tensor) -> Tensor:
        """The stored image |signal + change| + air of a real or complex change (K, C, *spatial)."""
        return (self.values + change).abs() + self.air


def along_axis(choice: Tensor, axes: tuple[int, ...], made: Callable[[Tensor, int], Tensor]) -> Tensor:
    """`made(rows, axis)` for the candidates of each axis, put together in their order.

    Args:
        choice: (K,), a parameter with one choice for each of `axes`.
        axes: negative numbers of axes.
        made: images (len(rows), ...) of these candidates.
    """
    places = choice.detach().long().clamp(0, len(axes) - 1)
    rows = [(places == number).nonzero().flatten() for number in range(len(axes))]
    parts = [made(some, axis) for some, axis in zip(rows, axes, strict=True) if len(some)]
    return torch.cat(parts)[torch.cat(rows).argsort()]


def lines(size: int, like: Tensor) -> Tensor:
    """Numbers of the lines of k-space (size,), in the order of `torch.fft`: 0 is the centre, then the others."""
    numbers: Tensor = torch.fft.fftfreq(size, 1 / size, device=like.device, dtype=like.dtype)
    return numbers.round()


def along(weights: Tensor, axis: int, ndim: int) -> Tensor:
    """Weights (K, N) of the places along one axis as (K, 1, ..., N, ..., 1), to multiply images of `ndim` axes."""
    form = [1] * ndim
    form[0], form[axis] = weights.shape
    return weights.reshape(form)

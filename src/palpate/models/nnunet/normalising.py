"""nnU-Net's crop to what is not zero, and its normalisation of each channel.

Means, deviations and extremes are NumPy's own, in nnU-Net's order of the numbers, so that what the network sees is the
same to the last bit; their gradients are those of the formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from palpate.errors import InputError

Array = npt.NDArray[Any]
Box = tuple[slice, ...]
Scheme = Literal["z-score", "CT", "0 to 1", "RGB", "none"]
_LEAST = 1e-8
_BRIGHTEST = 255
_CLOSE = 1e-4
"""Distance from a limit of CT, in deviations, at which a value counts as clipped."""


@dataclass(frozen=True)
class Normalisation:
    """How one channel is normalised.

        z-score:  (x - mean(x)) / max(std(x), 1e-8)                    of the image, or of its mask
        CT:       (min(max(x, low), high) - mean) / max(std, 1e-8)     numbers of the training set
        0 to 1:   (x - min(x)) / max(max(x) - min(x), 1e-8)
        RGB:      x / 255

    Attributes:
        scheme: which of them; `none` leaves values as they are.
        masked: for z-score: only where some channel is not zero, holes filled; the rest stays.
        mean: for CT.
        std: for CT.
        low: for CT.
        high: for CT.
    """

    scheme: Scheme
    masked: bool = False
    mean: float = 0.0
    std: float = 1.0
    low: float = 0.0
    high: float = 0.0

    def __call__(self, channel: Tensor, held: Array, mask: Array | None) -> Tensor:
        """One channel normalised.

        Args:
            channel: (*spatial) float32.
            held: the same numbers as nnU-Net has them in memory.
            mask: what is not zero, for `masked`.

        Raises:
            InputError: RGB values below 0 or above 255.
        """
        if self.scheme == "z-score":
            return _standardised(channel, held, mask if self.masked else None)
        if self.scheme == "CT":
            return self.along(channel)
        if self.scheme == "0 to 1":
            shifted = channel - channel.amin()
            return shifted / shifted.amax().clamp(min=_LEAST)
        if self.scheme == "RGB":
            if held.min() < 0 or held.max() > _BRIGHTEST:
                raise InputError(
                    "model.nnunet: its plan reads RGB values, 0 to 255, and an image exceeds them. Check model.bounds."
                )
            return channel / float(_BRIGHTEST)
        return channel

    def held(self, held: Array, mask: Array | None) -> Normalisation:
        """The same for one image, as CT is normalised: by numbers of this image that stay what they are.

        Raises:
            InputError: the image has one value only, so that it has no scale.
        """
        if self.scheme == "CT":
            return self
        counted = held[mask] if self.masked and mask is not None else held
        mean, std = 0.0, 1.0
        if self.scheme == "z-score" and counted.size:
            mean, std = float(counted.mean()), float(counted.std())
        elif self.scheme == "0 to 1":
            mean, std = float(held.min()), float(held.max() - held.min())
        elif self.scheme == "RGB":
            std = float(_BRIGHTEST)
        if std <= _LEAST:
            raise InputError("a channel has one value only, and nnU-Net divides by its range. Leave the image out.")
        return Normalisation("CT", False, mean, std, -math.inf, math.inf)

    def along(self, channel: Tensor) -> Tensor:
        """The formula of CT: a line between two limits. A change of eps becomes a change of eps / std."""
        return (channel.clamp(self.low, self.high) - self.mean) / max(self.std, _LEAST)

    def undone(self, normalised: Tensor, stored: Tensor) -> Tensor:
        """The values that `along` makes these of; where it clipped, the stored ones, which may be far beyond."""
        found = normalised * max(self.std, _LEAST) + self.mean
        slack = _CLOSE * self.std
        found = torch.where(found <= self.low + slack, stored.clamp(max=self.low), found)
        return torch.where(found >= self.high - slack, stored.clamp(min=self.high), found)


def box_of(held: Array) -> tuple[Box, Array | None]:
    """The smallest box around what is not zero in some channel of (C, *spatial), and that mask; None if all are not.

    An image of zeros is kept whole.
    """
    mask = (held != 0).any(0)
    if mask.all():
        return tuple(slice(0, n) for n in mask.shape), None
    box = []
    for axis in range(mask.ndim):
        there = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(there[0]), int(there[-1]) + 1) if len(there) else slice(0, mask.shape[axis]))
    return tuple(box), mask


def filled(mask: Array | None, box: Box, shape: tuple[int, ...]) -> Array:
    """A mask with its holes filled, within a box."""
    if mask is None:
        return np.ones(shape, dtype=bool)[box]
    from scipy import ndimage

    found: Array = ndimage.binary_fill_holes(mask)
    return found[box]


def _standardised(channel: Tensor, held: Array, mask: Array | None) -> Tensor:
    if mask is None:
        counted, numbers = channel, held
    else:
        inside = torch.from_numpy(np.ascontiguousarray(mask)).to(channel.device)
        counted, numbers = channel[inside], held[mask]
        if not len(numbers):
            return channel
    mean = _valued(counted.mean(), numbers.mean())
    # The slope of the root is infinite at zero, where nnU-Net divides by a constant.
    variance = counted.var(correction=0)
    std = numbers.std()
    divisor = _valued(variance.sqrt(), std) if std > _LEAST else channel.new_tensor(_LEAST)
    result = (channel - mean) / divisor
    return result if mask is None else torch.where(inside, result, channel)


def _valued(formula: Tensor, value: Any) -> Tensor:
    """A number with the gradient of a formula that gives the same number up to rounding."""
    found: Tensor = _Valued.apply(formula, formula.new_tensor(float(value)))  # type: ignore[no-untyped-call]
    return found


class _Valued(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, formula: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return slope, None

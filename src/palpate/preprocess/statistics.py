"""Normalise every image by its own statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from palpate.errors import InputError


@dataclass(frozen=True)
class PerImage:
    """Normalise every image by its own statistics; shapes stay. Gradients flow through the statistics.

    - `zscore`: `(x - mean(x)) / std(x)`, the population deviation; a constant image becomes 0.
    - `minmax`: `(x - min(x)) / (max(x) - min(x))`, so 0 to 1.
    - `percentile`: `min(max((x - p(low)) / (p(high) - p(low)), 0), 1)`, percentiles linearly interpolated.

    The same as MONAI's NormalizeIntensity, ScaleIntensity and ScaleIntensityRangePercentiles with clip. MONAI takes
    mean and deviation out of the graph, as constants; here an attack sees that a change of one pixel changes them too.

    Attributes:
        how: which of them.
        low: lower percentile, for `percentile` only.
        high: upper percentile, for `percentile` only.
        nonzero: use and change only the values that are not zero: background stays 0.
        channelwise: every channel separately; otherwise all channels of an image together.

    Raises:
        InputError: an unknown method, or percentiles that are not increasing between 0 and 100.
    """

    how: Literal["zscore", "minmax", "percentile"] = "zscore"
    low: float = 0.5
    high: float = 99.5
    nonzero: bool = False
    channelwise: bool = False

    def __post_init__(self) -> None:
        if self.how not in ("zscore", "minmax", "percentile"):
            raise InputError(f"preprocess.per_image.how: '{self.how}' is not zscore, minmax or percentile.")
        if not 0 <= self.low < self.high <= 100:
            raise InputError(
                f"preprocess.per_image.low: percentiles {self.low:g} and {self.high:g} must rise between 0 and 100."
            )

    def __call__(self, images: Tensor) -> Tensor:
        """Every image of (B, C, *spatial) normalised."""
        if self.channelwise:
            return torch.stack([torch.stack([self._normalised(channel) for channel in image]) for image in images])
        return torch.stack([self._normalised(image) for image in images])

    def _normalised(self, values: Tensor) -> Tensor:
        inside = values != 0 if self.nonzero else None
        counted = values.flatten() if inside is None else values[inside]
        if not len(counted):
            return values
        if self.how == "zscore":
            variance = counted.var(correction=0)
            # The slope of the root at zero is infinite, so a constant image is divided by 1 instead.
            result = (values - counted.mean()) / torch.where(variance > 0, variance, 1).sqrt()
        else:
            low, high = self._limits(counted)
            result = (values - low) / torch.where(high > low, high - low, 1)
            result = result.clamp(0, 1) if self.how == "percentile" else result
        return result if inside is None else torch.where(inside, result, values)

    def _limits(self, counted: Tensor) -> tuple[Tensor, Tensor]:
        if self.how == "minmax":
            return counted.amin(), counted.amax()
        return _percentile(counted, self.low), _percentile(counted, self.high)

    def describe(self) -> str:
        """What it does."""
        what = {
            "zscore": "subtract the image's own mean, divide by its own deviation",
            "minmax": "map the image's own range onto 0 to 1",
            "percentile": f"clip at the image's own percentiles {self.low:g} and {self.high:g}, map onto 0 to 1",
        }[self.how]
        return (
            what + (", each channel by itself" if self.channelwise else "") + (", zeros stay" if self.nonzero else "")
        )


def _percentile(values: Tensor, share: float) -> Tensor:
    """Linearly interpolated between order statistics, as numpy does; torch.quantile does not accept whole volumes."""
    place = share / 100 * (len(values) - 1)
    below = math.floor(place)
    low = values.kthvalue(below + 1).values
    if below == place:
        return low
    return torch.lerp(low, values.kthvalue(below + 2).values, place - below)

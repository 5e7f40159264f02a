"""Steps that map every value separately: rescale, window, clip, invert, to RGB, normalise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from palpate.errors import InputError
from palpate.preprocess.step import listed, per_channel, recoloured, repeated, rising


@dataclass(frozen=True)
class Rescale:
    """`slope * x + intercept`; shapes stay.

    Attributes:
        slope: not zero.
        intercept: added, in units of the result.

    Raises:
        InputError: the slope is zero, or a number is not finite.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.slope) or self.slope == 0:
            raise InputError(f"preprocess.rescale.slope: {self.slope:g} must be finite and not zero.")
        if not math.isfinite(self.intercept):
            raise InputError(f"preprocess.rescale.intercept: {self.intercept:g} must be finite.")

    def __call__(self, images: Tensor) -> Tensor:
        """`slope * images + intercept`."""
        return images * self.slope + self.intercept

    def describe(self) -> str:
        """What it does."""
        return f"multiply by {self.slope:g}, add {self.intercept:g}"


@dataclass(frozen=True)
class Window:
    """`min(max((x - low) / (high - low), 0), 1)`: what a viewer shows between black and white; shapes stay.

    Outside the window the gradient is zero, because nothing changes there.

    Attributes:
        low: value that becomes 0: centre - width / 2.
        high: value that becomes 1: centre + width / 2.

    Raises:
        InputError: zero width, not increasing, or not finite.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        rising("window", self.low, self.high)

    def __call__(self, images: Tensor) -> Tensor:
        """Clip to the window and map it to 0..1."""
        return ((images - self.low) / (self.high - self.low)).clamp(0, 1)

    def describe(self) -> str:
        """What it does."""
        return f"window {self.low:g} to {self.high:g} onto 0 to 1"


@dataclass(frozen=True)
class Clip:
    """`min(max(x, low), high)`; shapes stay.

    Raises:
        InputError: zero width, not increasing, or not finite.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        rising("clip", self.low, self.high)

    def __call__(self, images: Tensor) -> Tensor:
        """Values outside become the nearest limit."""
        return images.clamp(self.low, self.high)

    def describe(self) -> str:
        """What it does."""
        return f"clip to {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Invert:
    """`low + high - x`: black becomes white; shapes stay. For networks that expect inverted MONOCHROME1.

    Raises:
        InputError: the limits are not increasing, or not finite.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        rising("invert", self.low, self.high)

    def __call__(self, images: Tensor) -> Tensor:
        """Mirror the values between the limits."""
        return (self.low + self.high) - images

    def describe(self) -> str:
        """What it does."""
        return f"invert between {self.low:g} and {self.high:g}"


@dataclass(frozen=True)
class ToRGB:
    """Repeat one grey channel: (B, 1, *spatial) -> (B, channels, *spatial). There is still one perturbation.

    With one channel, RGB becomes grey: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Attributes:
        channels: of the result; images that already have that many are unchanged.

    Raises:
        InputError: no channels; or, when called, images with several channels whose number is not this one.
    """

    channels: int = 3

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise InputError(f"preprocess.rgb.channels: {self.channels} must be 1 or more.")

    def __call__(self, images: Tensor) -> Tensor:
        """Repeat grey, or turn RGB into grey."""
        return repeated("preprocess.rgb.channels", images, self.channels)

    def describe(self) -> str:
        """What it does."""
        return recoloured(self.channels)


@dataclass(frozen=True)
class Normalise:
    """`(x - mean) / std` per channel; shapes stay.

    Attributes:
        mean: one number, or one per channel, in the values that reach this step.
        std: the same, above zero.

    Raises:
        InputError: a deviation is not above zero; or, when called, another number of channels.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.std or any(not (math.isfinite(value) and value > 0) for value in self.std):
            raise InputError(f"preprocess.normalise.std: {list(self.std)} must be above zero.")
        if not self.mean or not all(map(math.isfinite, self.mean)):
            raise InputError(f"preprocess.normalise.mean: {list(self.mean)} must be finite numbers.")

    def __call__(self, images: Tensor) -> Tensor:
        """Subtract the mean, divide by the deviation."""
        mean = per_channel("preprocess.normalise.mean: it has", self.mean, images)
        return (images - mean) / per_channel("preprocess.normalise.std: it has", self.std, images)

    def describe(self) -> str:
        """What it does."""
        return f"subtract {listed(self.mean)}, divide by {listed(self.std)}"

"""The short form of a preprocessing: resize, repeat grey, subtract, divide."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from palpate.errors import InputError
from palpate.preprocess.resampling import resized
from palpate.preprocess.step import Part, axes, by, listed, per_channel, recoloured, repeated


@dataclass(frozen=True)
class Preprocess:
    """Resize, repeat grey to several channels, then `(stored - mean) / std` per channel, in this order.

    Perturbations are in stored values, before all of these steps, so a grey image has one perturbation, not three.

    Attributes:
        size: spatial size of the network's input; None keeps the stored size. Linear, anti-aliased.
        channels: repeat a single stored channel this many times; 1 turns RGB into grey, 0.299 R + 0.587 G + 0.114 B
            (ITU-R BT.601); None keeps the stored channels.
        mean: subtracted, in stored values; one number per input channel, or one for all.
        std: divided by, in stored values; (255,) maps 8-bit images to [0, 1].

    Raises:
        InputError: a standard deviation is not above zero, or a size is not positive.
    """

    size: tuple[int, ...] | None = None
    channels: int | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if any(not value > 0 for value in self.std):
            raise InputError(f"preprocess.std: {list(self.std)} must be above zero.")
        if self.size is not None and any(value < 1 for value in self.size):
            raise InputError(f"preprocess.size: {list(self.size)} must be positive.")

    def __call__(self, images: Tensor) -> Tensor:
        """Map stored values (B, C, *spatial) to the network's input.

        Raises:
            InputError: the images do not have the channels or dimensions that this preprocessing expects.
        """
        if self.size is not None and tuple(images.shape[2:]) != self.size:
            axes("size", self.size, images)
            images = resized(images, self.size)
        if self.channels is not None:
            images = repeated("preprocess.channels", images, self.channels)
        mean, std = (per_channel("preprocess: mean and std have", values, images) for values in (self.mean, self.std))
        return (images - mean) / std

    @property
    def window(self) -> None:
        """None: every value counts."""
        return None

    @property
    def parts(self) -> tuple[Part, ...]:
        """One step."""
        return (("Preprocess", self),)

    @property
    def resamples(self) -> bool:
        """Whether it depends on the images' spacing: no."""
        return False

    def at(self, spacing: tuple[float, ...] | None) -> Preprocess:
        """Itself: nothing depends on the images' spacing."""
        return self

    def describe(self) -> str:
        """What it does, in words for a report."""
        parts = []
        if self.size is not None:
            parts.append(f"resize to {by(self.size)}")
        if self.channels is not None:
            parts.append(recoloured(self.channels))
        if any(self.mean):
            parts.append(f"subtract {listed(self.mean)}")
        if any(value != 1 for value in self.std):
            parts.append(f"divide by {listed(self.std)}")
        return "; ".join(parts) or "none"

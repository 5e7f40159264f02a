"""From stored values to the network's input: differentiable, a value with an identity, part of the victim."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.errors import InputError


@dataclass(frozen=True)
class Preprocess:
    """Resize, repeat grey to several channels, then `(stored - mean) / std` per channel, in this order.

    Perturbations live in stored values, before all of this, so grey images carry one perturbation, not three.

    Attributes:
        size: spatial size of the network's input; None keeps the stored size. Linear, anti-aliased.
        channels: repeat a single stored channel this often; None keeps the stored channels.
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
        images = self._resized(images)
        if self.channels is not None and images.shape[1] != self.channels:
            if images.shape[1] != 1:
                raise InputError(
                    f"preprocess.channels: images with {images.shape[1]} channels cannot be repeated to "
                    f"{self.channels}; only grey images can."
                )
            images = images.expand(-1, self.channels, *images.shape[2:])
        return (images - self._per_channel(self.mean, images)) / self._per_channel(self.std, images)

    def _resized(self, images: Tensor) -> Tensor:
        if self.size is None or tuple(images.shape[2:]) == self.size:
            return images
        if images.ndim != 4 or len(self.size) != 2:
            raise InputError(
                f"preprocess.size: {list(self.size)} resizes 2D images, and these have "
                f"{images.ndim - 2} spatial dimensions."
            )
        return F.interpolate(images, size=self.size, mode="bilinear", antialias=True)

    @staticmethod
    def _per_channel(values: tuple[float, ...], images: Tensor) -> Tensor:
        if len(values) not in (1, images.shape[1]):
            raise InputError(
                f"preprocess: mean and std have {len(values)} numbers for images with {images.shape[1]} channels. "
                "Give one number, or one per channel."
            )
        return torch.tensor(values, dtype=images.dtype, device=images.device).reshape(1, -1, *[1] * (images.ndim - 2))

    def words(self) -> str:
        """What it does, in words for a report."""
        parts = []
        if self.size is not None:
            parts.append("resize to " + " x ".join(map(str, self.size)))
        if self.channels is not None:
            parts.append(f"repeat grey to {self.channels} channels")
        if any(self.mean):
            parts.append("subtract " + ", ".join(f"{value:g}" for value in self.mean))
        if any(value != 1 for value in self.std):
            parts.append("divide by " + ", ".join(f"{value:g}" for value in self.std))
        return "; ".join(parts) or "none"

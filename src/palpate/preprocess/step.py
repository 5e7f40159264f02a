"""The interface of a preprocessing, and what its steps have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from palpate.errors import InputError

Part = tuple[str, Callable[[Tensor], Tensor]]
"""One step by its name, as a map of a batch (B, C, *spatial)."""

_LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey: ITU-R BT.601, as in Pillow's `convert("L")` and OpenCV."""

MOST_PIXELS = 2**29
"""Pixels or voxels of one image that a step may make at most."""


class Step(Protocol):
    """One step of a chain: a frozen value."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map (B, C, *spatial) to (B, C', *spatial'), differentiable; every image separately."""

    def describe(self) -> str:
        """What it does, in a phrase for a report."""


@runtime_checkable
class Preprocessing(Protocol):
    """From values to the network's input: a frozen value."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map values (B, C, *spatial) to the network's input."""

    def describe(self) -> str:
        """What it does, in words for a report."""

    @property
    def window(self) -> tuple[float, float] | None:
        """Lowest and highest value that the network can tell apart; None if every value counts."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its steps by name, in order."""

    @property
    def resamples(self) -> bool:
        """Whether it depends on the images' spacing, which `at` sets."""

    def at(self, spacing: tuple[float, ...] | None) -> Self:
        """The same for images of this spacing (mm per pixel along each spatial axis)."""


def rising(step: str, low: float, high: float) -> None:
    """Refuse limits that are not finite or not increasing."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        why = "must be two finite numbers, the lower one first."
        if low == high:
            why = "has zero width, so that every value would become the same. Give a lower and a higher value."
        raise InputError(f"preprocess.{step}.low: [{low:g}, {high:g}] {why}")


def positive(place: str, values: Sequence[float]) -> None:
    """Refuse sizes and spacings that are not finite and above zero, one or more of them."""
    if not values or any(not (math.isfinite(value) and value > 0) for value in values):
        raise InputError(f"preprocess.{place}: {list(values)} must be above zero, one number per spatial axis.")


def sized(place: str, values: Sequence[float]) -> None:
    """Refuse sizes that are not above zero, or of more pixels than any image that palpate reads."""
    positive(place, values)
    if math.prod(values) > MOST_PIXELS:
        raise InputError(f"preprocess.{place}: {by(values)} is more than {MOST_PIXELS:,} pixels. Give a smaller size.")


def axes(place: str, values: Sequence[float], images: Tensor) -> None:
    """Refuse images of another number of spatial axes than a step has numbers for."""
    if len(values) != images.ndim - 2:
        raise InputError(
            f"preprocess.{place}: {list(values)} is for {len(values)} spatial dimensions, and these images have "
            f"{images.ndim - 2} spatial dimensions."
        )


def per_channel(place: str, values: tuple[float, ...], images: Tensor) -> Tensor:
    """`values`, one in all or one per channel, shaped so that they broadcast over `images`."""
    if len(values) not in (1, images.shape[1]):
        raise InputError(
            f"{place} {len(values)} numbers for images with {images.shape[1]} channels. "
            "Give one number, or one per channel."
        )
    return torch.tensor(values, dtype=images.dtype, device=images.device).reshape(1, -1, *[1] * (images.ndim - 2))


def repeated(place: str, images: Tensor, channels: int) -> Tensor:
    """Grey images in `channels` equal channels, RGB in one grey channel; others that fit are unchanged."""
    if images.shape[1] == channels:
        return images
    if images.shape[1] == len(_LUMINANCE) and channels == 1:
        shares = images.new_tensor(_LUMINANCE).reshape(1, -1, *[1] * (images.ndim - 2))
        return (images * shares).sum(1, keepdim=True)
    if images.shape[1] != 1:
        raise InputError(
            f"{place}: images with {images.shape[1]} channels cannot be repeated to {channels}: grey is repeated, and "
            "RGB becomes one channel."
        )
    return images.expand(-1, channels, *images.shape[2:])


def recoloured(channels: int) -> str:
    """What `repeated` does, in words for a report."""
    return "turn RGB into grey (ITU-R 601)" if channels == 1 else f"repeat grey to {channels} channels"


def by(values: Sequence[float]) -> str:
    """`224 x 224`."""
    return " x ".join(f"{value:g}" for value in values)


def listed(values: Sequence[float]) -> str:
    """`127.5, 63`."""
    return ", ".join(f"{value:g}" for value in values)

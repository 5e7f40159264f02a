"""What post-processing steps have in common: the interface, the straight-through estimator, levels, planes."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Protocol

import torch
from torch import Tensor

from palpate._moved import renamed
from palpate.units import Scale


class PostProcessing(Protocol):
    """Something that happens to images on their way through a hospital: a frozen value with a scale.

    Images are values (B, C, *spatial) inside `scale.bounds`; the result has the same shape and is inside the
    bounds too. Every sample is processed separately.
    """

    @property
    def name(self) -> str:
        """As plans and records have it; `palpate.postprocessing.parse` makes the step from it again."""

    @property
    def scale(self) -> Scale:
        """What the values mean."""

    def describe(self) -> str:
        """What it does, in a phrase for a report."""

    def __call__(self, images: Tensor) -> Tensor:
        """The step itself, by the real codec; without gradient."""

    def soft(self, images: Tensor) -> Tensor:
        """The same values, differentiable in `images`; see `through` for steps without a useful derivative."""


def through(value: Tensor, path: Tensor) -> Tensor:
    """`value`, with the gradient of `path`: the straight-through estimator (Bengio et al. 2013).

    Exact in value, because `path - path` is 0. For rounding and codecs `path` is the image itself, clipped as they
    clip it, so that the gradient is the identity where values are kept and 0 where they are cut off.
    """
    return value.detach() + (path - path.detach())


def span(scale: Scale) -> tuple[float, float]:
    """What an export to 8 bits shows from black to white: the model's window, or without one the whole range."""
    return scale.window or scale.bounds


def span_words(scale: Scale) -> str:
    """`-160 to 240 HU`."""
    low, high = span(scale)
    return f"{low:g} to {high:g} {scale.unit}".rstrip()


def top_level(scale: Scale) -> int | None:
    """The highest stored number when the lowest value of the bounds is 0; None where values have no lattice."""
    # Without the tiny addition, 1 / (1 / 255) could be less than 255.
    return None if scale.step is None else floor(scale.extent / scale.step + 1e-6)


def levels(image: Tensor, low: float, step: float, top: int) -> Tensor:
    """The nearest of the numbers 0 to `top` for each value, which mean `low + number * step`; float64."""
    # A copy even where it is float64 already: the caller's image is not written to.
    return image.detach().to(torch.float64, copy=True).sub_(low).div_(step).round_().clamp_(0, top)


def values(numbers: Tensor, low: float, high: float, top: int, like: Tensor, bounds: tuple[float, float]) -> Tensor:
    """The values that numbers from 0 (`low`) to `top` (`high`) mean, in the type and on the device of `like`.

    Computed in float64, so that whole numbers and whole HU come back exactly.
    """
    numbers = numbers.to(device=like.device, dtype=torch.float64, copy=True)
    # Multiplied before it is divided: of (0, 1) the number k becomes exactly k / 255.
    return numbers.mul_(high - low).div_(top).add_(low).clamp_(*bounds).to(like.dtype)


def each(images: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """`function` of every sample (C, *spatial), so that no more than one is held in float64 at a time."""
    return torch.stack([function(image) for image in images.detach()])


__getattr__ = renamed(__name__)

"""Filters in front of a model: the same map of every image, attacked straight through where it has no slope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor
from typing import Protocol

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.postprocessing.base import each, levels, span, span_words, through, values
from palpate.tensors import Tree
from palpate.units import Scale
from palpate.victim.defence import Pass

_MOST_BITS = 16
_WIDEST = 15
_SLACK = 1e-6


class Step(Protocol):
    """A map of images (B, C, *spatial) in stored values: a post-processing step, `Quantised`, `Median`."""

    def __call__(self, images: Tensor) -> Tensor:
        """The step itself."""

    def soft(self, images: Tensor) -> Tensor:
        """The same values, differentiable."""

    def describe(self) -> str:
        """What it does, in a phrase."""


@dataclass(frozen=True)
class Filter:
    """Images pass through a step before the model sees them.

        Filter(Jpeg(Scale((0, 255)), 75))

    The values of a search pass are those of a judge pass. Its gradient is the step's own where it has one; rounding
    and codecs are passed straight through (BPDA: Athalye, Carlini, Wagner, ICML 2018).

    Attributes:
        step: the step.
    """

    step: Step

    exact = True

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return self.step.describe()

    def __call__(self, images: Tensor, answer: Callable[[Tensor], Tree], how: Pass) -> Tree:
        """The outputs for the filtered images."""
        return answer(self.step.soft(images) if torch.is_grad_enabled() else self.step(images))


@dataclass(frozen=True)
class Quantised:
    """Rounded to levels, evenly over the model's window [a, b] if it has one, otherwise over the whole range.

        v' = a + q * round((clip(v, a, b) - a) / q)

    Attributes:
        scale: what the values mean.
        step: q, the distance of two levels in stored values.

    Raises:
        InputError: fewer than 2 levels, or more than 65536.
    """

    scale: Scale
    step: float

    def __post_init__(self) -> None:
        low, high = span(self.scale)
        if not (self.step > 0 and 1 <= (high - low) / self.step + _SLACK <= 2**_MOST_BITS):
            raise InputError(
                f"step: {self.step:g} gives fewer than 2 or more than {2**_MOST_BITS} levels from {low:g} to {high:g}."
            )

    @classmethod
    def of_bits(cls, scale: Scale, bits: int) -> Quantised:
        """2 to the power of `bits` levels."""
        low, high = span(scale)
        return cls(scale, (high - low) / (2**bits - 1))

    @property
    def top(self) -> int:
        """The number of the highest level, from 0."""
        low, high = span(self.scale)
        return floor((high - low) / self.step + _SLACK)

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"rounded to {self.top + 1} levels of {span_words(self.scale)}"

    def __call__(self, images: Tensor) -> Tensor:
        """Values (B, C, *spatial) on the levels."""
        low, top = span(self.scale)[0], self.top
        high = low + top * self.step
        return each(images, lambda x: values(levels(x, low, self.step, top), low, high, top, x, self.scale.bounds))

    def soft(self, images: Tensor) -> Tensor:
        """The same, straight through; no gradient outside the window."""
        return through(self(images), images.clamp(*span(self.scale)))


@dataclass(frozen=True)
class Median:
    """The median of every neighbourhood of `size` pixels along each spatial axis, channels apart; borders repeated.

    Its gradient is its own: that of the pixel which is the median.

    Attributes:
        size: side of the neighbourhood in pixels, odd.

    Raises:
        InputError: a side that is even, below 3 or above 15.
    """

    size: int = 3

    def __post_init__(self) -> None:
        if not (3 <= self.size <= _WIDEST and self.size % 2):
            raise InputError(f"median.size: {self.size} must be an odd number from 3 to {_WIDEST}.")

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"median of {self.size} pixels along each axis"

    def __call__(self, images: Tensor) -> Tensor:
        """Medians (B, C, *spatial)."""
        with torch.no_grad():
            return self.soft(images)

    def soft(self, images: Tensor) -> Tensor:
        """The same with its gradient."""
        around = images
        for axis in range(2, images.ndim):
            extent, reach = images.shape[axis], self.size // 2
            places = torch.arange(-reach, extent + reach, device=images.device).clamp(0, extent - 1)
            around = around.index_select(axis, places)
        for axis in range(2, images.ndim):
            around = around.unfold(axis, self.size, 1)
        return around.flatten(images.ndim).median(-1).values

"""Defences that draw random numbers: judged and attacked in expectation over fixed draws, other ones for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.defences.reading import Reading
from palpate.defences.smoothing import noises
from palpate.errors import InputError
from palpate.tensors import Tree
from palpate.units import Scale
from palpate.victim.defence import Pass


@dataclass(frozen=True)
class Noise:
    """Gaussian noise N(0, sigma^2) in stored values before the model, not clipped; the decision is that of its mean.

    Both passes give the log of the mean probability over `draws` noisy copies. `Smoothing` votes instead, which can
    be certified.

    Attributes:
        sigma: standard deviation of the noise in stored values.
        draws: noisy copies of each image.
        head: how outputs are read; None: as the task says, and without one as classes.

    Raises:
        InputError: a width that is not above 0, or no draws.
    """

    sigma: float
    draws: int = 16
    head: Reading | None = None

    exact = False

    def __post_init__(self) -> None:
        if not (isfinite(self.sigma) and self.sigma > 0):
            raise InputError(f"noise.sigma: {self.sigma:g} must be above 0, in stored values.")
        require_draws("noise", self.draws)

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"noise of {self.sigma:g}, mean of {self.draws} draws"

    def __call__(self, images: Tensor, answer: Callable[[Tensor], Tree], how: Pass) -> Tensor:
        """Mean probabilities as raw outputs."""
        copies = noises(images, self.sigma, how.seed, self.draws)
        return (self.head or Reading()).mean([answer(images + noise) for noise in copies])


@dataclass(frozen=True)
class ResizePad:
    """Shrunk by a random factor and put at a random place of an empty image (Xie et al., ICLR 2018, at fixed size).

    The factor is uniform between `smallest` and 1, bilinear, antialiased; the rest has the lowest value. Volumes: every
    plane of the last two axes, all alike. The decision is that of the mean probability over `draws`. Both the draw and
    the resampling are differentiable, so the attack climbs their expectation exactly.

    Attributes:
        scale: what the values mean.
        smallest: side of the shrunken image in sides of the image, between 0 and 1.
        draws: random copies of each image.
        head: how outputs are read; None: as the task says, and without one as classes.

    Raises:
        InputError: a fraction that is not between 0 and 1, or no draws.
    """

    scale: Scale
    smallest: float = 0.8
    draws: int = 16
    head: Reading | None = None

    exact = False

    def __post_init__(self) -> None:
        if not 0 < self.smallest < 1:
            raise InputError(f"resize-pad.smallest: {self.smallest:g} must be between 0 and 1, both excluded.")
        require_draws("resize-pad", self.draws)

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"shrunk to {self.smallest:g} to 1 of its sides and padded at random, mean of {self.draws} draws"

    def __call__(self, images: Tensor, answer: Callable[[Tensor], Tree], how: Pass) -> Tensor:
        """Mean probabilities as raw outputs."""
        copies = [self.drawn(images, how.seed + place) for place in range(self.draws)]
        return (self.head or Reading()).mean([answer(copy) for copy in copies])

    def drawn(self, images: Tensor, seed: int) -> Tensor:
        """One random copy (B, C, *spatial) of all images, each moved alike."""
        rows, columns = images.shape[-2:]
        where = torch.rand(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()
        factor = self.smallest + (1 - self.smallest) * where[0]
        size = [max(1, round(rows * factor)), max(1, round(columns * factor))]
        planes = F.interpolate(images.flatten(1, -3), size=size, mode="bilinear", antialias=True)
        free = rows - size[0], columns - size[1]
        top, left = (round(share * left_over) for share, left_over in zip(where[1:], free, strict=True))
        sides = (left, free[1] - left, top, free[0] - top)
        return F.pad(planes, sides, value=self.scale.bounds[0]).reshape(images.shape)


def require_draws(name: str, draws: int) -> None:
    """Refuse a defence without draws; raises InputError."""
    if draws < 1:
        raise InputError(f"{name}.draws: {draws} must be at least 1.")

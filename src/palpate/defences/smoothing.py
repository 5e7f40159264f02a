"""Randomised smoothing: the decision that most noisy copies of an image get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from palpate.defences.reading import Reading
from palpate.errors import InputError
from palpate.tensors import Tree
from palpate.victim.defence import Pass


@dataclass(frozen=True)
class Smoothing:
    """The model under Gaussian noise N(0, sigma^2) in stored values, not clipped (Cohen et al., ICML 2019).

    judge    log of the share of votes among `votes` noisy copies, per class, finding or pixel (at least 1 / 2 votes)
    search   log of the mean probability of `draws` noisy copies, differentiable (Salman et al., NeurIPS 2019)

    Findings, single logits and structures that may overlap get log odds in place of logs. Every image of a pass gets
    the same noise, so that it does not depend on the rest of the batch. The search never sees the noise that decides.

        Smoothing(12.0)(images, network, Pass("judge", 10_001))   # like network(images): (B, K)

    Attributes:
        sigma: standard deviation of the noise in stored values.
        draws: noisy copies in a search pass.
        head: how outputs are read; None: as the task says, and without one as classes.
        votes: noisy copies in a judge pass.

    Raises:
        InputError: a width that is not above 0, or fewer than one copy.
    """

    sigma: float
    draws: int = 16
    head: Reading | None = None
    votes: int = 100

    exact = False

    def __post_init__(self) -> None:
        if not (isfinite(self.sigma) and self.sigma > 0):
            raise InputError(f"smoothing.sigma: {self.sigma:g} must be above 0, in stored values.")
        for name in ("draws", "votes"):
            if getattr(self, name) < 1:
                raise InputError(f"smoothing.{name}: {getattr(self, name)} must be at least 1.")

    def describe(self) -> str:
        """What it does, in a phrase for a report."""
        return f"smoothing with noise of {self.sigma:g}, {self.votes} votes"

    def __call__(self, images: Tensor, answer: Callable[[Tensor], Tree], how: Pass) -> Tensor:
        """Votes or mean probabilities as raw outputs, in the shape of `answer(images)`.

        Raises:
            InputError: outputs that have no mean, such as the candidates of a detector.
        """
        reading = self.head or Reading()
        if how.kind == "search":
            copies = noises(images, self.sigma, how.seed, self.draws)
            return reading.mean([answer(images + noise) for noise in copies])
        copies = noises(images, self.sigma, how.seed, self.votes)
        votes = reading.votes(answer(images + next(copies)))
        for noise in copies:
            votes = votes + reading.votes(answer(images + noise))
        return reading.of_shares(votes / self.votes, 0.5 / self.votes)


def noises(images: Tensor, sigma: float, seed: int, count: int) -> Iterator[Tensor]:
    """Yield `count` draws of noise N(0, sigma^2) of shape (1, C, *spatial) for `images` (B, C, *spatial).

    Their seeds are `seed`, `seed` + 1 and so on. They are drawn on the CPU in float32, so that every device and number
    format gets the same.
    """
    for place in range(count):
        generator = torch.Generator().manual_seed(seed + place)
        noise = torch.randn(tuple(images.shape[1:]), generator=generator, dtype=torch.float32)
        yield noise[None].to(images) * sigma

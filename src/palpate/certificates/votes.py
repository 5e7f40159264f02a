"""The votes of noisy copies of one image: how often each decision was made at each of its positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from palpate.certificates.bounds import Ints
from palpate.certificates.decisions import Decisions
from palpate.seeds import derive
from palpate.streams import Streams
from palpate.tensors import Tree

Chunks = Callable[[Sequence[int], Callable[[tuple[int, ...]], Ints]], Iterable[tuple[tuple[int, ...], Ints]]]
"""Applies work to draws, as many at once as fit into memory: `palpate.audit.subject.room.Room.each`."""


@dataclass(frozen=True)
class Noise:
    """The noise of one image: N(0, sigma^2) in every stored value, not clipped.

    A draw depends on the seed, its purpose and its number only: neither on how many are drawn at once nor on others.

    Attributes:
        sigma: standard deviation in stored values.
        seed: of the image.
        purpose: what the draws are for; other purposes have independent draws.
    """

    sigma: float
    seed: int
    purpose: str

    def copies(self, image: Tensor, draws: Sequence[int]) -> Tensor:
        """Noisy copies (len(draws), C, *spatial) of an image (1, C, *spatial)."""
        streams = Streams([derive(self.seed, self.purpose, draw) for draw in draws])
        return image + self.sigma * streams.normal(image.shape[1:], image)


def together(size: int) -> Chunks:
    """So many draws at once."""

    def each(draws: Sequence[int], work: Callable[[tuple[int, ...]], Ints]) -> Iterable[tuple[tuple[int, ...], Ints]]:
        for start in range(0, len(draws), size):
            part = tuple(draws[start : start + size])
            yield part, work(part)

    return each


def count(
    answer: Callable[[Tensor], Tree], image: Tensor, noise: Noise, draws: int, decisions: Decisions, chunks: Chunks
) -> Ints:
    """How often each decision was made, (kinds, positions) int32, over `draws` noisy copies of an image.

    A copy whose output has NaN or infinity gives no vote.

    Args:
        answer: raw outputs of the model that is smoothed, for images in stored values (B, C, *spatial).
        image: (1, C, *spatial).
        noise: of this image.
        draws: noisy copies.
        decisions: reads outputs.
        chunks: how many copies are evaluated at once.
    """

    def votes(part: tuple[int, ...]) -> Ints:
        with torch.no_grad():
            return decisions.votes(answer(noise.copies(image, part)))

    total = np.zeros((decisions.kinds, decisions.positions), dtype=np.int32)
    for _, found in chunks(range(draws), votes):
        total += found
    return total

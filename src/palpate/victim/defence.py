"""Defences: what stands around the deployed function, in stored values, and is attacked together with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from palpate.tensors import Tree
from palpate.victim.draws import JUDGED, SEARCHED

PassKind = Literal["judge", "search"]
_APART = 1_000_003
"""Distance of the seeds of one defence and the next, so that no two of them draw the same numbers."""


@dataclass(frozen=True)
class Pass:
    """What a pass is for.

    Attributes:
        kind: `judge`, which decides and has no gradient; or `search`, which must be differentiable.
        seed: of everything random. It is the same in every pass of one kind, so that passes repeat, and another one
            for the search than for the judge: what beats only the draws of the search is no success.
    """

    kind: PassKind
    seed: int


JUDGE, SEARCH = Pass("judge", JUDGED), Pass("search", SEARCHED)


class Defence(Protocol):
    """Something that stands around a model: a frozen value.

    Its result for an image must not depend on the rest of the batch, and must repeat to the byte. It never writes
    into `images`.
    """

    @property
    def exact(self) -> bool:
        """Whether a search pass gives the very values of a judge pass."""

    def __call__(self, images: Tensor, answer: Callable[[Tensor], Tree], how: Pass) -> Tree:
        """The outputs of the defended model for `images`.

        Args:
            images: (B, C, *spatial) in stored values.
            answer: everything inside: outputs (B, ...) of images (B, C, *spatial) in stored values. It may be called
                any number of times.
            how: what the pass is for.

        Returns:
            Outputs in the form that `answer` gives.
        """

    def describe(self) -> str:
        """What it does, in a phrase for a report."""


def defended(defences: Sequence[Defence], answer: Callable[[Tensor], Tree], how: Pass) -> Callable[[Tensor], Tree]:
    """`answer` with the defences around it; the first is the outermost. Each gets a seed of its own."""
    for place in reversed(range(len(defences))):
        answer = _around(defences[place], answer, Pass(how.kind, how.seed + place * _APART))
    return answer


def _around(defence: Defence, answer: Callable[[Tensor], Tree], how: Pass) -> Callable[[Tensor], Tree]:
    return lambda images: defence(images, answer, how)

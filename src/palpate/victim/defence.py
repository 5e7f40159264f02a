"""Defences: what surrounds the deployed function, in stored values, and is attacked together with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor, nn

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
    """Something that surrounds a model: a frozen value.

    Its result for an image must not depend on the rest of the batch, and must repeat to the byte. It never writes
    into `images`. Networks of its own are in an attribute `modules`: a victim freezes and restores them like the model.
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


@dataclass(frozen=True)
class Inside:
    """What a defence surrounds: the next defence and so on, or the network with its preprocessing and inferer.

    Attributes:
        run: outputs of images in stored values by a network.
        network: the network that answers.
    """

    run: Callable[[nn.Module, Tensor], Tree]
    network: nn.Module

    def __call__(self, images: Tensor) -> Tree:
        """Outputs for `images` (B, C, *spatial) in stored values."""
        return self.run(self.network, images)

    def by(self, network: nn.Module) -> Inside:
        """The same with another network in place of the victim's; everything around it stays."""
        return Inside(self.run, network)


def defended(
    defences: Sequence[Defence], run: Callable[[nn.Module, Tensor], Tree], how: Pass
) -> Callable[[nn.Module, Tensor], Tree]:
    """`run(network, images)` with the defences around it; the first is the outermost. Each gets a seed of its own."""
    for place in reversed(range(len(defences))):
        run = _around(defences[place], run, Pass(how.kind, how.seed + place * _APART))
    return run


def _around(
    defence: Defence, run: Callable[[nn.Module, Tensor], Tree], how: Pass
) -> Callable[[nn.Module, Tensor], Tree]:
    return lambda network, images: defence(images, Inside(run, network), how)


def modules_of(defences: Sequence[Defence]) -> list[nn.Module]:
    """The networks that defences have of their own."""
    return [module for defence in defences for module in getattr(defence, "modules", ())]

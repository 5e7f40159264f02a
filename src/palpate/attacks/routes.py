"""The ways on which an image reaches the model: as it was delivered, or after something happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from palpate.errors import InputError
from palpate.handling import Handling, parse
from palpate.tensors import Tree
from palpate.units import Scale
from palpate.victim import Victim


@dataclass(frozen=True, eq=False)
class Route:
    """The victim f after one handling h, seen as the model f(h(x)) of the very same images x.

    Attributes:
        victim: f; it counts the passes.
        handling: h; None leaves images as they are.
    """

    victim: Victim
    handling: Handling | None = None

    def search(self, images: Tensor) -> Tree:
        """Outputs for the search, differentiable through the handling, straight through where it must be."""
        return self.victim.search(images if self.handling is None else self.handling.soft(images))

    def score(self, images: Tensor) -> Tree:
        """What `search` computes, without gradient."""
        return self.victim.score(images if self.handling is None else self.handling(images))

    def glance(self, images: Tensor) -> Tree:
        """Outputs without gradient, in the cheapest arithmetic."""
        return self.victim.glance(images if self.handling is None else self.handling(images))


def routes(victim: Victim, handlings: Sequence[Handling | str] = ()) -> tuple[Route, ...]:
    """The plain route first, then one per handling.

    A handling that is only named is made for the victim's bounds, and for its window where its preprocessing has one.

    Raises:
        InputError: an unknown name, or a handling that was made for values in other bounds.
    """
    scale = Scale(victim.bounds, window=getattr(victim.preprocess, "window", None))
    made = [parse(handling, scale) if isinstance(handling, str) else handling for handling in handlings]
    for handling in made:
        low, high = handling.scale.bounds
        if (low, high) != victim.bounds:
            raise InputError(
                f"robust_to: {handling.name} was made for values from {low:g} to {high:g}, and the model takes "
                f"{victim.bounds[0]:g} to {victim.bounds[1]:g}. Make it with the bounds of the model."
            )
    return Route(victim), *(Route(victim, handling) for handling in made)

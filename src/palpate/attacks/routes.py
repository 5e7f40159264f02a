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


@dataclass(frozen=True)
class Weighted:
    """A handling that does not count as much as the image as it is.

    Attributes:
        handling: the handling, or its name.
        weight: how much it counts where the image as it is counts 1.

    Raises:
        InputError: a weight that is not above zero and finite.
    """

    handling: Handling | str
    weight: float

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise InputError(f"weight: {self.weight:g} must be above zero and finite.")


Way = Handling | str | Weighted
"""What happens to images on a way: a handling, or its name where the model's bounds are all that it needs."""


@dataclass(frozen=True, eq=False)
class Route:
    """The victim f after one handling h, seen as the model f(h(x)) of the very same images x.

    Attributes:
        victim: f; it counts the passes.
        handling: h; None leaves images as they are.
        weight: how much it counts beside the image as it is.
    """

    victim: Victim
    handling: Handling | None = None
    weight: float = 1.0

    def search(self, images: Tensor) -> Tree:
        """Outputs for the search, differentiable through the handling, straight through where it must be."""
        return self.victim.search(images if self.handling is None else self.handling.soft(images))

    def score(self, images: Tensor) -> Tree:
        """What `search` computes, without gradient."""
        return self.victim.score(images if self.handling is None else self.handling(images))

    def glance(self, images: Tensor) -> Tree:
        """Outputs without gradient, in the cheapest arithmetic."""
        return self.victim.glance(images if self.handling is None else self.handling(images))


def routes(victim: Victim, ways: Sequence[Way] = ()) -> tuple[Route, ...]:
    """The plain route first, then one per way.

    A handling that is only named is made for the victim's bounds, and for its window where its preprocessing has one.

    Raises:
        InputError: an unknown name, or a handling that was made for values in other bounds.
    """
    scale = Scale(victim.bounds, window=getattr(victim.preprocess, "window", None))
    return Route(victim), *(_route(victim, way, scale) for way in ways)


def _route(victim: Victim, way: Way, scale: Scale) -> Route:
    handling, weight = (way.handling, way.weight) if isinstance(way, Weighted) else (way, 1.0)
    handling = parse(handling, scale) if isinstance(handling, str) else handling
    low, high = handling.scale.bounds
    if (low, high) != victim.bounds:
        raise InputError(
            f"robust_to: {handling.name} was made for values from {low:g} to {high:g}, and the model takes "
            f"{victim.bounds[0]:g} to {victim.bounds[1]:g}. Make it with the bounds of the model."
        )
    return Route(victim, handling, weight)


def name_of(way: Way) -> str:
    """The name of what happens on a way."""
    handling = way.handling if isinstance(way, Weighted) else way
    return handling if isinstance(handling, str) else handling.name

"""Climbs that search wider balls than the threat's before they search that."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from palpate.contracts import Neighbourhood


@runtime_checkable
class PhasedStepRule(Protocol):
    """A step rule that also searches wider balls, such as three, two and one radii; images of a wider one never count.

    Without these methods, every step is in the threat's own ball. The last step has to be.
    """

    def radii(self, step: int, steps: int) -> float:
        """How many radii of the threat wide the ball of this step is; 1: the threat's own."""

    def enter(self, images: Tensor, space: Neighbourhood, step: int) -> Tensor:
        """Where to go on from `images` when a step enters another ball, and at the first step of all; in `space`."""


@runtime_checkable
class Widenable(Protocol):
    """A neighbourhood that can be searched in a wider ball first."""

    def widened(self, factor: float) -> Neighbourhood:
        """The same neighbourhood with `factor` times the radius."""


def widened(space: Neighbourhood, radii: float) -> Neighbourhood:
    """The same with `radii` times the radius; one that cannot be widened, or need not be, is returned as it is."""
    return space.widened(radii) if radii != 1 and isinstance(space, Widenable) else space

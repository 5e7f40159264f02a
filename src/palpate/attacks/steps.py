"""How far each step of an ascent goes, in radii of the ball."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from palpate.contracts import Neighbourhood
from palpate.errors import InputError
from palpate.tensors import lengths, spread


@dataclass(frozen=True)
class Fixed:
    """x_{t+1} = P(x_t + size * radius * steepest(g_t)).

    Attributes:
        size: length of a step in radii.

    Raises:
        InputError: the size is not above zero.
    """

    size: float = 0.1

    def __post_init__(self) -> None:
        if not self.size > 0:
            raise InputError(f"step: {self.size:g} radii must be above zero.")

    def init(self, images: Tensor) -> None:
        """No state."""

    def stride(self, state: Any, step: int, steps: int) -> Tensor | float:
        """The same every time."""
        return self.size

    def advance(
        self, images: Tensor, gradient: Tensor, value: Tensor, state: Any, space: Neighbourhood, step: int, steps: int
    ) -> tuple[Tensor, Any]:
        """One projected step."""
        return space.move(images, gradient, self.stride(state, step, steps)), state


@dataclass(frozen=True)
class Cosine(Fixed):
    """A step that falls from `size` to zero along a half cosine."""

    def stride(self, state: Any, step: int, steps: int) -> float:
        """At step t of T: size * (1 + cos(pi * t / T)) / 2."""
        return self.size * (1 + math.cos(math.pi * step / steps)) / 2


@dataclass(frozen=True)
class Proportional(Fixed):
    """x_{t+1} = P(x_t + size * radius * g_t / max |g_t|): every value moves in proportion to its gradient (DAG).

    For L-inf balls, whose steepest step moves every value equally far. A gradient of zero changes nothing.
    """

    def advance(
        self, images: Tensor, gradient: Tensor, value: Tensor, state: Any, space: Neighbourhood, step: int, steps: int
    ) -> tuple[Tensor, Any]:
        """One projected step."""
        longest = lengths(gradient, "linf").to(gradient.dtype)
        stride = space.radius * self.stride(state, step, steps) / torch.where(longest > 0, longest, 1.0)
        return space.project(torch.addcmul(images, gradient, spread(stride, images))), state


class HalvingState(NamedTuple):
    """Per-sample state of `Halving`."""

    size: Tensor
    previous: Tensor
    last_value: Tensor
    best_images: Tensor
    best_gradient: Tensor
    best_value: Tensor
    rises: Tensor
    held: Tensor
    best_at_check: Tensor


@dataclass(frozen=True)
class Halving:
    """APGD's step (Croce and Hein 2020): start at two radii, halve when the ascent stalls, go back to the best.

        z_{t+1} = P(x_t + eta_t * radius * steepest(g_t))
        x_{t+1} = P(x_t + inertia * (z_{t+1} - x_t) + (1 - inertia) * (x_t - x_{t-1}))

    At the checkpoints of the paper a sample's step is halved, and its ascent continues from its best iterate, when
    fewer than `rho` of the steps since the last checkpoint raised the value, or when neither the step nor the best
    value changed.

    Attributes:
        size: first step in radii.
        inertia: share of the new step; the rest is the last one.
        rho: share of the steps that have to raise the value.
    """

    size: float = 2.0
    inertia: float = 0.75
    rho: float = 0.75

    def init(self, images: Tensor) -> HalvingState:
        """The state before the first step."""
        lowest = images.new_full((len(images),), -torch.inf)
        return HalvingState(
            size=torch.full_like(lowest, self.size),
            previous=images,
            last_value=lowest,
            best_images=images,
            best_gradient=torch.zeros_like(images),
            best_value=lowest,
            rises=torch.zeros_like(lowest),
            held=torch.zeros_like(lowest, dtype=torch.bool),
            best_at_check=lowest,
        )

    def stride(self, state: HalvingState, step: int, steps: int) -> Tensor | float:
        """Each sample's own step."""
        return state.size

    def advance(
        self,
        images: Tensor,
        gradient: Tensor,
        value: Tensor,
        state: HalvingState,
        space: Neighbourhood,
        step: int,
        steps: int,
    ) -> tuple[Tensor, HalvingState]:
        """One step with inertia, after the checkpoint's bookkeeping."""
        value = value.to(state.best_value.dtype)
        better = value > state.best_value
        wide = spread(better, images).bool()
        state = state._replace(
            rises=state.rises + (value > state.last_value) if step else state.rises,
            last_value=value,
            best_images=torch.where(wide, images, state.best_images),
            best_gradient=torch.where(wide, gradient, state.best_gradient),
            best_value=torch.where(better, value, state.best_value),
        )
        if step in (checks := checkpoints(steps)):
            position = checks.index(step)
            images, gradient, state = self._check(
                images, gradient, state, step - (checks[position - 1] if position else 0)
            )
        ahead = space.move(images, gradient, state.size)
        if step:
            ahead = space.project(
                images + self.inertia * (ahead - images) + (1 - self.inertia) * (images - state.previous)
            )
        return ahead, state._replace(previous=images)

    def _check(
        self, images: Tensor, gradient: Tensor, state: HalvingState, period: int
    ) -> tuple[Tensor, Tensor, HalvingState]:
        stalled = (state.rises < self.rho * period) | (~state.held & (state.best_value <= state.best_at_check))
        wide = spread(stalled, images).bool()
        state = state._replace(
            size=torch.where(stalled, state.size / 2, state.size),
            rises=torch.zeros_like(state.rises),
            held=stalled,
            best_at_check=state.best_value,
        )
        images = torch.where(wide, state.best_images, images)
        return images, torch.where(wide, state.best_gradient, gradient), state


def checkpoints(steps: int) -> list[int]:
    """APGD's checkpoints: w_j = ceil(p_j * steps), p_1 = .22, p_{j+1} = p_j + max(p_j - p_{j-1} - .03, .06).

    >>> checkpoints(100)
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    found = sorted({math.ceil(round(share * steps, 9)) for share in shares[1:]})
    return [check for check in found if 0 < check < steps]

"""Steps of adaptive sparsity for L1 balls: few values change in a step, and fewer where few are enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from palpate.attacks.steps import Halving
from palpate.contracts import Neighbourhood, StepRule, Threat
from palpate.errors import InputError
from palpate.tensors import lengths, spread


class SparseState(NamedTuple):
    """Per-sample state of `Sparse`.

    Attributes:
        size: length of the coming step in radii.
        moving: how many values the coming step changes.
        changed: how many values the best image had changed at the last check.
        best_images: image of highest value in this phase.
        best_gradient: gradient there.
        best_value: value there.
    """

    size: Tensor
    moving: Tensor
    changed: Tensor
    best_images: Tensor
    best_gradient: Tensor
    best_value: Tensor


@dataclass(frozen=True)
class Sparse:
    """L1-APGD's step (Croce and Hein 2021): along the k steepest values, with k and the step's length adapted.

        x_{t+1} = P(x_t + size * radius * s_t / ||s_t||_1),    s_t = sign of the k steepest free values of g_t, else 0

    A value is free if the box lets it move along its gradient. At every check k becomes the number of values that the
    best image changes, divided by `thinning`. If the best image became sparser (below `sparser` of what it was), the
    ascent continues from it with the first step again; otherwise the step is divided by `shrink`, down to `least`.

    The phases search larger balls first: in a narrow L1 ball, the few values that the first steps chose decide where
    the ascent ends. Each phase starts from the best image of the one before, projected onto its own ball. Images of
    a wider ball never count.

    Differs from the paper: balls of 6, 4, 2 and 1 radii, not 3, 2 and 1, which beat more on validation images
    (docs/explanation/l1.md); values at their end of the box take no part of a step.

    Attributes:
        size: first step in radii.
        least: shortest step in radii.
        shrink: what a step is divided by.
        sparser: share of the changed values below which an image counts as sparser.
        thinning: what the number of changed values is divided by.
        density: share of the values that the first step changes, if the start is the clean image.
        period: share of a phase's steps between two checks.
        phases: radius of each phase in radii of the threat, and its share of the steps; the last radius is 1.

    Raises:
        InputError: a number out of its range, or phases that do not end in the ball itself.
    """

    size: float = 1.0
    least: float = 0.1
    shrink: float = 1.5
    sparser: float = 0.95
    thinning: float = 1.5
    density: float = 0.05
    period: float = 0.04
    phases: tuple[tuple[float, float], ...] = ((6.0, 0.2), (4.0, 0.2), (2.0, 0.2), (1.0, 0.4))

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.size:
            raise InputError(f"size: steps of {self.size:g} to {self.least:g} radii must fall, and stay above zero.")
        if not (self.phases and self.phases[-1][0] == 1 and all(r >= 1 and s > 0 for r, s in self.phases)):
            raise InputError(f"phases: {self.phases} must have radii of 1 or more, shares above 0, and end in 1.")

    def init(self, images: Tensor) -> SparseState:
        """The state before the first step."""
        lowest = images.new_full((len(images),), -torch.inf)
        return SparseState(
            size=torch.full_like(lowest, self.size),
            moving=torch.full_like(lowest, max(1, round(self.density * images[0].numel()))),
            changed=torch.full_like(lowest, torch.inf),
            best_images=images,
            best_gradient=torch.zeros_like(images),
            best_value=lowest,
        )

    def stride(self, state: SparseState, step: int, steps: int) -> Tensor | float:
        """Each sample's own step."""
        return state.size

    def radii(self, step: int, steps: int) -> float:
        """Radius of the phase of this step, in radii of the threat."""
        return self.phases[self._phase(step, steps)[0]][0]

    def enter(self, images: Tensor, space: Neighbourhood, step: int) -> Tensor:
        """Where a phase starts: a sparse random image, or the best of the phase before, inside `space`."""
        if step:
            return space.project(images)
        change = images - space.clean
        length = lengths(change, "l1").to(images.dtype)
        far = images[0].numel() * (space.high - space.low) / torch.where(length > 0, length, 1.0)
        return space.project(torch.addcmul(space.clean, change, spread(far, change)))

    def advance(
        self,
        images: Tensor,
        gradient: Tensor,
        value: Tensor,
        state: SparseState,
        space: Neighbourhood,
        step: int,
        steps: int,
    ) -> tuple[Tensor, SparseState]:
        """One sparse step; at the end of a phase the best image of it."""
        first, end = self._phase(step, steps)[1:]
        if step == first:
            changed = _changed(images, space)
            fresh = self.init(images)
            state = fresh._replace(
                moving=torch.where(changed > 0, self._thinned(changed), fresh.moving), changed=changed
            )
        value = value.to(state.best_value.dtype)
        better = value > state.best_value
        wide = spread(better, images).bool()
        state = state._replace(
            best_images=torch.where(wide, images, state.best_images),
            best_gradient=torch.where(wide, gradient, state.best_gradient),
            best_value=torch.where(better, value, state.best_value),
        )
        if step + 1 == end and end < steps:
            return state.best_images, state
        if step > first and (step - first) % max(int(self.period * (end - first)), 1) == 0:
            images, gradient, state = self._check(images, gradient, state, space)
        return space.project(images + self._direction(images, gradient, state, space)), state

    def _check(
        self, images: Tensor, gradient: Tensor, state: SparseState, space: Neighbourhood
    ) -> tuple[Tensor, Tensor, SparseState]:
        changed = _changed(state.best_images, space)
        sparser = changed < self.sparser * state.changed
        wide = spread(sparser, images).bool()
        size = torch.where(sparser, self.size, (state.size / self.shrink).clamp(min=self.least))
        state = state._replace(size=size, moving=self._thinned(changed), changed=changed)
        images = torch.where(wide, state.best_images, images)
        return images, torch.where(wide, state.best_gradient, gradient), state

    def _direction(self, images: Tensor, gradient: Tensor, state: SparseState, space: Neighbourhood) -> Tensor:
        free = torch.where(gradient > 0, images < space.high, images > space.low)
        signs = _steepest(gradient * free, state.moving)
        count = signs.abs().flatten(1).sum(1).clamp(min=1)
        return signs * spread(space.radius * state.size / count, signs)

    def _thinned(self, changed: Tensor) -> Tensor:
        return (changed / self.thinning).round().clamp(min=1)

    def _phase(self, step: int, steps: int) -> tuple[int, int, int]:
        """Index, first step and end of the phase of a step. What rounding leaves over belongs to the last."""
        first = 0
        for index, (_, share) in enumerate(self.phases[:-1]):
            end = first + int(round(share * steps, 9))
            if step < end:
                return index, first, end
            first = end
        return len(self.phases) - 1, first, steps


def adaptive(threat: Threat) -> StepRule:
    """The step of Auto-PGD: in L1 of adaptive sparsity, after phases in wider balls; otherwise halved on a stall."""
    return Sparse() if threat.norm == "l1" else Halving()


def _changed(images: Tensor, space: Neighbourhood) -> Tensor:
    """How many values differ from the clean ones (B,)."""
    return (images != space.clean).flatten(1).sum(1).to(images.dtype)


def _steepest(gradient: Tensor, counts: Tensor) -> Tensor:
    """The signs of the `counts` (B,) steepest values of each sample; zero elsewhere."""
    flat = gradient.flatten(1)
    # Stable, so that equal values are chosen alike in every batch.
    order = flat.abs().argsort(dim=1, descending=True, stable=True)[:, : int(counts.max())]
    chosen = torch.arange(order.shape[1], device=flat.device) < counts[:, None]
    return torch.zeros_like(flat).scatter_(1, order, flat.gather(1, order).sign() * chosen).view_as(gradient)

"""A climb along gradients that are estimated from differences of outputs, so that no graph can mislead it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.search import Search
from palpate.contracts import Neighbourhood, Threat
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tensors import spread

_CELLS = (4, 8, 16)
"""Cells along each axis of the random changes, in turn: coarse changes need the fewest pairs."""
_KEPT = 0.75
"""Share of the earlier estimate that is kept at each step."""


@dataclass(frozen=True)
class Estimated(Search):
    """Ascent along differences J(x + r u) - J(x - r u), averaged over random changes u, in place of a gradient.

        g = sum_u (J(x + r u) - J(x - r u)) u,    m <- 0.75 m + g,    x <- P(x + step * steepest(m))

    u is +1 or -1 in cells, as large as `reach` radii. It is the gradient of the model averaged over changes of that
    size, so ripples, rounding and detached graphs do not hide it. J is minus the margin plus minus the soft score, each
    relative to its value for the clean image. Every image that is tried counts.

    Differs from natural evolution strategies (Ilyas et al. 2018): cells instead of pixels, signs instead of normal
    numbers.

    Attributes:
        threat: what the attack may do.
        steps: steps of the climb; the first is of half a radius, and they shrink linearly to a tenth of that.
        pairs: changes u per step; each costs two passes.
        reach: size of a change in radii.

    Raises:
        InputError: fewer than one step or pair, or a reach outside (0, 1].
    """

    threat: Threat
    steps: int = 16
    pairs: int = 10
    reach: float = 0.5

    def __post_init__(self) -> None:
        if min(self.steps, self.pairs) < 1:
            raise InputError(f"steps, pairs: {self.steps} and {self.pairs} must be at least 1.")
        if not 0 < self.reach <= 1:
            raise InputError(f"reach: {self.reach:g} must be above 0 and at most 1.")

    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Climb until the steps are spent or every sample is beaten."""
        rows = best_so_far.open_rows()
        images = best_so_far.space.take(rows).clean.clone()
        momentum = torch.zeros_like(images)
        for step in range(self.steps):
            if not len(rows):
                return
            space, draws = best_so_far.space.take(rows), streams.take(rows)
            gradient = torch.zeros_like(images)
            for pair in range(self.pairs):
                change = self._change(images, space, draws, _CELLS[pair % len(_CELLS)])
                rise = self._value(best_so_far, rows, space, images + change, step)
                rise = rise - self._value(best_so_far, rows, space, images - change, step)
                gradient += spread(rise.nan_to_num(0.0, 0.0, 0.0), images) * change
            scale = spread(gradient.flatten(1).abs().amax(1).clamp(min=torch.finfo(images.dtype).tiny), images)
            momentum = _KEPT * momentum + gradient / scale
            images = space.move(images, momentum, self.stride(step))
            self._value(best_so_far, rows, space, images, step + 1)
            going = best_so_far.settle(rows)
            rows, images, momentum = rows[going], images[going], momentum[going]

    def stride(self, step: int) -> float:
        """Length of a step in radii: from 0.5 at the first to 0.05 at the last."""
        return 0.5 - 0.45 * step / max(self.steps - 1, 1)

    def _change(self, images: Tensor, space: Neighbourhood, streams: Streams, cells: int) -> Tensor:
        """Random signs in cells, `reach` radii long in the norm of the threat."""
        grid = [min(cells, size) for size in images.shape[2:]]
        signs = streams.uniform((images.shape[1], *grid), images).sub(0.5).sign()
        wide = F.interpolate(signs, size=images.shape[2:], mode="nearest")
        count = wide[0].numel()
        length = {"linf": 1.0, "l2": math.sqrt(count), "l1": float(count)}[self.threat.norm]
        return wide * spread(space.radius, wide) * (self.reach / length)

    def _value(
        self, best_so_far: BestSoFar, rows: Tensor, space: Neighbourhood, candidates: Tensor, step: int
    ) -> Tensor:
        """J of the images that the model sees for some iterates; they are noted."""
        shown = space.to_image(space.project(candidates))
        task, targets = best_so_far.task, best_so_far.task.take(best_so_far.targets, rows)
        outputs = best_so_far.victim.judge(shown)
        margin = task.margin(outputs, targets)
        best_so_far.note(rows, shown, outputs, margin, step, judged=True)
        best_so_far.spend(rows, 1, 0)
        soft = task.soft_score(outputs, targets)
        clean = task.take(best_so_far.clean_outputs, rows)
        return -_relative(margin, task.margin(clean, targets)) - _relative(soft, task.soft_score(clean, targets))


def _relative(value: Tensor, clean: Tensor) -> Tensor:
    return value / clean.abs().clamp(min=torch.finfo(clean.dtype).tiny)


__all__ = ["Estimated"]

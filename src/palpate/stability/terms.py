"""The parts of an attack's objective: its smoothing, and the stabilisation that it subtracts."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Own, Stabilised
from palpate.contracts import Objective, StepEvent

STEP = Stabilised(smooth="step", size=3, sigma=1.0)
"""The smoothing used in the trace of an attack that does not smooth."""


def stabilisation(objective: Objective) -> Stabilised | None:
    """The objective that subtracts a stabilisation, also if it is used against the model's own decision."""
    while isinstance(objective, Own):
        objective = objective.objective
    return objective if isinstance(objective, Stabilised) else None


class Terms:
    """The parts of one attack's objective.

    Attributes:
        smoothing: its `smoothed` makes xs_t; that of the attack, or `STEP`.
    """

    def __init__(self, attack: Ascent):
        found = stabilisation(attack.objective)
        self._stabilised = found is not None
        self._against_own = isinstance(attack.objective, Own)
        self.smoothing = found or STEP
        # If the objective is computed at another point than x_t, or at several, L(f(x_t)) minus it is not the term.
        self._at_image = not attack.robust_to and not any(
            direction.separate_gradient_point for direction in attack.directions
        )

    def penalty(self, event: StepEvent, loss: Tensor) -> Tensor:
        """The stabilisation alpha * D(f(x_t), f(xs_t)), (B,).

        NaN for objectives without that term, where the gradient is not taken at the image (`ni`, `di`) or on several
        post-processed images (`robust_to`), where the attack follows the margin since the objective's gradient is zero,
        and at the last iterate.

        Args:
            event: the step.
            loss: L(f(x_t), y).
        """
        if not (self._stabilised and self._at_image) or event.value is None:
            return torch.full_like(loss, torch.nan)
        if self._against_own:
            loss = event.task.loss(event.outputs, event.task.own(event.clean_outputs, event.targets))
        return torch.where(event.value == -event.margin, torch.nan, loss - event.value)

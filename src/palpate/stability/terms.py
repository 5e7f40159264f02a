"""What an attack's objective is made of: its smoothing, and the stabilisation that it subtracts."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Own, Stabilised
from palpate.contracts import Objective, StepEvent

STEP = Stabilised(smooth="step", size=3, sigma=1.0)
"""What is smoothed, and how, in the trace of an attack that smooths nothing itself."""


def stabilisation(objective: Objective) -> Stabilised | None:
    """The objective that subtracts a stabilisation, also where it is climbed against the model's own decision."""
    while isinstance(objective, Own):
        objective = objective.objective
    return objective if isinstance(objective, Stabilised) else None


class Terms:
    """The parts of one attack's objective.

    Attributes:
        smoothing: whose `smoothed` makes xs_t: the attack's own, or `STEP`.
    """

    def __init__(self, attack: Ascent):
        found = stabilisation(attack.objective)
        self._stabilised = found is not None
        self._against_own = isinstance(attack.objective, Own)
        self.smoothing = found or STEP
        # Where the objective is asked at another place than x_t, or at several, no difference to L(f(x_t)) is its term.
        self._at_image = not attack.robust_to and not any(
            direction.separate_gradient_point for direction in attack.directions
        )

    def penalty(self, event: StepEvent, loss: Tensor) -> Tensor:
        """The stabilisation alpha * D(f(x_t), f(xs_t)), (B,).

        NaN for objectives without that term, where the gradient is taken elsewhere than at the image (`ni`, `di`) or on
        several handled images (`robust_to`), where the margin is climbed since the objective's gradient is zero, and at
        the last iterate.

        Args:
            event: the step.
            loss: L(f(x_t), y).
        """
        if not (self._stabilised and self._at_image) or event.value is None:
            return torch.full_like(loss, torch.nan)
        if self._against_own:
            loss = event.task.loss(event.outputs, event.task.own(event.clean_outputs, event.targets))
        return torch.where(event.value == -event.margin, torch.nan, loss - event.value)

"""What an attack's objective is made of: its smoothing, and the stabilisation that it subtracts."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Own, Stabilised
from palpate.contracts import Moment, Objective

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
        self._at_image = not attack.robust_to and not any(direction.elsewhere for direction in attack.directions)

    def penalty(self, moment: Moment, loss: Tensor) -> Tensor:
        """The stabilisation alpha * D(f(x_t), f(xs_t)), (B,).

        NaN for objectives without that term, where the gradient is taken elsewhere than at the image (`ni`, `di`) or on
        several handled images (`robust_to`), where the margin is climbed since the objective's gradient is zero, and at
        the last iterate.

        Args:
            moment: the step.
            loss: L(f(x_t), y).
        """
        if not (self._stabilised and self._at_image) or moment.value is None:
            return torch.full_like(loss, torch.nan)
        if self._against_own:
            loss = moment.task.loss(moment.outputs, moment.task.own(moment.clean_outputs, moment.targets))
        return torch.where(moment.value == -moment.margin, torch.nan, loss - moment.value)

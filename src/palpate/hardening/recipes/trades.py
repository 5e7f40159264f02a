"""`trades`: the loss of the clean image, and the distance of the attacked one from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Apart
from palpate.attacks.recipes import fixed
from palpate.contracts import Attack
from palpate.hardening.contracts import Batch, Crafted, Situation
from palpate.hardening.recipes.adversarial import Adversarial
from palpate.hardening.recipes.gradient import check_steps
from palpate.hardening.recipes.starts import Beside, check_positive


@dataclass(frozen=True)
class Trades(Adversarial):
    """Trade-off between the clean loss and the distance to attacked images (TRADES).

        min_w  mean_i [ L(f(x_i), y_i) + beta * KL( f(x_i) || f(x'_i) ) ]
        x'_i = argmax of KL( f(x_i) || f(.) ) in the ball

    The inner climb starts at tiny noise and needs no label. The distance is the task's own (`Task.consistency_loss`):
    between class probabilities, findings, pixels, or the candidates of a detector; ignored pixels do not count.

    A step costs `steps` passes forward and backward and one forward to craft, and one more pass to train.

    Differs from the paper: noise uniform in a ball of `noise` radii (the paper: normal, of 0.001); at least one stored
    step where values are stored in steps; steps of 2.5 / steps radii (the paper: 10 of 0.23 radii).
    Reference: Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan, ICML 2019 (arXiv:1901.08573).

    Attributes:
        beta: weight of the distance; more is more robust and less accurate.
        steps: gradient steps.
        step: length of each in radii; by default 2.5 / steps.
        noise: radius of the start in radii.

    Raises:
        InputError: a number out of its range.
    """

    beta: float = 6.0
    steps: int = 7
    step: float | None = None
    noise: float = 0.03
    name: ClassVar[str] = "trades"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta, zero=True)
        check_steps(self.steps, self.step)
        check_positive("noise", self.noise, most=1.0)

    def attack(self, situation: Situation) -> Attack:
        """A climb of the distance from the clean outputs."""
        threat = Beside(situation.threat, self.noise)
        return Ascent(threat, self.steps, Apart(), step=fixed(self.step, self.steps))

    def loss(self, batch: Batch, crafted: Crafted, situation: Situation) -> Tensor:
        """Mean clean loss plus beta times the mean distance; gradients flow through both outputs, as published."""
        clean = situation.network(batch.images)
        moved = situation.network(crafted.images)
        apart = situation.task.consistency_loss(moved, clean, "distribution", batch.targets)
        return (situation.loss(clean, batch.targets) + self.beta * apart).mean()

"""`mart`: images that are misclassified count more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.recipes import fixed
from palpate.contracts import Attack
from palpate.hardening.contracts import Batch, Crafted, Situation
from palpate.hardening.recipes.adversarial import Adversarial
from palpate.hardening.recipes.gradient import check_steps
from palpate.hardening.recipes.starts import check_positive
from palpate.tasks.classification import Classification

_ALMOST = 1.0001
"""Keeps -log(1 - p) finite, as in the published code."""


@dataclass(frozen=True)
class Mart(Adversarial):
    """Misclassification-aware training (MART).

        min_w  mean_i [ B(f(x'_i), y_i) + beta * KL( f(x_i) || f(x'_i) ) * (1 - p_y(x_i)) ]
        B(f(x'), y) = L(f(x'), y) - log(1.0001 - max_{k != y} p_k(x'))

    with x' of a climb of the task's loss, as in `pgd`. The distance counts more where the model is not sure of the
    truth for the clean image. Findings, masks and boxes have the same form without the second term of B, with the
    task's own distance, and with its smooth score (mean probability of the truth, soft Dice, soft F1) in place of p_y.

    A step costs `steps` passes forward and backward to craft, and one more pass to train.

    Differs from the paper: steps of 2.5 / steps radii.
    Reference: Wang, Zou, Yi, Bailey, Ma, Gu, Improving Adversarial Robustness Requires Revisiting Misclassified
    Examples, ICLR 2020.

    Attributes:
        beta: weight of the distance.
        steps: gradient steps.
        step: length of each in radii; by default 2.5 / steps.

    Raises:
        InputError: a number out of its range.
    """

    beta: float = 5.0
    steps: int = 7
    step: float | None = None
    name: ClassVar[str] = "mart"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta, zero=True)
        check_steps(self.steps, self.step)

    def attack(self, situation: Situation) -> Attack:
        """A climb from a random start."""
        return Ascent(situation.threat, self.steps, step=fixed(self.step, self.steps))

    def loss(self, batch: Batch, crafted: Crafted, situation: Situation) -> Tensor:
        """Boosted loss of the attacked images plus the weighted distance."""
        task, targets = situation.task, crafted.targets
        clean, moved = situation.network(batch.images), situation.network(crafted.images)
        boosted = situation.loss(moved, targets)
        if isinstance(task, Classification):
            p = task.probabilities(moved)
            rest = p.masked_fill(torch.zeros_like(p, dtype=torch.bool).scatter(1, targets[:, None], True), 0.0)
            boosted = boosted - (_ALMOST - rest.amax(1)).log().clamp(max=0)
        apart = task.consistency_loss(moved, clean, "distribution", targets)
        unsure = (1 - task.soft_score(clean, targets)).clamp(min=0)
        return (boosted + self.beta * apart * unsure).mean()

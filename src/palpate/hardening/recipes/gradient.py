"""`fast`, `fgsm`, `pgd`: training on single steps and on climbs of the task's loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.recipes import fixed
from palpate.attacks.steps import Fixed
from palpate.contracts import Attack
from palpate.hardening.contracts import Batch, Situation
from palpate.hardening.recipes.adversarial import Adversarial, check_share
from palpate.hardening.recipes.boxes import Parts, attacked_boxes, check_parts
from palpate.hardening.recipes.starts import Loose, check_positive


@dataclass(frozen=True)
class Fast(Adversarial):
    """One step from strong noise, not brought back into the ball (N-FGSM).

        e ~ U(-noise * eps, noise * eps),   x' = B( x + e + step * eps * sign(grad_x L(f(B(x + e)), y)) )

    with B the bounds, the stored steps and the region, which x' always obeys, and not the ball: x' is up to
    `noise + step` radii from x. That is the point of it: with noise of one radius, or with clipping to the ball, a
    single step collapses sooner (catastrophic overfitting). In L2 and L1 the noise is uniform in the ball of `noise`
    radii, and the step has a length of `step` radii along the steepest direction of the norm.

    A step costs one pass forward and backward to craft.

    Reference: de Jorge, Bibi, Volpi, Sanyal, Torr, Rogez, Dokania, Make Some Noise, NeurIPS 2022 (arXiv:2202.01181).

    Attributes:
        noise: radius of the noise in radii of the threat, the paper's k.
        step: length of the step in radii, the paper's alpha.
        boxes: what is attacked of a detector: `summed`, the whole loss; `class` or `place`, that part of it;
            `alternating`, the one for every other image and the other for the rest.
        clean_share: probability with which an image stays as it is.

    Raises:
        InputError: a number out of its range.
    """

    noise: float = 2.0
    step: float = 1.0
    boxes: Parts = "summed"
    clean_share: float = 0.0
    name: ClassVar[str] = "fast"

    def __post_init__(self) -> None:
        check_positive("noise", self.noise, zero=True)
        check_positive("step", self.step)
        check_parts(self.boxes)
        check_share(self.clean_share)

    def images(self, batch: Batch, situation: Situation) -> Tensor:
        """Attacked images, on the chosen part of a detector's loss."""
        return attacked_boxes(self.boxes, self.attack(situation), batch, situation)

    def attack(self, situation: Situation) -> Attack:
        """One step in a ball that is wide enough for noise and step."""
        return Ascent(Loose(situation.threat, self.noise, self.step), 1, step=Fixed(self.step))


@dataclass(frozen=True)
class Fgsm(Adversarial):
    """One step from random noise, brought back into the ball (RS-FGSM). Prone to catastrophic overfitting.

        e ~ U(-eps, eps),   x' = P( x + e + step * eps * sign(grad_x L(f(x + e), y)) )

    It is here for comparison, and to show what the detection of catastrophic overfitting sees: prefer `fast`.

    Reference: Wong, Rice, Kolter, Fast is Better than Free, ICLR 2020 (arXiv:2001.03994).

    Attributes:
        step: length of the step in radii; the paper's 10/255 at a radius of 8/255 is 1.25.
        random_start: start at a random point of the ball; without it, it is the FGSM of 2015, which collapses soonest.
        clean_share: probability with which an image stays as it is.

    Raises:
        InputError: a number out of its range.
    """

    step: float = 1.25
    random_start: bool = True
    clean_share: float = 0.0
    name: ClassVar[str] = "fgsm"

    def __post_init__(self) -> None:
        check_positive("step", self.step)
        check_share(self.clean_share)

    def attack(self, situation: Situation) -> Attack:
        """One projected step."""
        return Ascent(situation.threat, 1, step=Fixed(self.step), random_start=self.random_start)


@dataclass(frozen=True)
class Pgd(Adversarial):
    """Projected ascent of the task's loss from a random point of the ball.

        x_0 ~ U(ball),   x_{t+1} = P( x_t + step * eps * sign(grad L(f(x_t), y)) ),   x' = x_T

    The last iterate is trained on, as published. A step costs `steps` passes forward and backward to craft.

    Reference: Madry, Makelov, Schmidt, Tsipras, Vladu, ICLR 2018 (arXiv:1706.06083).

    Attributes:
        steps: gradient steps.
        step: length of each in radii; by default 2.5 / steps.
        boxes: what is attacked of a detector: `summed`, the whole loss; `class` or `place`, that part of it;
            `alternating`, the one for every other image and the other for the rest.
        clean_share: probability with which an image stays as it is.

    Raises:
        InputError: a number out of its range.
    """

    steps: int = 7
    step: float | None = None
    boxes: Parts = "summed"
    clean_share: float = 0.0
    name: ClassVar[str] = "pgd"

    def __post_init__(self) -> None:
        check_steps(self.steps, self.step)
        check_parts(self.boxes)
        check_share(self.clean_share)

    def images(self, batch: Batch, situation: Situation) -> Tensor:
        """Attacked images, on the chosen part of a detector's loss."""
        return attacked_boxes(self.boxes, self.attack(situation), batch, situation)

    def attack(self, situation: Situation) -> Attack:
        """A climb from a random start."""
        return Ascent(situation.threat, self.steps, step=fixed(self.step, self.steps))


def check_steps(steps: int, step: float | None) -> None:
    """Raise InputError if there is not at least one step, or its length is not above 0."""
    check_positive("steps", steps)
    if step is not None:
        check_positive("step", step)

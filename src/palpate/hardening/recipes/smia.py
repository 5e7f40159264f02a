"""`smia`: training against the stabilised attack, with the stabilisation in the loss too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Stabilised
from palpate.attacks.recipes import fixed
from palpate.attacks.smoothing import gaussian
from palpate.contracts import Attack
from palpate.errors import InputError
from palpate.hardening.contracts import Batch, Crafted, Situation
from palpate.hardening.recipes.adversarial import Adversarial, check_share
from palpate.hardening.recipes.gradient import check_steps
from palpate.hardening.recipes.starts import check_positive
from palpate.tensors import mapped

Smooth = Literal["perturbation", "image"]


@dataclass(frozen=True)
class Smia(Adversarial):
    """Training against SMIA, where attacked and smoothed images must agree.

        x' = argmax  L(f(x'), y) - inner * D( f(x'), f(s(x')) )                 the attack
        min_w  mean_i [ L(f(x'_i), y_i) + weight * D( f(x'_i), f(s(x'_i)) ) ]   the training

    with s(x') = x + W * (x' - x) (`perturbation`) or W * x' (`image`), W a depthwise Gaussian, and D the task's own
    distance, KL(f(s(x')) || f(x')) for classes. Both terms go through the attacked image, and the second also through
    the smoothed one (`through`): the model learns outputs that do not hang on single spots.

    A step costs `steps` passes forward and backward and `steps` forwards of smoothed images to craft (and as many
    backwards with `through`), and one more pass to train.

    Reference: the attack is Qi, Gong, Song, Ma, Zheng, Stabilized Medical Image Attacks, ICLR 2021
    (arXiv:2103.05232); the training loss is palpate's.

    Attributes:
        weight: weight of the agreement in training.
        inner: its weight in the attack.
        steps: gradient steps.
        step: length of each in radii; by default 2.5 / steps.
        smooth: what is smoothed.
        through: let gradients flow through the smoothed image, in the attack and in training.
        size: side of the Gaussian in pixels, odd.
        sigma: width of the Gaussian in pixels.
        clean_share: probability with which an image stays as it is.

    Raises:
        InputError: a number out of its range, or an impossible kernel.
    """

    weight: float = 1.0
    inner: float = 0.5
    steps: int = 7
    step: float | None = None
    smooth: Smooth = "perturbation"
    through: bool = True
    size: int = 3
    sigma: float = 1.0
    clean_share: float = 0.0
    name: ClassVar[str] = "smia"

    def __post_init__(self) -> None:
        check_positive("weight", self.weight, zero=True)
        check_positive("inner", self.inner, zero=True)
        check_steps(self.steps, self.step)
        check_share(self.clean_share)
        if self.smooth not in get_args(Smooth):
            raise InputError(f"smooth: '{self.smooth}' is not one of {', '.join(get_args(Smooth))}.")
        self._objective()

    def attack(self, situation: Situation) -> Attack:
        """SMIA from the image itself."""
        step = fixed(self.step, self.steps)
        return Ascent(situation.threat, self.steps, self._objective(), step=step, random_start=False)

    def loss(self, batch: Batch, crafted: Crafted, situation: Situation) -> Tensor:
        """Mean loss of the attacked images plus the weighted distance to the smoothed ones."""
        outputs = situation.network(crafted.images)
        loss = situation.loss(outputs, crafted.targets)
        if not self.weight:
            return loss.mean()
        smoothed = situation.network(self.smoothed(batch.images, crafted.images, situation.victim.bounds))
        if not self.through:
            smoothed = mapped(Tensor.detach, smoothed)
        apart = situation.task.consistency_loss(outputs, smoothed, "distribution", crafted.targets)
        return (loss + self.weight * apart).mean()

    def smoothed(self, clean: Tensor, images: Tensor, bounds: tuple[float, float]) -> Tensor:
        """s(x'), inside the bounds."""
        origin = clean if self.smooth == "perturbation" else clean.new_zeros(())
        return (origin + gaussian(images - origin, self.size, self.sigma)).clamp(*bounds)

    def _objective(self) -> Stabilised:
        return Stabilised(self.inner, self.smooth, "distribution", self.through, self.size, self.sigma)

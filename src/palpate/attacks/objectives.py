"""What an ascent maximises: one value per sample, differentiable in the iterate.

An objective that says `needs_clean_outputs = False` saves a pass where images are only crafted for training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from torch import Tensor

from palpate.attacks.smoothing import gaussian, gaussian_weights
from palpate.contracts import Agreement, Objective, ObjectiveInputs, StepEvent
from palpate.errors import InputError
from palpate.tensors import Tree, mapped, spread

Smoothed = Literal["step", "perturbation", "image"]


@dataclass(frozen=True)
class Deviation:
    """The task's own loss: J = L(f(x_t), y). Cross-entropy for a classification."""

    needs_clean_outputs: ClassVar[bool] = False

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        return inputs.task.loss(inputs.outputs, inputs.targets)


@dataclass(frozen=True)
class Margin:
    """Minus the task's margin, which does not saturate, unlike cross-entropy (Carlini and Wagner 2017).

    Attributes:
        scaled: divide by the spread of the scores if there are enough of them (DLR, Croce and Hein 2020).
    """

    scaled: bool = False
    needs_clean_outputs: ClassVar[bool] = False

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        margin = inputs.task.scaled_margin if self.scaled else inputs.task.margin
        return -margin(inputs.outputs, inputs.targets)


@dataclass(frozen=True)
class TrainingLoss:
    """The losses that a detector was trained with: J = sum of losses of model(x_t, y) in training mode.

    Proposals and boxes are matched with the annotation as in training, so those that a threshold or suppression removes
    have a gradient too. What counts as beaten is still decided by the boxes that the model gives.
    """

    needs_clean_outputs: ClassVar[bool] = False

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,); raises InputError for any goal but to make the boxes wrong, and for a model without such losses."""
        goal = getattr(inputs.task, "goal", None)
        if getattr(goal, "targeted", False) or inputs.training is None:
            raise InputError(
                "objective: the losses of the training move away from the annotated boxes, and lead to no other goal. "
                'Leave the goal out, or write objective = "task".'
            )
        return inputs.training(inputs.images)


@dataclass(frozen=True)
class TowardsRank:
    """Minus the margin to one class: that of this rank among the classes that fulfil the goal, for the clean image.

        J(x_t) = s_c(f(x_t)) - max_{k in S} s_k(f(x_t)),   c = the class of rank r of f(x)

    with S the classes in which the decision may stay. A climb of the plain margin follows whichever class is nearest at
    each step; where that one ends in a local maximum, another class may still be reached. For classifications.

    Attributes:
        rank: 0 is the class of highest score at the clean image.

    Raises:
        InputError: a rank below 0.
    """

    rank: int = 0

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise InputError(f"rank: {self.rank} must be 0 or more.")

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        task: Any = inputs.task
        order = task.ranked(inputs.clean_outputs, inputs.targets)
        chosen = order[:, min(self.rank, order.shape[1] - 1)]
        return -task.margin_to(inputs.outputs, inputs.targets, chosen)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class SoftScore:
    """Minus the task's smooth score: J = -s(f(x_t), y). The Dice loss, for a segmentation that is scored by Dice."""

    needs_clean_outputs: ClassVar[bool] = False

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        return -inputs.task.soft_score(inputs.outputs, inputs.targets)


@dataclass(frozen=True)
class Apart:
    """Distance from the model's own clean outputs, which is what TRADES climbs: J(x_t) = KL(f(x) || f(x_t)).

    For masks, findings and boxes the task's own distance (`Task.consistency_loss`). At the clean image its gradient is
    zero: a climb needs a start beside it.

    Reference: Zhang, Yu, Jiao, Xing, El Ghaoui, Jordan, ICML 2019 (arXiv:1901.08573).
    """

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        return inputs.task.consistency_loss(inputs.outputs, inputs.clean_outputs, "distribution", inputs.targets)


@dataclass(frozen=True)
class Own:
    """An objective against the model's own clean decision instead of the truth, which the attacker may not know.

    Only what is maximised changes: success, and the choice among the iterates, are still measured against the truth.

    Attributes:
        objective: what is maximised.
    """

    objective: Objective

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        own = inputs.task.own(inputs.clean_outputs, inputs.targets)
        return self.objective.value(replace(inputs, targets=own))


@dataclass(frozen=True)
class Stabilised:
    """Loss deviation minus weighted loss stabilisation (SMIA, Qi et al. 2021).

        J(x_t) = L(f(x_t), y) - weight * D(f(x_t), f(xs_t))

    with W a symmetric depthwise Gaussian and

        xs_t = x_{t-1} + W * (x_t - x_{t-1})    smooth = "step"
        xs_t = x + W * (x_t - x)                smooth = "perturbation"
        xs_t = W * x_t                          smooth = "image"

    D is cross-entropy to the decision at xs_t (agreement = "label") or KL(f(xs_t) || f(x_t)) ("distribution"); for
    masks, findings and boxes the task's own loss, pixel by pixel and box by box, with the decision at xs_t as truth.
    Towards a goal, `label` pulls a piece back that has just reached the goal while its smoothed decision has not:
    prefer other attacks for goals.
    Without `through`, no gradient flows through f(xs_t), which then costs one forward pass without graph.

    Attributes:
        weight: alpha, 0 or more; below 1 for hard labels without gradient through the smoothed branch.
        smooth: what is smoothed.
        agreement: how agreement is measured.
        through: let gradients flow through the smoothed branch ("distribution" only: a decision has none).
        size: side of the Gaussian in pixels, odd.
        sigma: width of the Gaussian in pixels.

    Raises:
        InputError: a combination for which the gradient vanishes or reverses, or an impossible kernel.
    """

    weight: float = 0.5
    smooth: Smoothed = "step"
    agreement: Agreement = "label"
    through: bool = False
    size: int = 3
    sigma: float = 1.0
    needs_clean_outputs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise InputError(f"weight: {self.weight:g} must be 0 or more.")
        if self.agreement == "label" and self.weight >= 1:
            raise InputError(
                f"weight: {self.weight:g} with agreement 'label' maximises (1 - weight) * cross-entropy while "
                "the smoothed decision is right: at 1 the gradient vanishes, above 1 it reverses. Give a weight below "
                "1, or agreement 'distribution'."
            )
        if self.agreement == "label" and self.through:
            raise InputError("through: a decision (agreement 'label') has no gradient; use agreement 'distribution'.")
        for name, value, allowed in (
            ("smooth", self.smooth, ("step", "perturbation", "image")),
            ("agreement", self.agreement, ("label", "distribution")),
        ):
            if value not in allowed:
                raise InputError(f"{name}: '{value}' is not one of {', '.join(allowed)}.")
        try:
            gaussian_weights(self.size, self.sigma)
        except ValueError as error:
            raise InputError(f"size, sigma: {error}.") from error

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        deviation = inputs.task.loss(inputs.outputs, inputs.targets)
        if not self.weight:
            return deviation
        apart = inputs.task.consistency_loss(inputs.outputs, self.reference(inputs), self.agreement, inputs.targets)
        return deviation - self.weight * apart

    def reference(self, inputs: ObjectiveInputs) -> Tree:
        """f(xs_t)."""
        smoothed = self.smoothed(inputs)
        return inputs.forward(smoothed) if self.through else inputs.forward_no_grad(smoothed.detach())

    def smoothed(self, inputs: ObjectiveInputs | StepEvent) -> Tensor:
        """xs_t, differentiable in x_t."""
        if self.smooth == "image":
            return gaussian(inputs.images, self.size, self.sigma)
        origin = inputs.previous if self.smooth == "step" else inputs.clean
        return origin + gaussian(inputs.images - origin, self.size, self.sigma)


@dataclass(frozen=True)
class SparselyStabilised(Stabilised):
    """The same, with f(xs_t) computed only at steps 1, 1 + refresh, 1 + 2 refresh ...; `smooth` is "step".

    In between it is taken from the line through the outputs of the last two iterates, of which xs_t is a mixture:

        f(xs_t) ~ f(x_{t-1}) + s (f(x_t) - f(x_{t-1}))

    with s, per sample, the best fit in [0, 1] at the last step at which f(xs_t) was computed. At step 0 nothing is
    smoothed, so xs_0 = x_0. Ours; not in the paper.

    Attributes:
        refresh: steps from one pass of the smoothed image to the next, 2 or more.

    Raises:
        InputError: another `smooth`, a gradient through the smoothed branch, or fewer steps.
    """

    refresh: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refresh < 2:
            raise InputError(f"refresh: {self.refresh} must be a whole number from 2; 1 computes every smoothed image.")
        if self.smooth != "step" or self.through:
            raise InputError("refresh: only smooth 'step' without gradient through the smoothed image can skip passes.")

    def reference(self, inputs: ObjectiveInputs) -> Tree:
        """f(xs_t), or what stands for it."""
        now, kept = mapped(Tensor.detach, inputs.outputs), inputs.kept
        step, before = kept.get("step", 0), kept.get("outputs", now)
        found = now
        if step % self.refresh == 1:
            found = super().reference(inputs)
            kept["shares"] = mapped(_share, found, now, before)
        elif step:
            found = mapped(lambda a, b, share: a + spread(share, a) * (b - a), before, now, kept["shares"])
        kept["step"], kept["outputs"] = step + 1, now
        return found


def _share(found: Tensor, now: Tensor, before: Tensor) -> Tensor:
    """Where `found` lies between `before` (0) and `now` (1), per sample, by least squares."""
    moved, part = (now - before).flatten(1), (found - before).flatten(1)
    length = moved.square().sum(1)
    return ((moved * part).sum(1) / length.where(length > 0, 1.0)).clamp(0, 1)

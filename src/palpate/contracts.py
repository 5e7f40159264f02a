"""The parts that an attack is made of, as protocols, and the one result that all of them return.

A tensor's first axis is the sample, losses and margins are (B,), and a sample that leaves takes its rows along.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from palpate._moved import renamed
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim

__all__ = [
    "Agreement", "Attack", "AttackResult", "Direction", "Limits", "Neighbourhood", "Objective",
    "ObjectiveInputs", "Pieces", "StageCosts", "ShrinkableNeighbourhood", "StepEvent", "StepRule", "Task",
    "Threat", "Watcher",
]  # fmt: skip

Agreement = Literal["label", "distribution"]


class Pieces(NamedTuple):
    """A decision taken apart: the pixels of a mask, the findings of a reading, the boxes of an image; all (B, P).

    Attributes:
        loss: what an attack climbs at each piece, differentiable.
        margin: signed distance of each piece to where the attack wants it, differentiable; 0 or less: it is there.
        unbroken: how much of each piece still resists the attack, 0 to 1, differentiable: the cosine between
            its probabilities and the true class, or 1 minus that with the wanted class where the goal names one.
        weight: how much each piece counts; 0 for ignored pixels, unknown findings and padding.
    """

    loss: Tensor
    margin: Tensor
    unbroken: Tensor
    weight: Tensor

    @property
    def standing(self) -> Tensor:
        """Deprecated: `unbroken`."""
        warnings.warn("Pieces.standing is now Pieces.unbroken.", DeprecationWarning, stacklevel=2)
        return self.unbroken


class Task(Protocol):
    """What a model's outputs mean. An image is attacked successfully when its margin is 0 or less.

    Outputs and targets are tensors, or named tuples of tensors, whose first axis is the sample.
    """

    def loss(self, outputs: Tree, targets: Tree) -> Tensor:
        """What an attack climbs (B,): cross-entropy, or the log-probability of where it wants to go."""

    def margin(self, outputs: Tree, targets: Tree) -> Tensor:
        """Signed distance to the goal (B,); 0 or less: reached. Its sign is that of the deployed decision.

        Where that decision has no gradient (a Dice score of hard masks), the gradient is that of `soft_score`.
        """

    def scaled_margin(self, outputs: Tree, targets: Tree) -> Tensor:
        """The margin free of the outputs' scale (DLR), or the plain margin where that cannot be formed (B,)."""

    def soft_score(self, outputs: Tree, targets: Tree) -> Tensor:
        """A smooth stand-in for what the attack wants to lower (B,): soft Dice, the probability of the truth."""

    def pieces(self, outputs: Tree, targets: Tree) -> Pieces:
        """The decision taken apart; a classification is one piece."""

    def consistency_loss(self, outputs: Tree, reference: Tree, how: Agreement, targets: Tree | None = None) -> Tensor:
        """How far `outputs` are from those of `reference` (B,): its decision (`label`) or its distribution.

        Targets are looked at only for what does not count: ignored pixels, unknown findings.
        """

    def predict(self, outputs: Tree) -> Tree:
        """The decision."""

    def own(self, outputs: Tree, targets: Tree) -> Tree:
        """The model's decision in the form of targets, for attacks that do not look at the truth."""

    def score(self, outputs: Tree, targets: Tree) -> Tensor:
        """How good the decision is against the truth (B,), 1 at best, whatever the goal: right or wrong, Dice, F1."""

    def right(self, outputs: Tree, targets: Tree) -> Tensor:
        """Whether the decision is acceptable (B,) bool, whatever the goal: the true class, a score above its floor."""

    def eligible(self, targets: Tree) -> Tensor:
        """Whether the goal makes sense for these targets (B,) bool."""

    def take(self, targets: Tree, rows: Tensor) -> Tree:
        """The targets of some rows."""

    def validate(self, outputs: Tree, targets: Tree) -> None:
        """Raise InputError where outputs or targets are not what this task reads."""


class Limits(NamedTuple):
    """What confines the change of each image beyond the threat's own numbers; per sample, None where nothing does.

    Attributes:
        region: (B, 1 or C, *spatial) bool, where values may change.
        step: (B,) float64, distance of two neighbouring values that the image's file can store; the clean image is
            one of them. In float32 a step of 0.1 would be another number.
        origin: (B,) float64, any value that the file can store, such as the intercept: with it, values are the very
            floating-point numbers that reading the file gives. Without it, the lattice is counted from each value of
            the clean image, which is exact where values are whole.
        queries: (B,) int64, how often the model may still be asked about each image, by attacks that use only outputs.
            The clean image is one question. When they are spent, the best image until then is the result.
        samples: (B,) int64, names of the samples for `Victim.recorder`, which keeps what was asked about each.
    """

    region: Tensor | None = None
    step: Tensor | None = None
    origin: Tensor | None = None
    queries: Tensor | None = None
    samples: Tensor | None = None


class Neighbourhood(Protocol):
    """The images that a threat allows around given clean ones.

    An attack moves *iterates* in a ball. The model sees, and the result holds, the image that `to_image` makes of an
    iterate: on the lattice of stored values, smooth, tied, inside a region. For a plain ball the two are the same.
    """

    clean: Tensor
    radius: Tensor
    low: float
    high: float

    def project(self, images: Tensor) -> Tensor:
        """The nearest allowed iterates; idempotent."""

    def to_image(self, images: Tensor) -> Tensor:
        """The images for some iterates, inside the ball too; differentiable (straight-through where it rounds)."""

    def sample(self, streams: Streams) -> Tensor:
        """Random allowed iterates."""

    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of unit length in the threat's norm along which `gradient` rises fastest."""

    def move(self, images: Tensor, gradient: Tensor, size: Tensor | float) -> Tensor:
        """One projected step of `size` radii from `images` along `gradient`."""

    def size(self, images: Tensor) -> Tensor:
        """Distance of `images` from the clean ones in the threat's norm (B,)."""

    def take(self, rows: Tensor) -> Neighbourhood:
        """The neighbourhood of some rows."""


class ShrinkableNeighbourhood(Neighbourhood, Protocol):
    """A neighbourhood whose radius can shrink, for attacks that search the smallest change; others do not need it."""

    def at_radius(self, radius: Tensor) -> ShrinkableNeighbourhood:
        """The same at smaller radii (B,), above 0; a radius above its own counts as its own."""

    def radius_of(self, images: Tensor) -> Tensor:
        """The smallest radius (B,) that is known to allow the images of these iterates; at most its own."""


@runtime_checkable
class Threat(Protocol):
    """What a perturbation may be, in stored values: a value without tensors."""

    @property
    def norm(self) -> str:
        """`linf`, `l2` or `l1`."""

    @property
    def eps(self) -> float | tuple[float, ...]:
        """Radius for all samples, or one per sample."""

    def around(self, clean: Tensor, bounds: tuple[float, float], limits: Limits | None = None) -> Neighbourhood:
        """The neighbourhood of `clean` (B, C, *spatial) inside `bounds`; it obeys its part of `limits`."""

    def describe(self) -> str:
        """The threat in one phrase for a report."""


@dataclass
class ObjectiveInputs:
    """What an objective may use: for each sample that is still in the batch, the image that the model sees."""

    images: Tensor
    previous: Tensor
    clean: Tensor
    outputs: Tree
    clean_outputs: Tree
    targets: Tree
    task: Task
    progress: float
    """Share of the steps that are done, from 0 (at the first) to below 1."""
    forward: Callable[[Tensor], Tree]
    """Outputs for other images, differentiable; counted."""
    forward_no_grad: Callable[[Tensor], Tree]
    """Outputs for other images without gradient, cheapest arithmetic; counted."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What the objective notes for the next step: numbers, and trees of tensors with a row for each sample."""
    training: Callable[[Tensor], Tensor] | None = None
    """Losses (B,) that a detector was trained with; counted."""


class Objective(Protocol):
    """What an attack climbs."""

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """Per-sample value (B,), differentiable in `inputs.images`."""


@dataclass(frozen=True)
class StepEvent:
    """One step of an attack as a watcher sees it: the images that the model saw, before the step is taken.

    Attributes:
        step: steps taken so far, from 0; the last iterate has the number of all steps.
        rows: (B,) positions of these samples in the attacked batch.
        images: images that the model saw (B, C, *spatial).
        previous: those of the step before; at the first step the same.
        clean: the clean images.
        outputs: the model's outputs for `images`, as the search computes them.
        clean_outputs: its outputs for `clean`, as the model was given.
        targets: the annotations of these samples.
        margin: the task's margin of `images` (B,).
        value: value of the objective (B,); None at the last iterate, from which no step is taken.
        task: reads outputs and targets.
        forward_no_grad: outputs for other images, without gradient, counted.
    """

    step: int
    rows: Tensor
    images: Tensor
    previous: Tensor
    clean: Tensor
    outputs: Tree
    clean_outputs: Tree
    targets: Tree
    margin: Tensor
    value: Tensor | None
    task: Task
    forward_no_grad: Callable[[Tensor], Tree]


class Watcher(Protocol):
    """Observes an attack while it runs, and changes nothing."""

    def watch(self, event: StepEvent) -> None:
        """Called once per step and for the last iterate; the event is read-only."""


class Direction(Protocol):
    """Transforms the gradient, or moves the point where it is taken; its state is per sample."""

    @property
    def separate_gradient_point(self) -> bool:
        """Whether the gradient is taken at another point than the iterate, which is then scored separately."""

    def init(self, images: Tensor) -> Any:
        """State for these samples: a tensor, a tuple of tensors, or None."""

    def lookahead(self, images: Tensor, state: Any, stride: Tensor, space: Neighbourhood, streams: Streams) -> Tensor:
        """Where the gradient is taken, differentiable in `images`; `stride` (B,) is the step in stored values."""

    def transform_gradient(self, gradient: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The gradient to follow, and the new state."""


class StepRule(Protocol):
    """How far each step goes, in radii of the ball; its state is per sample."""

    def init(self, images: Tensor) -> Any:
        """State for these samples."""

    def stride(self, state: Any, step: int, steps: int) -> Tensor | float:
        """Length of the coming step in radii."""

    def advance(
        self, images: Tensor, gradient: Tensor, value: Tensor, state: Any, space: Neighbourhood, step: int, steps: int
    ) -> tuple[Tensor, Any]:
        """The next iterate and the new state. `images` may be the clean images, so they are never written to."""


class StageCosts(NamedTuple):
    """What each stage of an attack of several stages did, per sample.

    Attributes:
        won: (B,) int64, the first stage that beat the sample, from 0; -1 if none did.
        forwards: (B, S) int64, forward passes of each stage.
        backwards: (B, S) int64, backward passes of each stage.
    """

    won: Tensor
    forwards: Tensor
    backwards: Tensor


@dataclass(frozen=True)
class AttackResult:
    """What an attack found, per sample (B,). Margins and success come from the model as it was given.

    Attributes:
        images: adversarial images (B, C, *spatial) in stored values, the seen image of smallest margin; the clean
            image where none is better or the sample is not eligible; where `radius` is searched, its winning image.
        margin: margin of `images`.
        clean_margin: margin of the clean images.
        eligible: the goal applies and the clean margin is above 0.
        success: eligible, and `margin` is 0 or less.
        prediction: decision for `images`.
        clean_prediction: decision for the clean images.
        outputs: the model's raw outputs for `images`.
        clean_outputs: the model's raw outputs for the clean images.
        first_success: gradient steps before the first success; 0 is the start, -1 never.
        distance: distance from the clean image in the threat's norm.
        forwards: forward passes spent, judging included.
        backwards: backward passes spent.
        zero_gradient: the objective's gradient was exactly zero at some step, or, for masks, findings and boxes, the
            logits were so large that most of it was.
        blocked_gradient: the margin's gradient was zero as well.
        non_finite: the model returned NaN or infinity for some iterate.
        stages: of an attack of several stages, which one won and what each spent; None for others.
        radius: the smallest radius at which the attack won, infinity where it did not; None if it is not searched.
    """

    images: Tensor
    margin: Tensor
    clean_margin: Tensor
    eligible: Tensor
    success: Tensor
    prediction: Tree
    clean_prediction: Tree
    outputs: Tree
    clean_outputs: Tree
    first_success: Tensor
    distance: Tensor
    forwards: Tensor
    backwards: Tensor
    zero_gradient: Tensor
    blocked_gradient: Tensor
    non_finite: Tensor
    stages: StageCosts | None = None
    radius: Tensor | None = None

    @property
    def success_rate(self) -> float:
        """Share of the eligible samples that were beaten; NaN where none is eligible."""
        return float(self.success.sum() / self.eligible.sum()) if bool(self.eligible.any()) else float("nan")

    @property
    def robust_accuracy(self) -> float:
        """Share of all samples whose goal is neither reached from the start nor by the attack."""
        return float(((self.clean_margin > 0) & ~self.success).double().mean())

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"AttackResult({len(self)} images, {int(self.success.sum())} beaten, {self.robust_accuracy:.1%} robust)"


class Attack(Protocol):
    """The one contract that the audit knows."""

    @property
    def threat(self) -> Threat:
        """What the attack may do."""

    def __call__(
        self,
        victim: Victim,
        task: Task,
        images: Tensor,
        targets: Tree,
        *,
        generator: torch.Generator | Streams | None = None,
        start: Tensor | None = None,
        limits: Limits | None = None,
    ) -> AttackResult:
        """Attack `images` (B, C, *spatial) in stored values.

        Args:
            victim: the model under test.
            task: what its outputs mean, and the attack's goal.
            images: clean images; never written to.
            targets: what the task expects: a tensor or a named tuple of tensors, with a first axis of B.
            generator: source of randomness, per batch or per sample; the global one is never touched.
            start: images to try before the attack proper starts.
            limits: what confines the change of each image, for threats that obey it.
        """


__getattr__ = renamed(__name__)

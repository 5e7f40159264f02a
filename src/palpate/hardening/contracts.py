"""What the parts of a hardening give each other: batches, recipes, and the course that is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from palpate.audit.plan.sections.harden import HardenSection
from palpate.contracts import Limits, Task, Threat
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim

Network = Callable[[Tensor], Tree]
"""Raw outputs for stored values (B, C, *spatial), differentiable in the weights, in training mode."""
Loss = Callable[[Tree, Tree], Tensor]
"""The training loss of each image (B,) from outputs and targets: at least 0, smaller is better."""


class Batch(NamedTuple):
    """Training images of one shape.

    Attributes:
        images: (B, C, *spatial) in stored values, after augmentation.
        targets: what the task expects.
        limits: what confines their changes.
        streams: one stream of random numbers per image, new in every epoch.
    """

    images: Tensor
    targets: Tree
    limits: Limits
    streams: Streams


@dataclass(frozen=True)
class Situation:
    """What a recipe works with at one step of the training.

    Attributes:
        victim: the bare module with its preprocessing, in the form that is trained (one window, without flips). Inside
            `with victim:` it is in evaluation mode with frozen weights: attacks are crafted there.
        task: what the outputs mean, untargeted.
        threat: how far images may be changed at this step.
        loss: the training loss.
        network: the same function for the training step, through the wrapped module.
    """

    victim: Victim
    task: Task
    threat: Threat
    loss: Loss
    network: Network


class Crafted(NamedTuple):
    """What a recipe makes of a batch.

    Attributes:
        images: (B, C, *spatial) in stored values, as the model would see them.
        targets: those of the batch; moved along where an artefact moved the anatomy.
    """

    images: Tensor
    targets: Tree


class Recipe(Protocol):
    """How images are attacked and what is minimised. A frozen dataclass, so that it can be named and compared."""

    @property
    def name(self) -> str:
        """Its name in plans and results."""

    def craft(self, batch: Batch, situation: Situation) -> Crafted:
        """Attacked images; weights, gradients, buffers and modes of the module are not touched, nor is the batch."""

    def loss(self, batch: Batch, crafted: Crafted, situation: Situation) -> Tensor:
        """What the training step minimises: one number, differentiable in the weights through `situation.network`.

        With `Crafted(batch.images, batch.targets)` it trains on the images as they are.
        """


class Lessons(Protocol):
    """The training images in the order of each epoch; the same for the same seed and epoch."""

    def __len__(self) -> int:
        """Batches of an epoch."""

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from batch `start` on. A batch does not depend on those before it."""


class Scores(NamedTuple):
    """Mean scores of the validation images, from 0 to 1.

    Attributes:
        clean: of the images as they are.
        robust: under the judge's attack.
        single: under one step of the gradient's sign, for the detection of catastrophic overfitting.
    """

    clean: float
    robust: float
    single: float


class Examiner(Protocol):
    """Scores a model on the validation images with an attack and a loss that are not trained on."""

    def examine(self, victim: Victim) -> Scores:
        """The scores of the model as it is now. Repeatable: the same weights have the same scores."""


@dataclass(frozen=True)
class Course:
    """Everything that decides a training run.

    Attributes:
        victim: the model in the form that is trained; its `module` holds the weights that change.
        judged: the same module as the clinic evaluates it (sliding windows, flips).
        task: what the outputs mean, untargeted.
        threat: the threat at a budget in stored values.
        eps: the full budget.
        recipe: what is trained on.
        fallback: what follows after catastrophic overfitting.
        loss: the training loss.
        lessons: the training images.
        examiner: scores the model after each epoch.
        settings: epochs, rates, averaging, floor and so on.
        optimiser: makes the optimiser from the parameters.
        seed: root of all random numbers.
    """

    victim: Victim
    judged: Victim
    task: Task
    threat: Callable[[float], Threat]
    eps: float
    recipe: Recipe
    fallback: Recipe
    loss: Loss
    lessons: Lessons
    examiner: Examiner
    settings: HardenSection
    optimiser: Callable[[Iterable[nn.Parameter]], Optimizer]
    seed: int


class EpochRow(NamedTuple):
    """What is kept of one epoch.

    Attributes:
        epoch: from 0, which is the model before training.
        recipe: name of the recipe.
        eps: budget of the training at its end, in stored values.
        rate: learning rate at its end.
        loss: mean training loss; NaN for epoch 0.
        clean: clean validation score.
        robust: validation score under the judge.
        single: validation score under one step.
        drift: largest change of a batch norm's running statistics, in standard deviations.
        seconds: of training and validation.
        event: what happened, in a sentence; empty if nothing did.
    """

    epoch: int
    recipe: str
    eps: float
    rate: float
    loss: float
    clean: float
    robust: float
    single: float
    drift: float
    seconds: float
    event: str = ""


@dataclass(frozen=True)
class Trained:
    """What a training run gives.

    Attributes:
        state: the chosen weights, with the keys of `course.victim.module.state_dict()`.
        best: the chosen epoch; 0 if no epoch was better than the model before within the clean floor.
        epochs: all epochs, epoch 0 first.
        averaged: whether the chosen weights are the averaged ones.
        events: rollbacks, switches and stops, in sentences.
        finished: all epochs were run, or it stopped for a reason that `events` names.
    """

    state: Mapping[str, Tensor]
    best: int
    epochs: tuple[EpochRow, ...]
    averaged: bool
    events: tuple[str, ...]
    finished: bool

"""The training loss of each task, where the user gives none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.contracts import Task
from palpate.errors import InputError
from palpate.hardening.contracts import Loss
from palpate.hardening.losses.boxes import QualityAndPlace
from palpate.hardening.losses.weights import Weights, check_weights
from palpate.tasks import detection_goals, goals
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.masks.goals import Degrade
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.multilabel_goals import UNKNOWN
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of each image, L = -w_y log p_y, through the task's head: softmax, one logit, or ordinal grades.

    Attributes:
        task: the classification.
        weights: one of each class; empty: all 1.
    """

    task: Classification
    weights: Weights = ()

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B,)."""
        loss = -self.task.head.log_probabilities(outputs).gather(1, targets[:, None]).squeeze(1)
        return loss * loss.new_tensor(self.weights)[targets] if self.weights else loss


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Mean binary cross-entropy of the known findings, L = mean_k -(w_k y_k log p_k + (1 - y_k) log(1 - p_k)).

    An image of which no finding is known has a loss of 0.

    Attributes:
        weights: one of each finding, for images that have it; empty: all 1.
    """

    weights: Weights = ()

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B,)."""
        known = (targets != UNKNOWN).to(outputs)
        positive = outputs.new_tensor(self.weights) if self.weights else None
        wanted = (targets == 1).to(outputs)
        loss = F.binary_cross_entropy_with_logits(outputs, wanted, pos_weight=positive, reduction="none")
        return (loss * known).sum(1) / known.sum(1).clamp(min=1)


@dataclass(frozen=True)
class PixelsAndDice:
    """Cross-entropy of the pixels plus the soft Dice loss, in 2D and 3D: L = mean_p -w_y log p_y + 1 - softDice.

    Pixels that do not count are left out of both. Soft Dice is the mean over the structures that are annotated in the
    image; where none is, the lowest of 1 / (1 + sum of probabilities).

    Reference: Milletari, Navab, Ahmadi, V-Net, 3DV 2016; the sum of both as in Isensee et al., nnU-Net, Nat. Methods
    2021.

    Attributes:
        task: the segmentation.
        weights: one of each label, background first; of each structure, if they may overlap; empty: all 1.
    """

    task: Segmentation
    weights: Weights = ()

    def __call__(self, outputs: Tensor, targets: Tree) -> Tensor:
        """(B,)."""
        losses, labels, counted = self.task.pixel_losses(outputs, targets)
        weight = counted.to(losses)
        if self.weights:
            losses = losses * self._of(labels, losses)
        entropy = (losses * weight).sum(1) / weight.sum(1).clamp(min=1)
        return entropy + 1 - self.task.soft_score(outputs, targets)

    def _of(self, labels: Tensor, like: Tensor) -> Tensor:
        table = like.new_tensor(self.weights)
        if self.task.exclusive:
            return table[labels]
        each = table.repeat_interleave(labels.shape[1] // self.task.structures)
        return torch.where(labels == 1, each, torch.ones_like(each))


def default_loss(task: Task, weights: Weights = ()) -> Loss:
    """Cross-entropy for classes, binary for findings, with soft Dice for masks; class and place for boxes.

    Goals of the task do not matter: the loss is always that against the truth.

    Args:
        task: what the outputs mean.
        weights: class weights: one per class, finding or label of a mask; empty: none.

    Raises:
        InputError: weights of another number, or for a task that has none.

    >>> float(default_loss(Classification(2))(torch.tensor([[0.0, 0.0]]), torch.tensor([1])))
    0.693147...
    """
    check_weights(task, weights)
    if isinstance(task, Classification):
        return CrossEntropy(replace(task, goal=goals.Untargeted()), weights)
    if isinstance(task, MultiLabel):
        return BinaryCrossEntropy(weights)
    if isinstance(task, Segmentation):
        return PixelsAndDice(replace(task, goal=Degrade(), metric="dice", structure=None), weights)
    if isinstance(task, Detection):
        return task.criterion or QualityAndPlace(replace(task, goal=detection_goals.Degrade()))
    other: Any = task
    if getattr(getattr(other, "goal", None), "targeted", False):
        raise InputError("harden: the task has a goal. Train against the truth: leave the goal out.")
    return _Own(other)


@dataclass(frozen=True)
class _Own:
    """The loss of a task of another package."""

    task: Any

    def __call__(self, outputs: Tree, targets: Tree) -> Tensor:
        loss: Tensor = self.task.loss(outputs, targets)
        return loss

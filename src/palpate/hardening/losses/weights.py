"""Class weights: how much each class counts in the loss."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from palpate.contracts import Task
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree

Weights = tuple[float, ...]
"""One weight per class, finding, or label of a mask."""
MOST = 100.0
"""A class of few pixels weighs at most this many times as much as the most frequent one."""


def count_of(task: Task) -> int:
    """How many weights a task has; 0 if it has none.

    One per class; per finding; per label of a mask, background first; per structure, if structures may overlap.
    """
    if isinstance(task, Classification):
        return task.classes
    if isinstance(task, MultiLabel):
        return task.findings
    if isinstance(task, Segmentation):
        return task.structures + task.exclusive
    return 0


def check_weights(task: Task, weights: Weights) -> None:
    """Refuse weights that do not fit the task.

    Raises:
        InputError: there are too many or too few, one is not above 0 and finite, or the task has none.
    """
    if not weights:
        return
    needed = count_of(task)
    if not needed:
        raise InputError('harden.class_weights: the loss of boxes has none. Write class_weights = "none".')
    if len(weights) != needed:
        what = {Classification: "class", MultiLabel: "finding"}.get(type(task), "label of a mask, background first")
        if isinstance(task, Segmentation) and not task.exclusive:
            what = "structure"
        raise InputError(f"harden.class_weights: there are {len(weights)}, and {needed} are needed, one per {what}.")
    for weight in weights:
        if not 0 < weight < float("inf"):
            raise InputError(f"harden.class_weights: {weight:g} must be a number above 0.")


def balanced(task: Task, targets: Iterable[Tree]) -> Weights:
    """Weights inverse to the frequencies in the training targets.

        classes, labels of masks:        w_c = n / (C n_c), so that the mean weight of all images or pixels is 1
        findings, overlapping structures:  w_c = (n - n_c) / n_c, the weight of a case that has it

    A class that is never seen has the weight of one that is seen once; none weighs more than 100 times the least.

    Args:
        task: classes, findings or masks.
        targets: batches of targets.

    Raises:
        InputError: the task has no class weights, or there are no targets.

    >>> balanced(Classification(2), [torch.tensor([0, 0, 0, 1])])
    (0.666..., 2.0)
    """
    if not count_of(task):
        raise InputError('harden.class_weights: the loss of boxes has none. Write class_weights = "none".')
    counted = [_counts(task, batch) for batch in targets]
    if not counted:
        raise InputError("harden.class_weights: there are no training images to count.")
    found = torch.stack([counts for counts, _ in counted]).sum(0)
    total = torch.stack([known for _, known in counted]).sum(0)
    seen = found.clamp(min=1)
    apart = isinstance(task, MultiLabel) or (isinstance(task, Segmentation) and not task.exclusive)
    weights = (total - found).clamp(min=1) / seen if apart else total / (len(seen) * seen)
    return tuple(weights.clamp(max=MOST * float(weights.min())).tolist())


def _counts(task: Task, targets: Tree) -> tuple[Tensor, Tensor]:
    """How often each class is there, and out of how many (C,) float64."""
    count = count_of(task)
    if isinstance(task, Classification):
        found = torch.bincount(targets, minlength=count).double()
        return found, found.sum().expand(count)
    if isinstance(task, MultiLabel):
        return (targets == 1).sum(0).double(), (targets >= 0).sum(0).double()
    assert isinstance(task, Segmentation)
    labels = targets if isinstance(targets, Tensor) else targets.labels
    known = labels != task.ignore
    if task.exclusive:
        found = torch.bincount(labels[known].flatten(), minlength=count).double()
        return found, found.sum().expand(count)
    by_structure = labels.transpose(0, 1).flatten(1)
    return (by_structure == 1).sum(1).double(), known.transpose(0, 1).flatten(1).sum(1).double()

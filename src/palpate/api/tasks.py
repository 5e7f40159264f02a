"""The task of an evaluation by its name, where the model's output says the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from palpate.contracts import Task
from palpate.errors import InputError, nearest
from palpate.models.faults import refusal
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.multilabel_goals import UNKNOWN
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree
from palpate.usercode import ModelError
from palpate.victim import Victim

_CLASSES = ("classification", "multiclass", "binary")
_NAMES = (*_CLASSES, "segmentation", "multilabel", "detection")


def task_named(task: Any, victim: Victim, images: Tensor) -> Task | None:
    """The task; None for classes, which are recognised by the output.

    Args:
        task: a task, its name, or None.
        victim: the model, whose output says how many structures or findings there are.
        images: some images.

    Raises:
        InputError: there is no such task, or its name does not say enough.
    """
    if task is None or (isinstance(task, str) and task in _CLASSES):
        return None
    if not isinstance(task, str):
        if not hasattr(task, "margin"):
            raise InputError(f"task: {task!r} is not a task. Leave it out for classes, or name one of {_NAMES[3:]}.")
        known: Task = task
        return known
    if task not in _NAMES:
        raise InputError(f"task: there is no '{task}'. {nearest(task, _NAMES)}")
    if task == "detection":
        raise InputError("task: boxes need more than a name. Give palpate.tasks.detection.Detection(classes=...).")
    try:
        with victim:
            outputs = victim.judge(images[:1])
    except ModelError as error:
        raise refusal(error.cause, images.shape, "call") from error
    victim.forwards -= 1
    channels = int(outputs.shape[1]) if isinstance(outputs, Tensor) and outputs.ndim > 1 else 1
    if task == "multilabel":
        return MultiLabel(channels)
    return Segmentation(1 if channels == 1 else channels - 1)


def of_task(task: Task, images: Tensor, targets: Tree) -> Tree:
    """Targets as a task reads them: masks without an axis for one channel, and unknown findings as -1 where NaN was."""
    if not isinstance(targets, Tensor):
        return targets
    if isinstance(task, MultiLabel) and targets.is_floating_point():
        marked = targets.nan_to_num(nan=UNKNOWN)
        return marked.long() if bool((marked == marked.round()).all()) else targets
    # MONAI keeps an axis for the channel of a mask.
    one = isinstance(task, Segmentation) and task.exclusive and targets.ndim == images.ndim and targets.shape[1] == 1
    return targets.squeeze(1) if one else targets


def labels_in(task: Task | None, targets: Tree) -> frozenset[int]:
    """The labels of some masks other than 0; none for other tasks."""
    masks = getattr(targets, "labels", targets)
    if not isinstance(task, Segmentation) or not isinstance(masks, Tensor):
        return frozenset()
    return frozenset(int(label) for label in torch.unique(masks).tolist() if label)


def require_structures(task: Task | None, labels: frozenset[int]) -> None:
    """Refuse masks that hold nothing but background and pixels that do not count.

    Args:
        task: what the outputs mean.
        labels: of all masks, without 0.

    Raises:
        InputError: the only label is `ignore`, as in masks of 0 and 255.
    """
    if isinstance(task, Segmentation) and labels == {task.ignore}:
        raise InputError(
            f"masks: they hold 0 and {task.ignore}, and {task.ignore} marks pixels that do not count. Divide the masks "
            f"by {task.ignore}, or set ignore to another label: palpate.tasks.segmentation.Segmentation"
            f"({task.structures}, ignore=...)."
        )

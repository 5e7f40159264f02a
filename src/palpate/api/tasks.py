"""The task of an evaluation by its name, where the model's output says the rest."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from palpate.contracts import Task
from palpate.errors import InputError, nearest
from palpate.models.faults import refusal
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
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

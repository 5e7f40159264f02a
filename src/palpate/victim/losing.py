"""The loss that the model under attack was trained with, where it can still compute it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from palpate.errors import InputError
from palpate.tensors import Tree
from palpate.usercode import UserCode
from palpate.victim.forms import dtype_of
from palpate.victim.victim import Victim


def training_losses(victim: Victim, images: Tensor, targets: Tree) -> Tensor:
    """The training losses of the victim's detector (B,), differentiable in stored values; a pass that is counted.

    Raises:
        InputError: it is no detector with such losses, or defences are around it.
        ModelError: the user's code raised.
    """
    parts: Any = victim.module.modules()
    detector: Any = next((part for part in parts if hasattr(part, "training_losses")), None)
    if detector is None:
        raise InputError(
            'objective "training" is for detectors that a factory returns and that give losses for images and targets '
            '(Faster R-CNN). Leave objective out, or write "task".'
        )
    if victim.defences:
        around = victim.defences[0].describe()
        raise InputError(f'objective "training": the losses do not see the defence {around}. Leave one of both out.')
    victim.forwards += len(images)
    with UserCode(victim.watchdog):
        inputs = images if victim.preprocess is None else victim.preprocess(images)
        dtype = dtype_of(victim.module)
        found: Tensor = detector.training_losses(inputs if dtype is None else inputs.to(dtype), targets)
    return found.to(images.dtype)

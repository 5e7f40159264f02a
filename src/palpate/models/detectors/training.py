"""The losses that a detector was trained with, for an attack: `model(images, targets)` of torchvision's interface.

In training mode such a model returns a dict of losses (loss_classifier, loss_box_reg, loss_objectness,
loss_rpn_box_reg), and chooses proposals by the annotated boxes; in evaluation mode it returns boxes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from palpate.annotations import Boxes
from palpate.errors import InputError

_FROZEN = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.modules.dropout._DropoutNd,
)
"""Layers that stay in evaluation mode: statistics of the training data, and no dropout."""


def training_losses(model: nn.Module, images: Tensor, truth: Boxes, first_class: int = 1) -> Tensor:
    """The sum of a detector's training losses for each image (B,), differentiable in the images.

    Every image is given alone, so that its value does not depend on the others, and with the same random numbers at
    every step. Batch norms and dropout stay as in evaluation; afterwards modes, buffers and random state are as before.

    Args:
        model: called as `model(images, targets)`, a list of (C, H, W) and a list of dicts with boxes (corners in
            pixels) and labels.
        images: (B, C, H, W) as the model takes them.
        truth: the annotated boxes.
        first_class: the number that the model gives to class 0 of the task.

    Raises:
        InputError: the model takes no targets, or returns no losses.
    """
    _require_targets(model)
    height, width = images.shape[-2:]
    size = images.new_tensor([width, height, width, height])
    found = []
    with _training(model), torch.random.fork_rng(devices=[]):
        for image, boxes, labels in zip(images, truth.boxes, truth.labels, strict=True):
            known = labels >= 0
            target = {"boxes": boxes[known].to(images) * size, "labels": labels[known] + first_class}
            torch.manual_seed(0)
            found.append(_sum(model, model([image], [target])))
    return torch.stack(found) if found else images.flatten(1).sum(1)


def _sum(model: nn.Module, losses: Any) -> Tensor:
    whole = isinstance(losses, Mapping) and losses and all(isinstance(value, Tensor) for value in losses.values())
    if not whole or not all(value.numel() == 1 and value.is_floating_point() for value in losses.values()):
        raise InputError(
            f"model: {type(model).__name__} returned no dict of losses in training mode. Attack it without "
            'objective = "training".'
        )
    return torch.stack([value.reshape(()) for value in losses.values()]).sum()


def _require_targets(model: nn.Module) -> None:
    parameters = list(inspect.signature(model.forward).parameters) if _is_python(model) else []
    if len(parameters) < 2 or parameters[1] != "targets":
        raise InputError(
            f"model: {type(model).__name__} takes no targets, so it does not give the losses that it was trained with "
            '(forward(images, targets), as in torchvision). Attack it without objective = "training".'
        )


def _is_python(model: nn.Module) -> bool:
    return not isinstance(model, torch.jit.ScriptModule)


@contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    """Training mode without what training changes."""
    modes = [(part, part.training) for part in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        for part, _ in modes:
            # Only the flag: a `train` of the user's own could do more.
            part.training = not isinstance(part, _FROZEN)
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)

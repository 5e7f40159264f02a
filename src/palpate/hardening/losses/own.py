"""A training loss from the user's own code, checked at every call."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.hardening.contracts import Loss
from palpate.hardening.own_parts import made_by
from palpate.tensors import Tree, finite, leaves
from palpate.usercode import ModelError, UserCode, said


@dataclass(frozen=True)
class OwnLoss:
    """The loss that a factory of the user returned; what it gives is checked.

    Attributes:
        factory: `file.py:function`, for messages and comparison.
        function: gives the loss of each image (B,) from outputs and targets.
        field: what named it, for messages.
    """

    factory: str
    function: Any = field(compare=False, repr=False)
    field: str = "harden.loss"

    def __call__(self, outputs: Tree, targets: Tree) -> Tensor:
        """(B,), at least 0.

        Raises:
            InputError: the user's code fails, or returns something else than one number of at least 0 per image.
        """
        try:
            with UserCode():
                values = self.function(outputs, targets)
        except ModelError as error:
            raise InputError(
                f"{self.field}: {self.factory} fails with {said(error.cause)}. Correct the loss."
            ) from error
        self._check(values, outputs)
        loss: Tensor = values
        return loss

    def _check(self, values: object, outputs: Tree) -> None:
        count = len(leaves(outputs)[0])
        if not isinstance(values, Tensor) or not values.is_floating_point() or tuple(values.shape) != (count,):
            given = (
                f"a tensor of {str(values.dtype).removeprefix('torch.')} and shape {list(values.shape)}"
                if isinstance(values, Tensor)
                else type(values).__name__
            )
            raise InputError(
                f"{self.field}: {self.factory} returned {given} for {count} images. Return one number per image, of "
                f"shape [{count}], such as with reduction='none'."
            )
        if torch.is_grad_enabled() and leaves(outputs)[0].requires_grad and not values.requires_grad:
            raise InputError(
                f"{self.field}: {self.factory} returned a loss without gradient. Compute it from the outputs, without "
                "detach, numpy or argmax."
            )
        found = values.detach()
        # The loss is at fault only where the model's outputs are numbers.
        wrong = ~torch.isfinite(found) & finite(outputs)
        if bool(wrong.any()):
            raise InputError(
                f"{self.field}: {self.factory} returned {float(found[wrong][0]):g} for {int(wrong.sum())} of {count} "
                "images, whose outputs are finite. Correct the loss, such as with a small number inside its logarithm."
            )
        if bool((found < 0).any()):
            raise InputError(
                f"{self.field}: {self.factory} returned {float(found.min()):g}, and a loss is at least 0. Add what "
                "makes its lowest value 0."
            )


def own_loss(factory: str, root: Path) -> Loss:
    """The loss that `file.py:function` returns: a function of outputs and targets.

    Raises:
        InputError: the code does not exist or fails, or does not return a function.
    """
    made = made_by("harden.loss", factory, root, "a function of outputs and targets")
    if not callable(made):
        raise InputError(
            f"harden.loss: {factory} returned {type(made).__name__}. It must return a function of outputs and targets "
            "that gives the loss of each image."
        )
    return OwnLoss(factory, made)

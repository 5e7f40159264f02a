"""A model that takes more than images, called by those who know images only.

What cannot be told from a tensor of images is whose they are: attacks show a model some rows, one row many times, or
windows of a row. So all images of one pass belong to one set of inputs, and no row can get those of another. Whoever
reads images sets the inputs (`Shown.set`); batches hold images of equal inputs only.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from palpate.errors import InputError, nearest
from palpate.models.stored.exported import Exported


class Shown:
    """The inputs of the images that are shown to a model now. A copy of the model shares it.

    Attributes:
        values: keyword -> tensor (1, ...), None before any image was read.
    """

    def __init__(self) -> None:
        self.values: Mapping[str, Tensor] | None = None

    def __deepcopy__(self, memo: object) -> Shown:
        return self

    def set(self, values: Mapping[str, Tensor]) -> None:
        """From now on, images have these inputs: keyword -> tensor (1, ...)."""
        self.values = values

    def of(self, images: Tensor) -> dict[str, Tensor]:
        """The inputs of `images` (B, ...), each (B, ...), in their number format and on their device.

        Raises:
            InputError: no image was read yet.
        """
        if self.values is None:
            raise InputError("model.inputs: nothing was given besides these images. Read them by a plan's table.")
        return {name: value.to(images).expand(len(images), *value.shape[1:]) for name, value in self.values.items()}


class WithInputs(nn.Module):
    """A model of images and further inputs, as a model of images alone.

    Args:
        model: called as `model(images, age=..., ...)`.
        names: the keywords.

    Attributes:
        shown: the inputs of the images that are shown now.

    Raises:
        InputError: the model does not take such a keyword, or needs others.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]):
        super().__init__()
        _require_taken(model, names)
        self.model, self.names, self.shown = model, tuple(names), Shown()

    def forward(self, images: Tensor) -> Any:
        """What the model returns for `images` (B, C, *spatial) with the inputs that are set."""
        return self.model(images, **self.shown.of(images))


def shown_by(module: nn.Module) -> Iterator[Shown]:
    """Where the inputs of a model are set; nothing for a model that takes images alone."""
    yield from (part.shown for part in module.modules() if isinstance(part, WithInputs))


def _require_taken(model: nn.Module, names: Sequence[str]) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        known = [argument.name for argument in model._c._get_method("forward").schema.arguments][2:]
        _require_known(model, names, known)
        return
    if isinstance(model, Exported):
        _require_known(model, names, model.further)
        return
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return
    parameters = list(signature.parameters.values())
    if not any(one.kind is one.VAR_KEYWORD for one in parameters):
        _require_known(model, names, [one.name for one in parameters[1:]])
    try:
        signature.bind(None, **dict.fromkeys(names))
    except TypeError as error:
        raise InputError(
            f"model.inputs: {type(model).__name__}.forward{signature}: {error}. Name in [model.inputs] everything that "
            "it needs besides the image."
        ) from error


def require_alone(model: nn.Module) -> None:
    """Refuse an exported program that needs more than images where a plan names no inputs; raises InputError."""
    if isinstance(model, Exported) and model.further:
        raise InputError(
            f"model.exported: {model.path} takes {1 + len(model.further)} inputs, and palpate gives one tensor of "
            f"images. Take the others from columns of the table: [model.inputs] with {', '.join(model.further)}."
        )


def _require_known(model: nn.Module, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            hint = nearest(name, known) if known else "It takes images alone: remove [model.inputs]."
            raise InputError(f"model.inputs.{name}: forward of {type(model).__name__} does not take it. {hint}")

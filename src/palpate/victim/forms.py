"""What a module computes in and what it gives: number formats, the form of its outputs, whether it is opaque."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from palpate.tensors import Tree, leaves


def shares_memory(inputs: Tensor, images: Tensor) -> bool:
    """Whether writing into `inputs` would change `images`."""
    if inputs is images:
        return True
    try:
        return inputs.untyped_storage().data_ptr() == images.untyped_storage().data_ptr()
    except (AttributeError, RuntimeError, NotImplementedError):  # the result of the user's preprocessing has none
        return False


def form(outputs: Tree) -> list[tuple[object, ...]]:
    """What must stay the same from pass to pass: axes, kinds of numbers, classes."""
    # In maps and candidates only the number of classes is fixed; other lengths follow the image.
    classes = isinstance(outputs, Tensor)
    return [
        (tensor.ndim, tensor.is_floating_point(), *(tensor.shape[1:2] if classes else ())) for tensor in leaves(outputs)
    ]


def parts(outputs: Tree) -> Sequence[object]:
    """The parts of a tuple, or the one tensor."""
    return outputs if isinstance(outputs, tuple) else (outputs,)


def dtype_of(module: nn.Module) -> torch.dtype | None:
    """The number format that a module computes in: that of its parameters if all have the same; otherwise None."""
    formats = {parameter.dtype for parameter in module.parameters() if parameter.is_floating_point()}
    return formats.pop() if len(formats) == 1 else None


def is_opaque(module: nn.Module) -> bool:
    """Whether a module, or a part of it, computes outside torch: it gives outputs but no gradient."""
    return any(getattr(part, "opaque", False) is True for part in module.modules())


def channels_last(images: Tensor) -> torch.memory_format:
    """Channels-last in 2D or 3D."""
    return torch.channels_last_3d if images.ndim == 5 else torch.channels_last

"""Models that give outputs and no gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from palpate.annotations import Candidates
from palpate.errors import InputError, NoGradientError
from palpate.tensors import Tree, shown


class BlackBox(nn.Module, ABC):
    """A model outside torch. It refuses at once, before a query, if a gradient is wanted: no query is wasted.

    Copies are the model itself: it has no parameters that a copy could change.
    """

    opaque: ClassVar[bool] = True
    """Read by `palpate.victim`: no part can be folded, and layout and arithmetic cannot be changed."""
    kind: ClassVar[str] = "a black box"

    def forward(self, images: Tensor) -> Tensor:
        """Outputs for images (B, C, *spatial), on their device, without gradient.

        Raises:
            InputError: a gradient is wanted, or the model does not answer.
        """
        if images.requires_grad and torch.is_grad_enabled():
            raise NoGradientError(
                f"model: it is {self.kind}, which gives no gradient. Use attacks that need none: square, "
                "hopskipjump, noise."
            )
        with torch.no_grad():
            found: Tensor = _moved(self.answer(images.detach()), images.device)
        return found

    @abstractmethod
    def answer(self, images: Tensor) -> Any:
        """Outputs for images (B, C, *spatial): a tensor, or lists and dicts of tensors of a detector."""

    def __deepcopy__(self, memo: dict[int, Any]) -> BlackBox:
        return self


def _moved(found: Any, device: torch.device) -> Any:
    if isinstance(found, Tensor):
        return found.to(device)
    if isinstance(found, dict):
        return {name: _moved(part, device) for name, part in found.items()}
    return [_moved(part, device) for part in found]


class FromProbabilities(nn.Module):
    """A model that returns probabilities, read as logits: log p of a softmax, log p - log(1 - p) of a sigmoid.

    The model returns one tensor, or `Candidates`, whose scores are converted.

    Args:
        model: returns probabilities.
        kind: `softmax` or `sigmoid`.
    """

    def __init__(self, model: nn.Module, kind: str):
        super().__init__()
        self.model, self.kind = model, kind
        self.training = model.training

    def forward(self, images: Tensor) -> Tree:
        """Logits; probabilities nearer to 0 or 1 than rounding are first moved away from 0 and 1.

        Raises:
            InputError: an output is not a probability.
        """
        found = self.model(images)
        if isinstance(found, Candidates):
            return found._replace(logits=self._logits(found.logits, -1))
        return self._logits(found, 1)

    def _logits(self, found: Tensor, axis: int) -> Tensor:
        if not isinstance(found, Tensor):
            raise InputError(
                f'model.outputs: "{self.kind}" is for one tensor of scores, and the model returned '
                f'{type(found).__name__}. Write outputs = "logits", or name the tensor in model.output.'
            )
        if self.kind == "softmax" and (found.ndim < 2 or found.shape[axis] == 1):
            raise InputError(
                f'model.outputs: "softmax" needs one score per class, and the model returned {shown(found)}. A '
                'single probability is that of a sigmoid: outputs = "sigmoid".'
            )
        slack = 1e-4
        if bool(((found < -slack) | (found > 1 + slack)).any()):
            raise InputError(
                f'model.outputs: "{self.kind}" says that outputs are probabilities, and some are outside 0 to 1. '
                'Write outputs = "logits".'
            )
        edge = torch.finfo(found.dtype).eps
        if self.kind == "softmax":
            return found.clamp(min=edge * edge).log()
        return found.clamp(edge, 1 - edge).logit()

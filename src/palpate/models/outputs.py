"""One tensor of what a model returns: of a dict, a tuple or a list, the part that the plan names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from palpate.errors import InputError
from palpate.tensors import shown


class Chosen(nn.Module):
    """A model that returns one part of what another model returns.

    Args:
        model: returns a dict, a tuple, a list, or an object with named parts.
        output: a name, a place from 0, or several joined by dots: `aux.0`. Of one tensor (B, S, C, *spatial), the
            stacked scales of deep supervision, it is the place in S.
    """

    def __init__(self, model: nn.Module, output: str | int):
        super().__init__()
        self.model, self.output = model, output

    def forward(self, images: Tensor) -> Any:
        """The chosen part.

        Raises:
            InputError: there is no such part.
        """
        returned = self.model(images)
        held = self._scales(returned, images.ndim)
        for step in self._steps(returned):
            held = _part(held, step)
            if held is None:
                there = "Leave model.output out." if isinstance(returned, Tensor) else "Name one of its parts."
                raise InputError(
                    f"model.output: the model returned {shown(returned)}. There is no '{self.output}'. {there}"
                )
        return held

    @staticmethod
    def _scales(returned: Any, axes: int) -> Any:
        """The scales of deep supervision, which MONAI's DynUNet stacks behind the axis of the images."""
        return returned.unbind(1) if isinstance(returned, Tensor) and returned.ndim == axes + 1 else returned

    def _steps(self, returned: Any) -> list[str]:
        name = str(self.output)
        # A name may contain a dot itself.
        return [name] if isinstance(returned, Mapping) and name in returned else name.split(".")


def _part(held: Any, step: str) -> Any:
    if isinstance(held, Mapping):
        return held.get(step)
    if isinstance(held, (tuple, list)) and step.lstrip("-").isdigit():
        return held[int(step)] if -len(held) <= int(step) < len(held) else None
    return None if isinstance(held, Tensor) or step.startswith("_") else getattr(held, step, None)

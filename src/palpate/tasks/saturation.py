"""Logits so large that probabilities are 0 or 1 and gradients zero: an attack climbs them divided by their size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from palpate.contracts import Task
from palpate.tensors import Tree

SATURATED = 30.0
"""Mean distance of the pieces from their decision, in logits, above which most probabilities are 0 or 1 in float32."""
SATURATED_LOSS = 100.0
"""The same, above which most losses -log p have no gradient in float32."""
USUAL = 5.0
"""The mean distance that they are brought to: that of networks which learn with cross-entropy."""


@runtime_checkable
class Coolable(Protocol):
    """A task whose objectives can be computed from logits that are divided by a number, with the same decisions."""

    saturation: ClassVar[float]
    """Mean distance of the pieces from their decision, in logits, above which its margin or loss is flat."""

    def logit_size(self, outputs: Tree, targets: Tree) -> Tensor:
        """Mean distance of the pieces from their decision, in logits (B,)."""

    def cooled(self, outputs: Tree, temperature: Tensor) -> Tree:
        """The outputs with distances from the decision divided by `temperature` (B,); unchanged where it is 1."""


@dataclass(frozen=True)
class Cooling:
    """What an attack does with outputs before it computes what it climbs: nothing, except on saturated samples.

    Verdicts never use cooled outputs.

    Attributes:
        task: reads the outputs.
        temperature: (B,) by what distances are divided, 1 for most; None if no sample is saturated.
    """

    task: Task
    temperature: Tensor | None = None

    @classmethod
    def of(cls, task: Task, outputs: Tree, targets: Tree) -> Cooling:
        """The cooling for these clean outputs: logits of a size above `task.saturation` are brought to `USUAL`.

        A classification needs none: its margin, which a climb falls back on, does not saturate.
        """
        if not isinstance(task, Coolable):
            return cls(task)
        size = task.logit_size(outputs, targets)
        saturated = size > task.saturation
        return cls(task, torch.where(saturated, size / USUAL, 1.0) if bool(saturated.any()) else None)

    def __call__(self, outputs: Tree) -> Tree:
        """The outputs that are climbed."""
        if self.temperature is None:
            return outputs
        assert isinstance(self.task, Coolable)
        return self.task.cooled(outputs, self.temperature)

    def take(self, rows: Tensor) -> Cooling:
        """The cooling of some rows."""
        return self if self.temperature is None else replace(self, temperature=self.temperature[rows])

    def marks(self, flags: Tensor, rows: Tensor) -> None:
        """Set the flags of the samples in `rows` that are saturated."""
        if self.temperature is not None:
            flags[rows] |= self.temperature > 1

"""How a classifier's raw outputs become class scores: one logit, one per class, or one per threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.errors import InputError

Probabilities = Literal["softmax", "sigmoid"]


class Head(Protocol):
    """Reads raw outputs (B, width) as K classes."""

    name: ClassVar[str]

    def width(self, classes: int) -> int:
        """How many raw outputs a model of `classes` classes has."""

    def scores(self, outputs: Tensor) -> Tensor:
        """Class scores (B, K); the largest one is the decision."""

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Log-probabilities (B, K) that sum to one."""


@dataclass(frozen=True)
class Softmax:
    """One logit per class."""

    name: ClassVar[str] = "softmax"

    def width(self, classes: int) -> int:
        """K outputs."""
        return classes

    def scores(self, outputs: Tensor) -> Tensor:
        """The logits."""
        return outputs

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Log-softmax of the logits."""
        return F.log_softmax(outputs, dim=1)


@dataclass(frozen=True)
class OneLogit:
    """One logit for two classes; class 1 is decided if its probability exceeds the operating point.

    Attributes:
        threshold: operating point as a probability of class 1.

    Raises:
        InputError: the operating point is not between 0 and 1.
    """

    threshold: float = 0.5
    name: ClassVar[str] = "one-logit"

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise InputError(f"task.threshold: {self.threshold:g} must be between 0 and 1, both excluded.")

    def width(self, classes: int) -> int:
        """One output; two classes only."""
        if classes != 2:
            raise InputError(f"task.head: one logit decides between 2 classes, and the task has {classes}.")
        return 1

    def scores(self, outputs: Tensor) -> Tensor:
        """(0, z - logit(threshold))."""
        z = outputs.reshape(len(outputs), 1)
        return torch.cat([torch.zeros_like(z), z - math.log(self.threshold / (1 - self.threshold))], dim=1)

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """(log sigmoid(-z), log sigmoid(z))."""
        z = outputs.reshape(len(outputs), 1)
        return torch.cat([F.logsigmoid(-z), F.logsigmoid(z)], dim=1)


@dataclass(frozen=True)
class Cumulative:
    """Ordinal grades from K - 1 logits, of which the k-th asks "is the grade above k?" (CORAL, CORN).

    The decision is the number of leading positive logits. Log-probabilities chain the answers,
    log p_k = sum_{j<k} log sigmoid(z_j) + log sigmoid(-z_k), which always sum to one.
    """

    name: ClassVar[str] = "cumulative"

    def width(self, classes: int) -> int:
        """K - 1 outputs."""
        return classes - 1

    def scores(self, outputs: Tensor) -> Tensor:
        """s_k = min(min_{j<k} z_j, -z_k): positive only for the decided grade."""
        reached = torch.cummin(outputs, dim=1).values
        infinite = outputs.new_full((len(outputs), 1), torch.inf)
        return torch.minimum(torch.cat([infinite, reached], dim=1), torch.cat([-outputs, infinite], dim=1))

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """The chained answers (B, K)."""
        above = torch.cumsum(F.logsigmoid(outputs), dim=1)
        nothing = outputs.new_zeros((len(outputs), 1))
        return torch.cat([nothing, above], dim=1) + torch.cat([F.logsigmoid(-outputs), nothing], dim=1)


HEADS: dict[str, type[Softmax] | type[OneLogit] | type[Cumulative]] = {
    head.name: head for head in (Softmax, OneLogit, Cumulative)
}


def probabilities(outputs: Tensor, axis: int = 1) -> Probabilities | None:
    """What raw outputs look like: `softmax`, `sigmoid`, or None if they are not probabilities.

    After a softmax every value is in 0 to 1 and those along `axis` sum to one, which logits practically never do.
    After a sigmoid every value is in 0 to 1, which logits may be by chance: check more before a model is refused.

    Args:
        outputs: classes, findings, masks or the logits of candidates; (B, ...).
        axis: where the classes are.
    """
    if not outputs.is_floating_point() or not outputs.numel() or not bool(((outputs >= 0) & (outputs <= 1)).all()):
        return None
    classes = outputs.shape[axis] if outputs.ndim > axis else 1
    tolerance = 1e-3 if outputs.dtype in (torch.float32, torch.float64) else 1e-2
    if classes > 1 and bool(((outputs.double().sum(axis) - 1).abs() < tolerance).all()):
        return "softmax"
    return "sigmoid"

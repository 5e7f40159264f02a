"""How raw outputs are read where a defence averages or counts: votes and mean probabilities, back in raw outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.contracts import Task
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.heads import Cumulative, OneLogit
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree

Kind = Literal["softmax", "sigmoid", "cumulative"]


@dataclass(frozen=True)
class Reading:
    """Raw outputs (B, width, *spatial) as decisions, one per place: an image, a finding, a pixel.

    | `kind` | axis 1 | a vote |
    | --- | --- | --- |
    | `softmax` | one score per class, which exclude each other | for the class of the largest score |
    | `sigmoid` | one score per finding or structure, or one for two classes | yes if p > its operating point |
    | `cumulative` | K - 1 answers to "is the grade above k?" | yes for every k below the decided grade |

    A single score is always read as `sigmoid`.

    Attributes:
        kind: as above.
        thresholds: operating points of `sigmoid` as probabilities: one for all, or one for each place on axis 1.

    Raises:
        InputError: an operating point that is not between 0 and 1.
    """

    kind: Kind = "softmax"
    thresholds: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        for threshold in self.thresholds:
            if not 0 < threshold < 1:
                raise InputError(f"thresholds: {threshold:g} must be between 0 and 1, both excluded.")

    def votes(self, outputs: Tree) -> Tensor:
        """One vote for each place of raw outputs: 1 where it decides so, otherwise 0; in their shape."""
        scores = scores_of(outputs)
        if self._by_class(scores):
            return torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)
        if self.kind == "cumulative":
            return (torch.cummin(scores, dim=1).values > 0).to(scores)
        return (scores > self._shift(scores)).to(scores)

    def of_shares(self, shares: Tensor, floor: float) -> Tensor:
        """Raw outputs that decide as the majority: log shares for `softmax`, otherwise their log odds.

        Args:
            shares: of the votes, 0 to 1.
            floor: shares are kept at least that far from 0, and from 1 where odds are formed.
        """
        if self._by_class(shares):
            return shares.clamp(min=floor).log()
        return shares.clamp(floor, 1 - floor).logit() + self._shift(shares)

    def mean(self, outputs: Sequence[Tree]) -> Tensor:
        """Raw outputs of the mean probability of several outputs: its log for `softmax`, otherwise its log odds.

        Where there is an operating point t, probabilities are those around it, sigmoid(z - logit t), so that a mean
        above one half decides as a majority of confident votes does.
        """
        scores = torch.stack([scores_of(output) for output in outputs])
        count = log(len(scores))
        if self._by_class(scores[0]):
            return F.log_softmax(scores, dim=2).logsumexp(0) - count
        shift = self._shift(scores[0])
        moved = scores - shift
        if self.kind == "cumulative":
            moved = torch.cummin(moved, dim=2).values
        return F.logsigmoid(moved).logsumexp(0) - F.logsigmoid(-moved).logsumexp(0) + shift

    def probabilities(self, outputs: Tree) -> Tensor:
        """Probabilities in the shape of the outputs: of each class, or of each yes around its operating point."""
        scores = scores_of(outputs)
        if self._by_class(scores):
            return scores.softmax(1)
        return (scores - self._shift(scores)).sigmoid()

    def _by_class(self, scores: Tensor) -> bool:
        return self.kind == "softmax" and scores.ndim > 1 and scores.shape[1] > 1

    def _shift(self, scores: Tensor) -> Tensor:
        """The operating points in logits, so that they broadcast over (B, width, *spatial)."""
        points = scores.new_tensor(self.thresholds, dtype=torch.float64).logit().to(scores)
        if self.kind == "cumulative":
            return points.new_zeros(())
        return points[0] if len(points) == 1 else points.reshape(-1, *([1] * (scores.ndim - 2)))


def reading_of(task: Task) -> Reading | None:
    """How a task reads raw outputs; None for boxes, which have no mean, and for tasks of other packages."""
    if isinstance(task, MultiLabel):
        return Reading("sigmoid", task.thresholds)
    if isinstance(task, Segmentation):
        return Reading("softmax" if task.exclusive else "sigmoid", (task.threshold,))
    if isinstance(task, Classification):
        if isinstance(task.head, OneLogit):
            return Reading("sigmoid", (task.head.threshold,))
        return Reading("cumulative" if isinstance(task.head, Cumulative) else "softmax")
    return None


def scores_of(outputs: Tree) -> Tensor:
    """The one tensor of raw outputs.

    Raises:
        InputError: outputs of another kind, such as the candidates of a detector.
    """
    if isinstance(outputs, Tensor) and outputs.is_floating_point():
        return outputs
    raise InputError(
        "defences: it averages scores of classes, findings or pixels, and a detector proposes boxes, which have no "
        "mean. Before a detector, use jpeg, quantise, median, blur or denoise."
    )

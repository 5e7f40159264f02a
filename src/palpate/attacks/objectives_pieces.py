"""Objectives that look at each piece of a decision: a pixel of a mask, a finding of a reading, a box of an image.

They read `Task.pieces` alone, so each is valid for masks in 2D and 3D, many labels and boxes, away from the truth
and towards a goal. Sums over pieces are divided by the summed weights, so that a value does not grow with the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from palpate.contracts import ObjectiveInputs, Pieces


@dataclass(frozen=True)
class SegPGD:
    """Cross-entropy that weights unbroken pieces first and broken ones later (Gu et al., ECCV 2022).

        J(x_t) = sum_p w_p c_p L_p / sum_p w_p,   c_p = 1 - lambda_t if piece p is unbroken, lambda_t if it is broken
        lambda_t = (t - 1) / (2 T)   at step t of T

    A piece is unbroken while its margin is above 0: still right, or, with a goal, not yet as the goal wants it.
    """

    needs_clean_outputs: ClassVar[bool] = False

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        pieces = _pieces(inputs)
        fallen = inputs.progress / 2
        share = torch.where(pieces.margin.detach() > 0, 1 - fallen, fallen)
        return _mean(share * pieces.loss, pieces.weight)


@dataclass(frozen=True)
class CosPGD:
    """The loss of each piece times how much of it is still unbroken (Agnihotri, Jung, Keuper, ICML 2024).

        J(x_t) = sum_p w_p cos(p_p, onehot(y_p)) L_p / sum_p w_p   away from the truth
        J(x_t) = sum_p w_p (1 - cos(p_p, onehot(g_p))) L_p / sum_p w_p   towards a goal g

    No gradient flows through the cosine, as in the authors' published code.
    """

    needs_clean_outputs: ClassVar[bool] = False

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        pieces = _pieces(inputs)
        return _mean(pieces.unbroken.detach() * pieces.loss, pieces.weight)


@dataclass(frozen=True)
class PieceMargin:
    """Minus the margins of the pieces: J(x_t) = -sum_{p unbroken} w_p m_p / sum_p w_p.

    A margin does not saturate, unlike cross-entropy, and a broken piece is ignored.

    Attributes:
        open_only: count only the unbroken pieces (margin above 0); otherwise all of them.
    """

    open_only: bool = True
    needs_clean_outputs: ClassVar[bool] = False

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        pieces = _pieces(inputs)
        margin = pieces.margin.clamp(min=0) if self.open_only else pieces.margin
        return -_mean(margin, pieces.weight)


def _pieces(inputs: ObjectiveInputs) -> Pieces:
    return inputs.task.pieces(inputs.outputs, inputs.targets)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over pieces (B,); 0 where none counts."""
    weight = weight.to(values)
    # What does not count may be infinite, and infinity times zero is NaN.
    counted = torch.where(weight > 0, values, 0.0) * weight
    return counted.sum(1) / weight.sum(1).clamp(min=torch.finfo(weight.dtype).tiny)

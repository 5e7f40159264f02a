"""The losses of SEA (Croce, Singh, Hein, arXiv 2306.12941) for untargeted attacks on masks, from their formulas.

The fourth, balanced cross-entropy, is that of SegPGD: `palpate.attacks.objectives_pieces.SegPGD`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.contracts import ObjectiveInputs, Pieces


@dataclass(frozen=True)
class MaskedLoss:
    """The loss of the unbroken pieces alone, SEA's masked cross-entropy (Croce, Singh, Hein, arXiv 2306.12941).

        J(x_t) = sum_{p unbroken} w_p L_p / sum_p w_p

    What is broken is left as it is, so no step is spent on making it worse.
    """

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        pieces = _pieces(inputs)
        return _mean(torch.where(pieces.margin.detach() > 0, pieces.loss, 0.0), pieces.weight)


@dataclass(frozen=True)
class JensenShannon:
    """SEA's Jensen-Shannon divergence between each piece's probabilities and its label (arXiv 2306.12941).

        D_p = (log 2/(1 + p_y) + p_y log 2 p_y/(1 + p_y) + (1 - p_y) log 2) / 2,   p_y = exp(-L_p)
        J(x_t) = sum_p w_p D_p / sum_p w_p;   towards a goal g it is minus that divergence from g, with p_g = exp(L_p)

    It is at most log 2, and flat where a piece is surely right or surely wrong: pieces near their boundary count most.
    """

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        pieces = _pieces(inputs)
        log_p = -pieces.loss
        p = log_p.exp()
        middle = torch.log1p(p) - math.log(2.0)
        apart = (-middle + p * (log_p - middle) + (1 - p) * math.log(2.0)) / 2
        return _mean(apart, pieces.weight)


@dataclass(frozen=True)
class MaskedSpherical:
    """SEA's masked spherical loss: the true class's share of logits of length 1 (arXiv 2306.12941).

        J(x_t) = -sum_{p unbroken} w_p z_p,y / |z_p| / sum_p w_p

    For exclusive structures with one logit per class; logits of two classes that sum to 0 have no direction to turn.
    """

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        pieces = _pieces(inputs)
        labels = inputs.targets.masked_fill(inputs.targets == 255, 0)
        turned = F.normalize(inputs.outputs, dim=1).gather(1, labels.unsqueeze(1)).flatten(1)
        return -_mean(torch.where(pieces.margin.detach() > 0, turned, 0.0), pieces.weight)


def _pieces(inputs: ObjectiveInputs) -> Pieces:
    return inputs.task.pieces(inputs.outputs, inputs.targets)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum(1) / weight.sum(1)

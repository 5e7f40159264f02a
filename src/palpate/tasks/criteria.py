"""Published losses of detections per image, so that an attack can increase the loss that a model was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.annotations import Boxes, Candidates
from palpate.errors import InputError
from palpate.tasks.boxes import giou


class Criterion(Protocol):
    """A detector's training loss, one value per image. Make it a frozen dataclass, so that it has an identity."""

    def __call__(self, candidates: Candidates, targets: Boxes) -> Tensor:
        """Loss (B,), differentiable in the candidates."""


@dataclass(frozen=True)
class Bipartite:
    """The loss that DETR and YOLOS are trained with, image by image (Carion et al., ECCV 2020); softmax head.

    The Hungarian method pairs each annotated box with one candidate, at the smallest sum of

        -class * p_label + distance * |b - b*|_1 + overlap * (1 - GIoU)

    with boxes as centre, width and height. The loss is the cross-entropy of all candidates, averaged with the weight
    `nothing` if "no object" is right, and the two box terms averaged over the annotated boxes.

    Attributes:
        category: weight of the class in the pairing.
        distance: weight of the L1 distance in pairing and loss.
        overlap: weight of the generalised IoU in pairing and loss.
        nothing: weight of candidates without a box in the cross-entropy.
    """

    category: float = 1.0
    distance: float = 5.0
    overlap: float = 2.0
    nothing: float = 0.1

    def __call__(self, candidates: Candidates, targets: Boxes) -> Tensor:
        """Loss (B,).

        Raises:
            InputError: more boxes than candidates.
        """
        rows = [self._one(*row) for row in zip(*candidates, *targets, strict=True)]
        return torch.stack(rows) if rows else candidates.logits.new_zeros(0)

    def _one(self, logits: Tensor, boxes: Tensor, wanted: Tensor, labels: Tensor) -> Tensor:
        from scipy.optimize import linear_sum_assignment  # slow to import, and every plan imports this module

        wanted, labels = wanted[labels >= 0].to(boxes), labels[labels >= 0]
        if len(labels) > len(logits):
            raise InputError(f"boxes: {len(labels)} in one image, and the detector has {len(logits)} candidates.")
        apart = (_centred(boxes)[:, None] - _centred(wanted)).abs().sum(-1)
        spread = 1 - giou(boxes[:, None], wanted)
        cost = self.distance * apart + self.overlap * spread - self.category * logits.softmax(-1)[:, labels]
        query, index = (torch.as_tensor(side) for side in linear_sum_assignment(cost.detach().cpu().numpy()))
        nothing = logits.shape[-1] - 1
        aim = torch.full((len(logits),), nothing, device=logits.device)
        aim[query] = labels[index]
        weight = torch.where(aim == nothing, self.nothing, 1.0).to(logits)
        what = (weight * F.cross_entropy(logits, aim, reduction="none")).sum() / weight.sum()
        where = self.distance * apart[query, index].sum() + self.overlap * spread[query, index].sum()
        return what + where / max(1, len(labels))


def _centred(boxes: Tensor) -> Tensor:
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)

"""The training loss of detectors whose own loss is not known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.annotations import Boxes, Candidates
from palpate.models.detectors.geometry import giou
from palpate.tasks.candidates import CandidateReading
from palpate.tasks.detection import Detection

ENOUGH = 0.5
"""IoU from which a candidate may learn a box; where none has it, the best one does."""
PREFERRED = 0.5
"""Of the candidates that may learn a box, those do whose score is at least this share of the highest one's."""
PLACE = 2.0
"""Weight of the place against the class."""


@dataclass(frozen=True)
class QualityAndPlace:
    """Quality focal loss of the classes and GIoU of the places, on the candidates that the detector itself prefers.

        L = mean_g mean_{q in P_g} ( f_q + 2 (1 - GIoU(b_q, b_g)) ) + sum_{q in N} f_q / max(1, |P|)
        f_q = sum_k |p_qk - t_qk|^2 BCE(p_qk, t_qk)

    P_g are the candidates of an annotated box g with an IoU of at least 0.5 and at least half the highest score of
    these, or else the one with the highest IoU. t is that IoU at the class of the box, and 0 elsewhere, so that
    confidence still says how good a box is. N are the candidates that overlap with no box by 0.5: the others are
    duplicates, which suppression removes. Scores decide, so that a trained detector keeps its own assignment, whatever
    it was trained with; an assignment by IoU alone lowers its F1 within a few steps.

    Reference: quality focal loss, Li et al., NeurIPS 2020.

    Attributes:
        task: reads the candidates.
    """

    task: Detection

    def __call__(self, outputs: Candidates, targets: Boxes) -> Tensor:
        """(B,)."""
        reading = self.task.read(outputs, targets)
        learns = _learns(reading)
        quality, owner = reading.overlaps.detach().masked_fill(~learns, -1).max(2)
        own = learns.any(2)
        labels = reading.targets.labels.gather(1, owner).clamp(min=0)
        log_p, log_not = reading.logs
        aim = F.one_hot(labels, log_p.shape[-1]) * (quality.clamp(min=0) * own)[..., None]
        focal = ((log_p.exp() - aim).square() * -(aim * log_p + (1 - aim) * log_not)).sum(2)
        wanted = torch.take_along_dim(reading.targets.boxes.to(reading.boxes), owner[..., None], dim=1)
        each = focal + PLACE * (1 - giou(reading.boxes, wanted))
        background = ~own & (reading.overlaps.detach() < ENOUGH).all(2)
        taught = F.one_hot(owner, learns.shape[2]).bool() & own[..., None]
        of_box = (each[..., None] * taught).sum(1) / taught.sum(1).clamp(min=1)
        has = taught.any(1).to(of_box)
        boxes = (of_box * has).sum(1) / has.sum(1).clamp(min=1)
        return boxes + (focal * background).sum(1) / own.sum(1).clamp(min=1)


def _learns(reading: CandidateReading) -> Tensor:
    """Which candidate learns which box (B, Q, M) bool."""
    overlaps = reading.overlaps.detach()
    able = overlaps >= ENOUGH
    score = reading.of_label(reading.logs[0].detach()).exp() * able
    preferred = able & (score >= PREFERRED * score.amax(1, keepdim=True))
    best = torch.zeros_like(able).scatter_(1, overlaps.argmax(1, keepdim=True), True) & ~able.any(1, keepdim=True)
    return (preferred | best) & reading.real[:, None]

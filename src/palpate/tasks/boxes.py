"""Box operations of a detection: suppression of duplicates, matching with the annotated boxes; batched, exact."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.annotations import Boxes, Detections
from palpate.models.detectors.geometry import area, from_centres, giou, iou, pairwise_iou

__all__ = ["area", "from_centres", "giou", "iou", "matched", "pairwise_iou", "suppressed"]


def suppressed(boxes: Tensor, labels: Tensor, overlap: float) -> Tensor:
    """Which boxes greedy suppression drops (B, N) bool: those that overlap a kept box of higher rank and their class.

    Box i is dropped if a kept box j < i of the same class has IoU(i, j) > overlap. That rule is repeated until
    nothing changes. The first t boxes are right after t rounds, so the result is the sequential one. The number of
    rounds is the length of the longest chain of overlapping boxes.

    Args:
        boxes: (B, N, 4), highest confidence first.
        labels: (B, N) classes; boxes of different classes never suppress each other.
        overlap: IoU above which a box is a duplicate; 1 or more switches suppression off.
    """
    count = boxes.shape[1]
    dropped = torch.zeros_like(labels, dtype=torch.bool)
    if overlap >= 1 or count < 2:
        return dropped
    duplicate = (pairwise_iou(boxes, boxes) > overlap) & (labels[:, :, None] == labels[:, None])
    # Entry (i, j): j comes before i and would drop it.
    duplicate = duplicate.tril(-1)
    for _ in range(count):
        now = (duplicate & ~dropped[:, None]).any(2)
        if torch.equal(now, dropped):
            break
        dropped = now
    return dropped


def matched(detections: Detections, targets: Boxes, overlap: float) -> Tensor:
    """Which annotated box each detection finds (B, N), or -1, as COCO matches them.

    In the order of confidence, each detection takes the box of its class, not yet taken, that it overlaps most, if
    their IoU is at least `overlap`.
    """
    found = torch.full_like(detections.labels, -1)
    if not targets.labels.shape[1]:
        return found
    same = (detections.labels[..., None] == targets.labels[:, None]) & (targets.labels >= 0)[:, None]
    overlaps = pairwise_iou(detections.boxes, targets.boxes.to(detections.boxes)).masked_fill(~same, -1.0)
    free = torch.ones_like(targets.labels, dtype=torch.bool)
    last = int((detections.labels >= 0).sum(1).max()) if len(found) else 0
    for rank in range(last):
        best, index = overlaps[:, rank].masked_fill(~free, -1.0).max(1)
        taken = best >= overlap
        found[:, rank] = torch.where(taken, index, -1)
        free &= ~(taken[:, None] & (torch.arange(free.shape[1], device=free.device) == index[:, None]))
    return found

"""Box operations of a detection: suppression of duplicates, matching with the annotated boxes; batched, exact."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.annotations import Boxes, Detections
from palpate.models.detectors.geometry import area, from_centres, giou, iou, pairwise_iou

__all__ = ["area", "from_centres", "giou", "iou", "matched", "pairwise_iou", "suppressed"]


_BLOCK = 100
"""Boxes that are compared with the kept ones at once: few enough that most pairs are never formed."""


@torch.no_grad()
def suppressed(boxes: Tensor, labels: Tensor, overlap: float, most: int | None = None) -> Tensor:
    """Which boxes greedy suppression drops (B, N) bool: those that overlap a kept box of higher rank and their class.

    Box i is dropped if a kept box j < i of the same class has IoU(i, j) > overlap. Boxes go in blocks, by rank: a
    block meets the boxes that are kept before it, and then itself.

    Args:
        boxes: (B, N, 4), highest confidence first.
        labels: (B, N) classes; boxes of different classes never suppress each other.
        overlap: IoU above which a box is a duplicate; 1 or more switches suppression off.
        most: kept boxes that are asked for; what follows the block in which every image has them is dropped.
    """
    count = boxes.shape[1]
    dropped = torch.zeros_like(labels, dtype=torch.bool)
    if overlap >= 1 or count < 2:
        return dropped
    for begin in range(0, count, _BLOCK):
        kept = (~dropped[:, :begin]).sum(1)
        if most is not None and begin and int(kept.min()) >= most:
            dropped[:, begin:] = True
            break
        block = slice(begin, begin + _BLOCK)
        here, classes = boxes[:, block], labels[:, block]
        gone = torch.zeros_like(classes, dtype=torch.bool)
        if begin:
            # Kept ones come first, in their order; what fills up the rows of other images has no class.
            first = dropped[:, :begin].byte().argsort(dim=1, stable=True)[:, : int(kept.max())]
            known = labels[:, :begin].masked_fill(dropped[:, :begin], -1).gather(1, first)
            gone = _duplicate(here, classes, boxes.gather(1, first[..., None].expand(-1, -1, 4)), known, overlap).any(2)
        dropped[:, block] = _among(_duplicate(here, classes, here, classes, overlap).tril(-1), gone)
    return dropped


def _duplicate(boxes: Tensor, labels: Tensor, others: Tensor, classes: Tensor, overlap: float) -> Tensor:
    """Which boxes (B, N) are duplicates of which others (B, M)."""
    return (pairwise_iou(boxes, others) > overlap) & (labels[:, :, None] == classes[:, None])


def _among(before: Tensor, gone: Tensor) -> Tensor:
    """Which boxes of a block are dropped (B, N), by those before the block (`gone`) or by its kept ones.

    Entry (i, j) of `before`: j has a higher rank and would drop i. That rule is repeated until nothing changes. The
    first t boxes are right after t rounds, so the result is the sequential one; the number of rounds is the length of
    the longest chain of overlapping boxes.
    """
    weights, dropped = before.float(), gone
    for _ in range(before.shape[1]):
        by_kept = torch.bmm(weights, (~dropped)[..., None].float())[..., 0] > 0
        now = gone | by_kept
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

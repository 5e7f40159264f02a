"""Geometry of boxes (x1, y1, x2, y2) in plain torch, differentiable; any unit, the same for both boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from palpate.annotations import Boxes


def area(boxes: Tensor) -> Tensor:
    """Area (...) of boxes (..., 4); 0 if its corners are in the wrong order."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (...) of boxes (..., 4) that broadcast; 0 if neither has an area."""
    shared = _intersection(first, second)
    return shared / (area(first) + area(second) - shared).clamp(min=1e-12)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (..., N, M) of every one of (..., N, 4) with every one of (..., M, 4)."""
    return iou(first.unsqueeze(-2), second.unsqueeze(-3))


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU (...) from -1 to 1: IoU - (hull - union) / hull (Rezatofighi et al., CVPR 2019)."""
    shared = _intersection(first, second)
    union = area(first) + area(second) - shared
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    hull = (high - low).clamp(min=0).prod(-1).clamp(min=1e-12)
    return shared / union.clamp(min=1e-12) - (hull - union) / hull


def from_centres(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) given as centre x, centre y, width, height."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def from_sizes(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) given as x1, y1, width, height."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)


def fit(boxes: list[Tensor], truth: Boxes) -> float | None:
    """Mean over the annotated boxes of their largest IoU with one of `boxes` (N, 4) of their image; None without any.

    Both are corners in fractions.
    """
    found = []
    for corners, wanted, labels in zip(boxes, truth.boxes, truth.labels, strict=True):
        real = wanted[labels >= 0].to(corners)
        if len(real):
            cut = corners.clamp(0, 1)
            found.append(pairwise_iou(cut, real).amax(0) if len(cut) else real.new_zeros(len(real)))
    return float(torch.cat(found).mean()) if found else None


def _intersection(first: Tensor, second: Tensor) -> Tensor:
    # By coordinate: several times faster than slices of two on large pairwise grids.
    width = torch.minimum(first[..., 2], second[..., 2]) - torch.maximum(first[..., 0], second[..., 0])
    height = torch.minimum(first[..., 3], second[..., 3]) - torch.maximum(first[..., 1], second[..., 1])
    return width.clamp(min=0) * height.clamp(min=0)

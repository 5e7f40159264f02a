"""Masks and boxes move with the anatomy."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.annotations import Boxes, Masks
from palpate.tensors import Tree

_IGNORED = 255
"""Label of pixels that do not count."""
_FEWEST = 16
"""Pixels that an affine map is fitted to, at least."""


def moved(targets: Tree, grid: Tensor) -> Tree:
    """The annotations of K images after they were moved: pixel p of the result comes from `grid[p]`.

    Classes and findings stay. Masks take the nearest label; what comes from outside the image is background. A box
    becomes the smallest box around its moved corners, clipped to the image; one that leaves the image is dropped.

    Args:
        targets: annotations of K images.
        grid: (K, *spatial, n), as `torch.nn.functional.grid_sample` takes it.
    """
    if isinstance(targets, Masks):
        return targets._replace(labels=_masks(targets.labels, grid))
    if isinstance(targets, Boxes):
        return _boxes(targets, grid)
    return targets


def share_kept(before: Tree, after: Tree) -> Tensor:
    """How much of what is annotated is still in the image (K,), 0 to 1: of the structure that loses most.

    1 if nothing was annotated, and for classes and findings.
    """
    if isinstance(before, Masks):
        values = [value for value in torch.unique(before.labels).tolist() if 0 < value < _IGNORED]
        shares = [_share(*(_count(targets.labels, value) for targets in (before, after))) for value in values]
        return torch.stack(shares).amin(0) if shares else torch.ones(len(before.labels), dtype=torch.float64)
    if isinstance(before, Boxes):
        return _share(*((targets.labels >= 0).sum(1).double() for targets in (before, after)))
    count = len(before) if isinstance(before, Tensor) else len(before[0])
    return torch.ones(count, dtype=torch.float64)


def _count(labels: Tensor, value: int) -> Tensor:
    return (labels == value).flatten(1).sum(1).double()


def _share(before: Tensor, after: Tensor) -> Tensor:
    return torch.where(before > 0, (after / before.clamp(min=1)).clamp(max=1), torch.ones_like(before))


def _masks(labels: Tensor, grid: Tensor) -> Tensor:
    axes = grid.shape[-1]
    channels = labels.reshape(len(labels), -1, *labels.shape[-axes:]).double()
    sampled = F.grid_sample(channels, grid.double(), mode="nearest", padding_mode="zeros", align_corners=False)
    return sampled.round().to(labels.dtype).reshape(labels.shape)


def _boxes(targets: Boxes, grid: Tensor) -> Boxes:
    boxes, labels = targets.boxes.clone(), targets.labels.clone()
    height, width = grid.shape[1:3]
    down, right = torch.meshgrid(
        (torch.arange(height, device=grid.device) + 0.5) / height,
        (torch.arange(width, device=grid.device) + 0.5) / width,
        indexing="ij",
    )
    to = torch.stack([right, down], -1).reshape(-1, 2).double()
    for image in range(len(boxes)):
        source = (grid[image].reshape(-1, 2).double() + 1) / 2
        for number in (labels[image] >= 0).nonzero().flatten().tolist():
            box = _one_box(boxes[image, number].double(), source, to)
            if box is None:
                labels[image, number] = -1
                boxes[image, number] = 0
            else:
                boxes[image, number] = box.to(boxes)
    return Boxes(boxes, labels)


def _one_box(box: Tensor, source: Tensor, to: Tensor) -> Tensor | None:
    """The box after the move, by the affine map that fits best around it; None if nothing of it is left."""
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    near = ((source - middle).abs() <= half.clamp(min=0.02) * 1.1).all(1)
    if int(near.sum()) < _FEWEST:
        return None
    ones = torch.ones(int(near.sum()), 1, dtype=torch.float64, device=source.device)
    fitted = torch.linalg.lstsq(torch.cat([source[near], ones], 1), to[near]).solution
    corners = torch.stack([box[[0, 1]], box[[2, 1]], box[[0, 3]], box[[2, 3]]])
    placed = torch.cat([corners, torch.ones(4, 1, dtype=torch.float64, device=box.device)], 1) @ fitted
    found = torch.cat([placed.amin(0), placed.amax(0)])
    clipped = found.clamp(0, 1)
    area = ((clipped[2:] - clipped[:2]).prod(), (found[2:] - found[:2]).prod())
    return clipped if float(area[0]) > 0.5 * float(area[1]) else None

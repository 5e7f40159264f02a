"""A small anchor-free detector: every cell of one grid gives the class at it and the distances to the box's sides."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palpate.annotations import Boxes, Candidates
from palpate.errors import InputError
from palpate.models.detectors.geometry import area, giou, iou

_RARE = 0.01
"""Probability that an untrained cell gives every class, so that the background does not dominate the first steps."""


class CentreDetector(nn.Module):
    """A fully convolutional, one-stage, anchor-free detector after FCOS (Tian et al., ICCV 2019).

    Five stages halve the image; the deepest three are merged top-down into one grid of `stride`, each of whose cells
    gives a logit per class (sigmoid head) and the distances to the four sides of its box. With 16 channels and three
    classes it has about 70 000 parameters.

    It has batch norms, not group norms: in evaluation they are constants, so that images do not influence each
    other, and they are folded into the convolutions before them, which saves time in every step of an attack.

    Args:
        classes: number of classes K.
        width: channels of the first stage; the others have multiples of it.
        channels: channels of the images.
        stride: pixels per cell: 8, or 4 for objects of a few pixels.

    Raises:
        InputError: no class, or another stride.
    """

    def __init__(self, classes: int, width: int = 16, channels: int = 3, stride: int = 8):
        super().__init__()
        if classes < 1:
            raise InputError(f"classes: a detector needs at least 1 class, and there are {classes}.")
        if stride not in {4, 8}:
            raise InputError(f"stride: {stride} is not 4 or 8.")
        self.classes, self.stride = classes, stride
        widths = [channels, width, width * 3 // 2, width * 2, width * 3, width * 3]
        self.stages = nn.ModuleList(_stage(*pair) for pair in itertools.pairwise(widths))
        self.finest = stride.bit_length() - 2
        neck = width * 2
        self.sides = nn.ModuleList(nn.Conv2d(wide, neck, 1) for wide in widths[1 + self.finest :])
        self.tower = nn.Sequential(_convolution(neck, neck), _Residual(neck))
        self.what = nn.Conv2d(neck, classes, 1)
        self.where = nn.Conv2d(neck, 4, 1)
        nn.init.constant_(self.what.bias, math.log(_RARE / (1 - _RARE)))  # type: ignore[arg-type]
        nn.init.constant_(self.where.bias, math.log(2.0))  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Candidates:
        """Candidates, Q = one per cell, of normalised images (B, C, H, W) of any size; boxes may extend beyond them."""
        levels = []
        features = images
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        merged = self.sides[-1](levels[-1])
        for side, level in zip(list(self.sides)[-2::-1], levels[-2::-1], strict=False):
            finer = side(level)
            merged = finer + F.interpolate(merged, size=finer.shape[-2:], mode="nearest")
        merged = self.tower(merged)
        logits = self.what(merged).flatten(2).transpose(1, 2)
        # Distances of up to e^5 cells: an image of 1000 pixels, and no overflow before the first step has been made.
        sides = self.where(merged).flatten(2).transpose(1, 2).clamp(max=5).exp() * self.stride
        height, width = images.shape[-2:]
        scale = images.new_tensor([width, height, width, height])
        points = self.points(height, width).to(images)
        boxes = torch.cat([points - sides[..., :2] / scale[:2], points + sides[..., 2:] / scale[:2]], dim=-1)
        return Candidates(logits, boxes)

    def points(self, height: int, width: int) -> Tensor:
        """Centres of the cells (Q, 2), x and y as fractions, for images of this size, row by row."""
        rows, columns = -(-height // self.stride), -(-width // self.stride)
        y = (torch.arange(rows) + 0.5) * self.stride / height
        x = (torch.arange(columns) + 0.5) * self.stride / width
        return torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], dim=-1).flatten(0, 1)


def centre_loss(
    candidates: Candidates, targets: Boxes, points: Tensor, reach: float = 0.25, per_box: bool = False
) -> Tensor:
    """The training loss of a `CentreDetector`, a scalar.

        sum_q w_q ( sum_k |sigma(s_qk) - t_qk|^2 BCE(s_qk, t_qk) + 2 [q in P] (1 - GIoU(b_q, b*_q)) ) / max(1, |P|)

    P are the cells in the middle of an annotated box; of several, the smallest one has it. t is the IoU that the cell
    has reached at the box's class and 0 elsewhere (quality focal loss, Li et al., NeurIPS 2020), so that confidence
    says how good a box is, and suppression keeps the best one. w is 1; `per_box` divides the weight of all P
    equally among the boxes, and that of a box among its cells, so that small boxes, which have one cell, still count
    next to large ones, which have dozens.

    Args:
        candidates: of the detector in training mode (B, Q).
        targets: annotated boxes; padding has label -1.
        points: `detector.points(height, width)`.
        reach: the middle of a box, as a share of its width and height to either side of its centre.
        per_box: whether every box has the same weight, and not every cell.
    """
    logits, boxes = candidates
    if not targets.labels.shape[1]:
        # If no image of the batch has a box, one row of padding keeps the indexing below defined.
        targets = Boxes(boxes.new_zeros(len(boxes), 1, 4), targets.labels.new_full((len(boxes), 1), -1))
    owner = _owners(targets, points.to(boxes), reach)
    inside = owner >= 0
    wanted = torch.take_along_dim(targets.boxes.to(boxes), owner.clamp(min=0)[..., None], dim=1)
    labels = torch.take_along_dim(targets.labels, owner.clamp(min=0), dim=1).clamp(min=0)
    quality = iou(boxes.detach(), wanted) * inside
    aim = F.one_hot(labels, logits.shape[-1]) * quality[..., None]
    focus = (logits.sigmoid() - aim).square()
    weight = _alike(owner, targets.labels.shape[1]) if per_box else torch.ones_like(quality)
    what = (weight[..., None] * focus * F.binary_cross_entropy_with_logits(logits, aim, reduction="none")).sum()
    where = ((1 - giou(boxes, wanted)) * inside * weight).sum()
    return (what + 2 * where) / inside.sum().clamp(min=1)


def _owners(targets: Boxes, points: Tensor, reach: float) -> Tensor:
    """The annotated box of each cell (B, Q), or -1: the smallest box whose middle contains the cell."""
    boxes = targets.boxes.to(points)
    centre, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) * reach
    away = (points[None, :, None] - centre[:, None]).abs()
    real = targets.labels >= 0
    middle = (away <= half[:, None]).all(-1)
    # A box smaller than a cell has at least the cell that is nearest to its centre.
    nearest = away.square().sum(-1).argmin(1)
    middle = middle.scatter(1, nearest[:, None], True) & real[:, None]
    size = area(boxes)[:, None].expand_as(middle).masked_fill(~middle, torch.inf)
    smallest, owner = size.min(-1)
    return torch.where(smallest.isfinite(), owner, -1)


def _alike(owner: Tensor, boxes: int) -> Tensor:
    """Weights of the cells (B, Q): 1 in the background; of those in P with the same sum for every box, and mean 1."""
    inside = owner >= 0
    cells = F.one_hot(owner + 1, boxes + 1).sum(1)[:, 1:]
    share = inside.sum() / (cells > 0).sum().clamp(min=1)
    own = cells.gather(1, owner.clamp(min=0)).clamp(min=1)
    return torch.where(inside, share / own, 1.0)


def _convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


def _stage(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(_convolution(before, after, 2), _Residual(after))


class _Residual(nn.Module):
    """x + a wide depthwise and a pointwise convolution: a large receptive field with few weights."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        inner = F.relu(self.depthwise_norm(self.depthwise(features)))
        return F.relu(features + self.pointwise_norm(self.pointwise(inner)))

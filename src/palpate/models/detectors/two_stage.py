"""torchvision's Faster R-CNN as palpate reads it: every proposal of its first stage is a candidate."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palpate.annotations import Boxes, Candidates
from palpate.errors import InputError
from palpate.models.detectors.training import training_losses

_ABSENT = -20.0


class TorchvisionTwoStage(nn.Module):
    """A torchvision `FasterRCNN` whose proposals are the candidates, with a softmax over classes and "no object".

    Class k is torchvision's k + 1, and its class 0, the background, comes last. A candidate's box is that of its
    leading class. At a confidence of 0.5 or more the detections are those of torchvision, because no proposal can then
    be of two classes. The network's own resizing and normalisation are part of it.

    Gradients flow through the second stage, as in training: which proposals there are, and where they are, has none.

    Args:
        model: takes images from 0 to 1.

    Raises:
        InputError: another module.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        if not all(hasattr(model, name) for name in ("transform", "backbone", "rpn", "roi_heads")):
            raise InputError(f"model: {type(model).__name__} is not a FasterRCNN of torchvision.")
        self.model: Any = model

    def forward(self, images: Tensor) -> Candidates:
        """Candidates of images (B, C, H, W) from 0 to 1, one per proposal, padded to one number."""
        model = self.model
        inputs, _ = model.transform(list(images))
        levels = model.backbone(inputs.tensors)
        features = {"0": levels} if isinstance(levels, Tensor) else levels
        regions, _ = model.rpn(inputs, features)
        heads = model.roi_heads
        pooled = heads.box_head(heads.box_roi_pool(features, regions, inputs.image_sizes))
        logits, moves = heads.box_predictor(pooled)
        boxes = heads.box_coder.decode(moves, regions)
        counts = [len(region) for region in regions]
        height, width = inputs.image_sizes[0]
        size = images.new_tensor([width, height, width, height])
        most = max(1, *counts)
        rows = zip(logits.split(counts), boxes.split(counts), strict=True)
        found = [_padded(_own(*row), most) for row in rows]
        return Candidates(torch.stack([row[0] for row in found]), torch.stack([row[1] for row in found]) / size)

    def training_losses(self, images: Tensor, truth: Boxes) -> Tensor:
        """The losses of its training (B,), as `palpate.models.detectors.training.training_losses` computes them."""
        return training_losses(self.model, images, truth)


def _own(logits: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (P, K + 1) with the background last, and the boxes (P, 4) of the leading classes."""
    classes = torch.cat([logits[:, 1:], logits[:, :1]], dim=1)
    leading = logits[:, 1:].argmax(1) + 1
    boxes = boxes.reshape(len(boxes), -1, 4)
    # Networks without a box per class have one.
    place = leading.clamp(max=boxes.shape[1] - 1)
    return classes, boxes[torch.arange(len(boxes), device=boxes.device), place]


def _padded(row: tuple[Tensor, Tensor], most: int) -> tuple[Tensor, Tensor]:
    logits, boxes = row
    more = most - len(logits)
    if not more:
        return row
    absent = logits.new_full((more, logits.shape[1]), _ABSENT)
    absent[:, -1] = 0.0
    return torch.cat([logits, absent]), F.pad(boxes, (0, 0, 0, more))

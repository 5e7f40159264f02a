"""The detector of this example as it would be shipped: it returns decided boxes in pixels, as torchvision's do."""

from __future__ import annotations

import model as example
import torch
from torch import Tensor

from palpate.models.detectors import CentreDetector
from palpate.tasks.boxes import suppressed


class Decided(CentreDetector):
    """The same network and weights; a threshold and suppression at IoU 0.5 follow, and only what is left is returned.

    Args:
        threshold: score that a box must exceed.
    """

    def __init__(self, threshold: float):
        super().__init__(classes=len(example.CLASSES), width=24)
        self.threshold = threshold

    def forward(self, images: Tensor) -> list[dict[str, Tensor]]:  # type: ignore[override]
        """For each image its boxes (N, 4) in pixels, labels (N,) from 1, and scores (N,), highest first."""
        logits, boxes = super().forward(images)
        height, width = images.shape[-2:]
        pixels = boxes.clamp(0, 1) * boxes.new_tensor([width, height, width, height])
        return [self._one(*row) for row in zip(logits.sigmoid(), pixels, strict=True)]

    def _one(self, scores: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        place, label = (scores > self.threshold).nonzero(as_tuple=True)
        order = scores[place, label].argsort(descending=True, stable=True)
        place, label = place[order], label[order]
        kept = ~suppressed(boxes[place][None], label[None], 0.5)[0]
        place, label = place[kept], label[kept]
        return {"boxes": boxes[place], "labels": label + 1, "scores": scores[place, label]}


def build(threshold: float = 0.5) -> torch.nn.Module:
    """The detector without its weights, which the plan names."""
    return Decided(threshold)

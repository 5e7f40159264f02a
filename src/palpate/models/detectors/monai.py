"""MONAI's RetinaNet as palpate reads it: every anchor is a candidate, before any threshold."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palpate.annotations import Candidates
from palpate.errors import InputError


class MonaiRetinaNet(nn.Module):
    """The network, anchors and box coder of MONAI's `RetinaNetDetector` in 2D; sigmoid head.

    MONAI's boxes name the first spatial axis first; palpate's name x, the second one, first. MONAI drops boxes with
    less than one pixel in the image; palpate keeps them.

    Args:
        detector: `monai.apps.detection.networks.retinanet_detector.RetinaNetDetector`.

    Raises:
        InputError: another module, or a detector for volumes.
    """

    def __init__(self, detector: nn.Module):
        super().__init__()
        if not all(hasattr(detector, name) for name in ("network", "anchor_generator", "box_coder")):
            raise InputError(f"model: {type(detector).__name__} is not a RetinaNetDetector of MONAI.")
        if getattr(detector, "spatial_dims", 2) != 2:
            raise InputError("model: a RetinaNetDetector for volumes; boxes are read in 2D only. Give a 2D detector.")
        self.detector: Any = detector

    def forward(self, images: Tensor) -> Candidates:
        """Candidates of normalised images (B, C, H, W), one per anchor; boxes may extend beyond the image."""
        height, width = images.shape[-2:]
        step = self.detector.size_divisible
        # MONAI pads to a size that its strides divide, at the end of both axes.
        images = F.pad(images, (0, -width % step[1], 0, -height % step[0]))
        found = self.detector.network(images)
        if not isinstance(found, dict):
            half = len(found) // 2
            found = {self.detector.cls_key: found[:half], self.detector.box_reg_key: found[half:]}
        classes = self.detector.network.num_classes
        logits = _rows(found[self.detector.cls_key], classes)
        moves = _rows(found[self.detector.box_reg_key], 4)
        anchors = torch.stack(self.detector.anchor_generator(images, found[self.detector.cls_key]))
        boxes = self.detector.box_coder.decode_single(moves.flatten(0, 1), anchors.flatten(0, 1).to(moves))
        size = images.new_tensor([width, height, width, height])
        return Candidates(logits, boxes.reshape(moves.shape)[..., [1, 0, 3, 2]] / size)


def _rows(levels: list[Tensor], width: int) -> Tensor:
    """Maps (B, A * width, H, W) of all levels as (B, sum of H * W * A, width), in the order of the anchors."""
    rows = [
        level.reshape(len(level), -1, width, *level.shape[2:]).permute(0, 3, 4, 1, 2).reshape(len(level), -1, width)
        for level in levels
    ]
    return torch.cat(rows, dim=1)

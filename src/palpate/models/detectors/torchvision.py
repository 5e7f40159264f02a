"""One-stage detectors of torchvision as palpate reads them: every anchor is a candidate, before any threshold."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palpate.annotations import Candidates
from palpate.errors import InputError

_HEADS = {"RetinaNet": "sigmoid", "FCOS": "sigmoid", "SSD": "softmax"}


class TorchvisionDetector(nn.Module):
    """A torchvision RetinaNet, FCOS or SSD; the network's own resizing and normalisation are part of it.

    RetinaNet and FCOS have a sigmoid head with as many classes as torchvision counts (its class 0 is never trained).
    SSD has a softmax head without torchvision's class 0, the background: class k is torchvision's k + 1. FCOS gives
    sqrt(class * centreness) as its probability, as torchvision does.

    Two-stage detectors have another adapter: `palpate.models.detectors.two_stage.TorchvisionTwoStage`.

    Args:
        model: takes images from 0 to 1.
        classes: K of the task; if a sigmoid head has one class more, its class 0 is left out, and class k is k + 1.

    Attributes:
        head: `head` of `palpate.tasks.detection.Detection` that fits.

    Raises:
        InputError: another kind of detector.
    """

    def __init__(self, model: nn.Module, classes: int | None = None):
        super().__init__()
        self.classes = classes
        kinds = [kind.__name__ for kind in type(model).__mro__ if kind.__name__ in _HEADS]
        if not kinds:
            raise InputError(
                f"model: {type(model).__name__} is not one of torchvision's {', '.join(_HEADS)}. Wrap it in a module "
                "that returns palpate.annotations.Candidates."
            )
        self.model: Any = model
        self.kind = kinds[0]
        self.head = _HEADS[self.kind]

    def forward(self, images: Tensor) -> Candidates:
        """Candidates of images (B, C, H, W) from 0 to 1, one per anchor; boxes may extend beyond the image."""
        inputs, _ = self.model.transform(list(images))
        levels = self.model.backbone(inputs.tensors)
        features = [levels] if isinstance(levels, Tensor) else list(levels.values())
        found = self.model.head(features)
        anchors = torch.stack(self.model.anchor_generator(inputs, features))
        height, width = inputs.image_sizes[0]
        size = images.new_tensor([width, height, width, height])
        logits = self._logits(found)
        if self.head == "sigmoid" and self.classes is not None and logits.shape[2] == self.classes + 1:
            logits = logits[..., 1:]
        return Candidates(logits, self._boxes(found["bbox_regression"], anchors) / size)

    def _logits(self, found: dict[str, Tensor]) -> Tensor:
        logits = found["cls_logits"]
        if self.kind == "SSD":
            return torch.cat([logits[..., 1:], logits[..., :1]], dim=-1)
        if self.kind == "RetinaNet":
            return logits
        log_p = (F.logsigmoid(logits) + F.logsigmoid(found["bbox_ctrness"])) / 2
        # The smallest normal number keeps a probability of exactly 1 finite.
        return log_p - torch.log((-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny))

    def _boxes(self, moves: Tensor, anchors: Tensor) -> Tensor:
        coder = self.model.box_coder
        if self.kind == "FCOS":
            boxes: Tensor = coder.decode(moves, anchors)
            return boxes
        flat: Tensor = coder.decode_single(moves.flatten(0, 1), anchors.flatten(0, 1))
        return flat.reshape(anchors.shape)

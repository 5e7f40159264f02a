"""Detectors that palpate knows by their class: their candidates before any threshold are read, not their boxes."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from palpate.models.detectors.monai import MonaiRetinaNet
from palpate.models.detectors.torchvision import TorchvisionDetector
from palpate.models.detectors.two_stage import TorchvisionTwoStage

_ONE_STAGE = ("RetinaNet", "FCOS", "SSD")


class Known(NamedTuple):
    """A known detector and its own operating point.

    Attributes:
        module: returns candidates.
        words: what it is.
        head: `task.head` that fits.
        suppression: IoU above which it removes a box itself.
        threshold: score below which it removes a box itself.
    """

    module: nn.Module
    words: str
    head: str
    suppression: float
    threshold: float


def known(module: nn.Module, classes: int) -> Known | None:
    """The adapter for a detector of torchvision or MONAI with K classes; None for every other module."""
    model: Any = module
    names = {kind.__name__: kind.__module__.partition(".")[0] for kind in type(module).__mro__}
    if names.get("RetinaNetDetector") == "monai":
        words = "MONAI's RetinaNetDetector, read anchor by anchor"
        select = model.box_selector
        return Known(MonaiRetinaNet(module), words, "sigmoid", float(select.nms_thresh), float(select.score_thresh))
    for name in _ONE_STAGE:
        if names.get(name) == "torchvision":
            one = TorchvisionDetector(module, classes)
            words = f"torchvision's {name}, read anchor by anchor"
            return Known(one, words, one.head, float(model.nms_thresh), float(model.score_thresh))
    if names.get("FasterRCNN") == "torchvision":
        heads = model.roi_heads
        words = "torchvision's Faster R-CNN, read proposal by proposal"
        two = TorchvisionTwoStage(module)
        return Known(two, words, "softmax", float(heads.nms_thresh), float(heads.score_thresh))
    return None

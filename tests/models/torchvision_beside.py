"""Import torchvision beside a torch that it was not built for: declare what it misses, and write what we need of it.

Its detectors are plain Python; only suppression is compiled. Where torchvision is absent, `load` returns None.
"""

import importlib.util

import torch

from palpate.tasks.boxes import suppressed

_LIBRARIES = []


def _nms(boxes, scores, overlap):
    order = scores.argsort(descending=True, stable=True)
    same = torch.zeros(1, len(order), dtype=torch.int64)
    return order[~suppressed(boxes[order][None], same, overlap)[0]]


def load():
    """Torchvision, or None where it is not installed."""
    if importlib.util.find_spec("torchvision") is None:
        return None
    try:
        import torchvision
    except (RuntimeError, AttributeError):
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl("nms", _nms, "CPU")
        _LIBRARIES.append(library)
        import torchvision

        torchvision.extension._has_ops = lambda: True
    return torchvision

"""The marks over a picture: outlines of masks and boxes, in fractions of its width and height.

A decision or annotation is a label map (*spatial), one mask per structure (S, *spatial), boxes with their classes, or
something without a place in the image, such as a class.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from palpate.audit.work.outlines import MOST_MARKS, Mark, Stack, largest, mark_of, outlines, simplified
from palpate.tensors import Tree

__all__ = ["MOST_MARKS", "Mark", "Stack", "boxes_of", "outlines", "simplified", "stack_of"]


def stack_of(decision: Tree, axes: int, structures: int) -> Stack | None:
    """The masks of one image as (S, *spatial) bool; None if the decision is not a mask.

    Args:
        decision: one image's annotation or decision, without the batch axis.
        axes: number of spatial axes.
        structures: S, the number of structures; label 0 and labels above S are background.
    """
    labels = getattr(decision, "labels", decision)
    if not isinstance(labels, Tensor) or labels.ndim not in (axes, axes + 1):
        return None
    values = labels.detach().cpu().numpy()
    if labels.ndim == axes + 1:
        return np.asarray(values == 1)
    return np.stack([values == index + 1 for index in range(structures)])


def boxes_of(decision: Tree) -> list[Mark]:
    """The boxes of one image as marks, largest first; an empty list if the decision has no boxes.

    Args:
        decision: `Boxes` or `Detections` of one image, without the batch axis; a label of -1 is padding.
    """
    if not hasattr(decision, "boxes"):
        return []
    corners, labels = decision.boxes.detach().cpu().double().numpy(), decision.labels.tolist()
    scores = decision.confidence.tolist() if hasattr(decision, "confidence") else [None] * len(labels)
    found = [
        (float((x2 - x1) * (y2 - y1)), mark_of(label, "box", np.array([[x1, y1], [x2, y2]]), score))
        for (x1, y1, x2, y2), label, score in zip(corners, labels, scores, strict=True)
        if label >= 0
    ]
    return largest(found)

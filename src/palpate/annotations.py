"""What is drawn on an image: masks and boxes as they were annotated, and boxes as a detector proposes them.

Boxes are (x1, y1, x2, y2) as fractions of width and height, so that they mean the same before and after resizing.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Masks(NamedTuple):
    """Annotated masks.

    Attributes:
        labels: (B, *spatial) int64 class of every pixel, or (B, S, *spatial) int64 0/1 where S structures may overlap;
            a task's ignore index marks pixels that do not count.
        spacing: (B, D) size of a pixel along each of D spatial axes in mm, in the order of the axes; None where it is
            unknown.
    """

    labels: Tensor
    spacing: Tensor | None = None


class Boxes(NamedTuple):
    """Annotated boxes, padded to the same number M per image.

    Attributes:
        boxes: (B, M, 4) fractions of width and height.
        labels: (B, M) int64 class from 0; -1 is padding.
    """

    boxes: Tensor
    labels: Tensor


class Candidates(NamedTuple):
    """What a detector proposes before thresholds and suppression, differentiable; padded to the same number Q.

    Attributes:
        logits: (B, Q, K), or (B, Q, K + 1) with "no object" last; padding has very negative, but finite, logits.
        boxes: (B, Q, 4) fractions of width and height.
    """

    logits: Tensor
    boxes: Tensor


class Decided(Candidates):
    """Candidates that are left after a detector's own thresholds and suppression: they are not suppressed again.

    Attributes:
        logits: (B, Q, K), the log-odds of each box's score at its class; other classes and padding are absent.
        boxes: (B, Q, 4) fractions of width and height.
    """

    __slots__ = ()


class Detections(NamedTuple):
    """What a detector decides, after thresholds and suppression; padded to the same number M per image.

    Attributes:
        boxes: (B, M, 4) fractions of width and height, highest confidence first.
        labels: (B, M) int64 class from 0; -1 is padding.
        confidence: (B, M) from 0 to 1; 0 for padding.
    """

    boxes: Tensor
    labels: Tensor
    confidence: Tensor

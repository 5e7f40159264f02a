"""The meaning of the four numbers of a box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

__all__ = ["BOX_MODES", "BoxMode", "corners_of"]

BoxMode = Literal["xyxy", "xywh", "xxyy", "ccwh"]
BOX_MODES: tuple[BoxMode, ...] = ("xyxy", "xywh", "xxyy", "ccwh")
"""Corners; a corner and the size; both x before both y; the centre and the size."""


def corners_of(box: Sequence[float], mode: BoxMode) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box, in its own unit."""
    first, second, third, fourth = box
    if mode == "xywh":
        return first, second, first + third, second + fourth
    if mode == "xxyy":
        return first, third, second, fourth
    if mode == "ccwh":
        return first - third / 2, second - fourth / 2, first + third / 2, second + fourth / 2
    return first, second, third, fourth

"""Shapes of a COCO file as masks: polygons, and run lengths in both of their forms.

A pixel belongs to a polygon if its centre is inside by the even-odd rule; COCO's own tools differ from that by at most
the pixels of the outline. Run lengths are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from palpate.errors import InputError

__all__ = ["drawn"]

Mask = npt.NDArray[np.bool_]


def drawn(segmentation: Any, height: int, width: int, where: str) -> Mask:
    """A list of polygons `[[x1, y1, x2, y2, ...], ...]`, or run lengths `{"counts": ..., "size": [h, w]}`, as a mask.

    Args:
        segmentation: as it is in the file.
        height: height of the image.
        width: width of the image.
        where: the file and annotation, for messages.

    Raises:
        InputError: it is neither, or does not fit the image.
    """
    if isinstance(segmentation, dict):
        return _runs(segmentation, height, width, where)
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError(f"{where}: its segmentation is neither polygons nor run lengths. Correct it.")
    mask = np.zeros((height, width), dtype=bool)
    for polygon in segmentation:
        mask |= _polygon(polygon, height, width, where)
    return mask


def _polygon(polygon: Any, height: int, width: int, where: str) -> Mask:
    try:
        corners = np.array(polygon, dtype=np.float64)
    except (TypeError, ValueError):
        corners = np.empty(0)
    if corners.ndim != 1 or corners.size < 6 or corners.size % 2 or not np.isfinite(corners).all():
        raise InputError(f"{where}: a polygon has {np.size(corners)} numbers. Give x and y of three corners or more.")
    xs, ys = corners[::2], corners[1::2]
    next_xs, next_ys = np.roll(xs, -1), np.roll(ys, -1)
    mask = np.zeros((height, width), dtype=bool)
    centres = np.arange(width) + 0.5
    for row in range(max(0, int(ys.min())), min(height, int(ys.max()) + 1)):
        middle = row + 0.5
        cut = (ys <= middle) != (next_ys <= middle)
        slope = (next_xs[cut] - xs[cut]) / (next_ys[cut] - ys[cut])
        crossings = np.sort(xs[cut] + (middle - ys[cut]) * slope)
        mask[row] = np.searchsorted(crossings, centres) % 2 == 1
    return mask


def _runs(segmentation: dict[str, Any], height: int, width: int, where: str) -> Mask:
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if size != [height, width]:
        raise InputError(f"{where}: its run lengths have the size {size}, and its image is [{height}, {width}].")
    runs: Any = _unpacked(counts) if isinstance(counts, str) else counts
    whole = isinstance(runs, list) and all(isinstance(run, int) and 0 <= run <= height * width for run in runs)
    if not whole or sum(runs) != height * width:
        raise InputError(f"{where}: its run lengths do not add up to the {height * width} pixels of its image.")
    values = np.arange(len(runs)) % 2 == 1
    # Runs go down the columns, first of background, then of the object, in turn.
    mask: Mask = np.repeat(values, runs).reshape(width, height).T
    return mask


def _unpacked(text: str) -> Sequence[int] | None:
    """Run lengths from COCO's text: six bits per character from `0` on, the sixth says that more follow.

    From the fourth run on each is stored as its difference to the run two before.
    """
    runs: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            if place >= len(text) or shift > 40:
                return None
            bits = ord(text[place]) - 48
            if not 0 <= bits < 64:
                return None
            value |= (bits & 31) << shift
            more = bool(bits & 32)
            place, shift = place + 1, shift + 5
            if not more and bits & 16:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs

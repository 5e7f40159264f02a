"""Outlines of masks as marks, in fractions of a picture's width and height. NumPy only: viewers draw them too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from contourpy import LineType, contour_generator

TOLERANCE = 0.25
"""Largest distance in pixels of a simplified outline from that of the mask."""
MOST_POINTS = 400
"""Largest number of points of an outline; longer ones are simplified further."""
MOST_MARKS = 120
"""Largest number of marks of one kind on a picture; the largest marks are kept."""

Stack = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
Mark = dict[str, Any]


def outlines(masks: Stack) -> list[Mark]:
    """The outlines of masks (S, H, W) as marks, holes included, largest first.

    An outline runs halfway between the pixels inside and outside (marching squares), so that a mask of one pixel has
    an outline too. It is then simplified to `TOLERANCE`.
    """
    found = []
    for part, mask in enumerate(masks):
        height, width = mask.shape
        traced = contour_generator(z=np.pad(mask, 1).astype(np.float64), line_type=LineType.Separate)
        for line in traced.lines(0.5):
            # Centres of pixels are at half steps, and the padding shifts by a whole step.
            points = simplified(np.asarray(line, dtype=np.float64) - 0.5)
            extent = float(np.prod(np.ptp(points, axis=0)))
            found.append((extent, mark_of(part, "contour", points / (width, height), None)))
    return largest(found)


def simplified(points: Points, tolerance: float = TOLERANCE, most: int = MOST_POINTS) -> Points:
    """A closed line with fewer points, at most `tolerance` from the given one.

    Douglas and Peucker, Cartographica 10 (1973) 112. If more than `most` points are left, the tolerance is doubled.

    Args:
        points: (N, 2), the last point equal to the first.
        tolerance: in the units of the points.
        most: largest number of points of the result.
    """
    while True:
        middle = int(np.linalg.norm(points - points[0], axis=1).argmax())
        kept = np.zeros(len(points), dtype=bool)
        kept[[0, middle, -1]] = True
        spans = [(0, middle), (middle, len(points) - 1)]
        while spans:
            start, end = spans.pop()
            distances = _distances(points[start + 1 : end], points[start], points[end])
            if distances.size and distances.max() > tolerance:
                split = start + 1 + int(distances.argmax())
                kept[split] = True
                spans += [(start, split), (split, end)]
        if kept.sum() <= most:
            return points[kept]
        tolerance *= 2


def _distances(points: Points, start: Points, end: Points) -> Points:
    """The distance of each point from the segment between two others."""
    along = end - start
    length = max(float(along @ along), 1e-12)
    place = np.clip((points - start) @ along / length, 0, 1)
    distances: Points = np.linalg.norm(points - start - place[:, None] * along, axis=1)
    return distances


def mark_of(part: int, kind: str, points: Points, score: float | None) -> Mark:
    """A shape as JSON: the number of its structure, its points in fractions of the picture, its confidence if any."""
    rounded = None if score is None else round(float(score), 4)
    return {"part": part, "kind": kind, "points": np.round(np.clip(points, 0, 1), 4).tolist(), "score": rounded}


def largest(found: Sequence[tuple[float, Mark]]) -> list[Mark]:
    """The largest marks of pairs of extent and mark, largest first."""
    return [mark for _, mark in sorted(found, key=lambda pair: -pair[0])[:MOST_MARKS]]

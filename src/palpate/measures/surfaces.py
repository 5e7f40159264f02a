"""Distances between the surfaces of two masks: the 95th percentile of Hausdorff's, and the surface Dice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Bools = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]


def surfaces(found: Bools, true: Bools, spacing: Sequence[float], tolerance: float) -> tuple[float, float]:
    """Hausdorff distance at 95 % and surface Dice of two masks that are not empty.

    With d(A, B) the distances from each surface pixel of A to the nearest one of B, and q their 95th percentile:

        hd95 = max(q(d(found, true)), q(d(true, found)))
        surface dice = (#{d(found, true) <= t} + #{d(true, found) <= t}) / (#surface(found) + #surface(true))

    The values are those of MONAI 1.6 (`compute_hausdorff_distance`, `compute_surface_dice`) to the last bit. Both
    figures come from one pair of surfaces and one pair of searches, and MONAI, which takes seconds to load, is not
    needed.

    Args:
        found: mask (H, W) or (D, H, W).
        true: mask of the same shape.
        spacing: length of a pixel along each axis.
        tolerance: t, in the unit of `spacing`.

    >>> square = np.pad(np.ones((2, 2), bool), 2)
    >>> surfaces(square, np.roll(square, 1, 0), (0.5, 0.5), 0.0)
    (0.5, 0.5)
    """
    # Coordinates are counted from a box around both masks with a margin of one pixel, as MONAI does: bits depend on it.
    box = _box(found | true)
    points = [_surface(mask[box]) * np.asarray(spacing) for mask in (found, true)]
    there, back = _nearest(points[0], points[1]), _nearest(points[1], points[0])
    far = max(float(torch.quantile(one, 0.95)) for one in (there, back))
    near = ((there <= tolerance).sum() + (back <= tolerance).sum()) / (len(there) + len(back))
    return far, float(near)


def _box(mask: Bools) -> tuple[slice, ...]:
    around = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        around.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(around)


def _surface(mask: Bools) -> Points:
    from scipy.ndimage import binary_erosion  # slow to import, and every plan imports this module

    return np.argwhere(mask & ~binary_erosion(mask)).astype(np.float64) + 1


def _nearest(these: Points, those: Points) -> Tensor:
    from scipy.spatial import KDTree

    # One question of all points at once: larger leaves are faster than the tree's default.
    return torch.from_numpy(KDTree(those, leafsize=32).query(these, k=1)[0]).float()

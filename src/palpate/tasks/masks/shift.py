"""Masks grown or shrunk by a number of voxels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def resized(mask: Tensor, free: Tensor, spacing: Tensor | None, voxels: Tensor, *, grow: bool) -> Tensor:
    """The voxels that a mask adds or removes to change by `voxels`: those nearest to its surface.

    Args:
        mask: (B, *spatial) bool.
        free: (B, *spatial) bool, the voxels that may change.
        spacing: (B, D) in mm, or None.
        voxels: (B,) how many change; fewer if there are not so many.
        grow: add voxels from outside; otherwise remove those inside.

    Returns:
        (B, *spatial) bool.
    """
    rows = []
    for index, one in enumerate(mask.cpu().numpy()):
        sampling = None if spacing is None else spacing[index].tolist()
        rows.append(_nearest(one, free[index].cpu().numpy(), sampling, int(voxels[index]), grow))
    return torch.from_numpy(np.stack(rows)).to(mask.device)


def _nearest(
    mask: NDArray[np.bool_], free: NDArray[np.bool_], sampling: list[float] | None, count: int, grow: bool
) -> NDArray[np.bool_]:
    chosen = np.zeros(mask.size, dtype=bool)
    if not mask.any() or mask.all():
        # Without a surface there is no distance to it: nothing to grow from, or all of it equally deep.
        chosen[: 0 if grow else count] = mask.any()
        return chosen.reshape(mask.shape)
    from scipy.ndimage import distance_transform_edt  # slow to import, and every plan imports this module

    distance = distance_transform_edt(~mask if grow else mask, sampling=sampling)
    places = np.flatnonzero((~mask if grow else mask) & free)
    chosen[places[np.argsort(distance.ravel()[places], kind="stable")[:count]]] = True
    return chosen.reshape(mask.shape)

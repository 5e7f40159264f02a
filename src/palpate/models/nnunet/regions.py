"""nnU-Net's decision for regions, as one logit per region."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_NEVER = -30.0


def region_logits(logits: Tensor, painted: Sequence[int], members: Sequence[Sequence[int]]) -> Tensor:
    """Logits (R, *spatial) that are above zero exactly where nnU-Net's mask is of the region.

    nnU-Net paints value c_k wherever output k is above zero, one after the other. A region holds some values, so with
    s for whether the voxel is in it so far,

        s <- max(s, l_k)   if the region holds c_k,        s <- min(s, -l_k)   if it does not.

    Args:
        logits: (R, *spatial), one per region.
        painted: value that each output paints, in order (`regions_class_order`).
        members: values that each region holds.
    """
    # A logit that is too small to move a sigmoid from one half does not paint.
    paints = torch.sigmoid(logits.detach()) > 0.5
    least = torch.finfo(logits.dtype).tiny
    towards = torch.where(paints, logits, logits.clamp(max=0))
    against = torch.where(paints, -logits, (-logits).clamp(min=least))
    found = []
    for values in members:
        score: Tensor | None = None
        for index, value in enumerate(painted):
            if value in values:
                score = towards[index] if score is None else torch.maximum(score, towards[index])
            elif score is not None:
                score = torch.minimum(score, against[index])
        found.append(torch.full_like(logits[0], _NEVER) if score is None else score)
    return torch.stack(found)

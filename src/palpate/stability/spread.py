"""How much the final changes differ, pixel by pixel: over independent starts, and over images."""

from __future__ import annotations

import torch
from torch import Tensor


def spread_starts(last: Tensor, draws: bool = True) -> Tensor:
    """Standard deviation over starts of the final change at each pixel (B, *spatial), in values.

    The mean over channels of the deviation of each channel (ddof = 1), so that channels never cancel. NaN with one
    start, for an attack that draws no random numbers, and for images that are not eligible.

    Args:
        last: final changes (starts, B, C, *spatial), as in `Trace.last`.
        draws: whether the starts differ (`Trace.draws`).
    """
    if len(last) < 2 or not draws:
        return torch.full_like(last[0, :, 0], torch.nan)
    return last.std(0, correction=1).mean(1)


def spread_images(last: Tensor) -> Tensor | None:
    """Standard deviation over images of the final change at each pixel (*spatial), in values.

    The mean over starts and channels of the deviations of each (ddof = 1). Images that are not eligible are left out;
    None if fewer than two are left.

    Args:
        last: final changes (starts, B, C, *spatial) of images of one shape, as in `Trace.last`.
    """
    there = ~last[0].flatten(1).isnan().any(1)
    if int(there.sum()) < 2:
        return None
    return last[:, there].std(1, correction=1).mean((0, 1))

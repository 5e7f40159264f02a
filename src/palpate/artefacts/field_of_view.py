"""Which part of an image shows something, if the rest of it is black: a sector of ultrasound, a round fundus."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Scene

_BLACK = 0.04
"""Share of the range up to which a value is black: compression leaves a little in what was 0."""


def field_of_view(image: Tensor, scene: Scene) -> Tensor:
    """1 inside, 0 outside, in between only in the outermost pixel of the inside: (1, height, width).

    A pixel is inside if there are lit pixels on both sides of it, along its row and along its column. So holes are
    filled, and convex fields keep their form.

    Args:
        image: (C, height, width).
        scene: its lowest value is black.
    """
    light = ((image - scene.bounds[0]) / scene.extent).amax(0)
    reach = max(1, min(light.shape) // 100)
    near = F.avg_pool2d(light[None], 2 * reach + 1, 1, reach, count_include_pad=False)[0]
    lit = ((light > _BLACK) & (near > _BLACK)).to(image)
    inside = torch.ones_like(lit)
    for axis in (0, 1):
        inside = inside * lit.cummax(axis).values * lit.flip(axis).cummax(axis).values.flip(axis)
    return inside[None] * F.avg_pool2d(inside[None], 3, 1, 1, count_include_pad=False)

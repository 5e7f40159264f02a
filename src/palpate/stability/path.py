"""The path of a change: its lengths, its angles, and its course in the plane of its first and last steps.

All figures follow from the inner products of the changes d_0 .. d_T. They are computed once, in float64, one part of
the image at a time: with s_t = d_t - d_{t-1}, <s_t, s_u> and <d_t, s_u> are differences of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_NUMBERS_AT_ONCE = 2**18
"""Float64 numbers held while inner products are computed: 2 MiB, which fits into a processor's cache."""
_STILL = 1e-12
"""Squared length of a step, as a share of the largest squared change; below it the step counts as rounding."""
_PARALLEL = 1e-6
"""Squared sine of the angle between first and last step; below it they count as one direction. A thousandth of a radian
is the effect of rounding a small step on a large value to float32."""


class Path(NamedTuple):
    """Per sample; `l2` to `plane_y` are (B, T + 1), in values or without unit, float64.

    Attributes:
        l2: |d_t|.
        cos_step: cosine of s_t and s_{t-1}; NaN for t < 2 and where a step has no length.
        cos_final: cosine of d_t and d_T; NaN where one of them has no length.
        plane_x: <d_t, a>, with a the unit vector of the first step that moves; NaN if none moves.
        plane_y: <d_t, b>, with b the unit vector of the part of the last moving step that is perpendicular to a; 0 if
            there is no such part (one step, parallel steps), so that the plane is a line; NaN if no step moves.
        plane_share: (B,), (plane_x^2 + plane_y^2) / |d_T|^2 at t = T; NaN if no step moves or d_T is zero.
    """

    l2: Tensor
    cos_step: Tensor
    cos_final: Tensor
    plane_x: Tensor
    plane_y: Tensor
    plane_share: Tensor


def products(images: Sequence[Tensor], clean: Tensor) -> tuple[Tensor, Tensor]:
    """Inner products <d_t, d_u> (B, T + 1, T + 1) and largest changes |d_t|_inf (B, T + 1), in float64.

    Args:
        images: x_0 .. x_T, each (B, C, *spatial).
        clean: x.
    """
    flat, origin = [image.flatten(1) for image in images], clean.flatten(1)
    count, size = origin.shape
    inner = torch.zeros(count, len(flat), len(flat), dtype=torch.float64, device=clean.device)
    largest = torch.zeros(count, len(flat), dtype=torch.float64, device=clean.device)
    part = max(1, _NUMBERS_AT_ONCE // max(1, count * len(flat)))
    for begin in range(0, size, part):
        cut = slice(begin, begin + part)
        changes = torch.stack([image[:, cut] for image in flat], 1).double() - origin[:, None, cut].double()
        inner.baddbmm_(changes, changes.mT)
        largest = torch.maximum(largest, torch.linalg.vector_norm(changes, torch.inf, dim=2))
    return inner, largest


def path(inner: Tensor) -> Path:
    """The path of changes with these inner products (B, T + 1, T + 1)."""
    squared = inner.diagonal(dim1=1, dim2=2)
    across = inner.diff(dim=2)  # <d_t, s_u>, u = 1 .. T
    steps = across.diff(dim=1)  # <s_t, s_u>
    lengths = steps.diagonal(dim1=1, dim2=2)
    moves = lengths > _STILL * squared.amax(1, keepdim=True)
    x, y = _coordinates(across, steps, moves)
    share = (x[:, -1].square() + y[:, -1].square()) / _positive(squared[:, -1])
    return Path(squared.sqrt(), _cos_step(steps, lengths, moves), _cos_final(inner, squared), x, y, share)


def _cos_step(steps: Tensor, lengths: Tensor, moves: Tensor) -> Tensor:
    undefined = torch.full_like(lengths[:, :1], torch.nan)
    both = moves[:, 1:] & moves[:, :-1]
    turned = steps.diagonal(offset=1, dim1=1, dim2=2) / (lengths[:, 1:] * lengths[:, :-1]).sqrt()
    return torch.cat([undefined, undefined, torch.where(both, turned.clamp(-1, 1), torch.nan)], 1)


def _cos_final(inner: Tensor, squared: Tensor) -> Tensor:
    return (inner[:, :, -1] / _positive(squared * squared[:, -1:]).sqrt()).clamp(-1, 1)


def _coordinates(across: Tensor, steps: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    """<d_t, a> and <d_t, b>, each (B, T + 1)."""
    samples, count = torch.arange(len(moves), device=moves.device), moves.shape[1]
    first = moves.int().argmax(1)
    last = count - 1 - moves.flip(1).int().argmax(1)
    some = moves.any(1)
    length = torch.where(some, steps[samples, first, first], torch.nan).sqrt()
    x = across[samples, :, first] / length[:, None]
    along = steps[samples, first, last] / length
    whole = steps[samples, last, last]
    rest = whole - along.square()
    y = across[samples, :, last] - along[:, None] * x
    plane = (rest > _PARALLEL * whole)[:, None]
    y = torch.where(plane, y / _positive(rest).sqrt()[:, None], torch.where(some[:, None], 0.0, torch.nan))
    return x, y


def _positive(values: Tensor) -> Tensor:
    """The values; NaN where they are not above zero."""
    return torch.where(values > 0, values, torch.nan)

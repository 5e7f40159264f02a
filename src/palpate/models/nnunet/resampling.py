"""nnU-Net's resampling, with its exact values and its gradient.

nnU-Net resamples with `skimage.transform.resize`, which is SciPy's `zoom` and a clip to the range of what went in. The
values here are those of the same call of SciPy. It is linear and separable, so that its gradient needs one small
matrix per axis: what SciPy makes of the columns of an identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from palpate.errors import InputError

Array = npt.NDArray[Any]
ANISOTROPIC = 3.0
"""Voxels longer than this, as a multiple of their shortest side, are resampled slice by slice."""
_HALF = 0.5


@dataclass(frozen=True)
class Resampling:
    """How images or logits are resampled.

    Attributes:
        order: of the splines in a plane, or in space.
        separate: along the longest axis slices are resampled one by one and then repeated (nearest): always, never,
            or, if None, where voxels are longer than three times their shortest side.
        how: `spline`, or `none` for a plan that never resamples.
    """

    order: int
    separate: bool | None = None
    how: Literal["spline", "none"] = "spline"

    @property
    def resamples(self) -> bool:
        """Whether it does anything."""
        return self.how != "none"

    def __call__(self, values: Tensor, size: Sequence[int], now: Sequence[float], then: Sequence[float]) -> Tensor:
        """Values (C, *spatial) of spacing `now` on a grid (C, *size) of spacing `then`, of the same type."""
        return _resampled(values, self._grid(values, size, now, then))

    def logits(self, values: Tensor, size: Sequence[int], now: Sequence[float], then: Sequence[float]) -> Tensor:
        """The same for logits that nnU-Net holds in half precision, here in float32: the result is rounded to half."""
        return _resampled(values, self._grid(values, size, now, then), np.float16)

    def labels(self, labels: Tensor, size: Sequence[int], now: Sequence[float], then: Sequence[float]) -> Tensor:
        """Labels (S, *spatial) as nnU-Net resamples them for its training: each value where it has half of a voxel."""
        found: Tensor | None = None
        for value in np.unique(labels.cpu().numpy()).tolist():
            share = self((labels == value).float(), size, now, then)
            found = torch.zeros_like(share, dtype=labels.dtype) if found is None else found
            found[share >= _HALF] = value
        assert found is not None
        return found

    def _grid(self, values: Tensor, size: Sequence[int], now: Sequence[float], then: Sequence[float]) -> _Grid | None:
        old, new = tuple(values.shape[1:]), tuple(int(n) for n in size)
        if old == new or self.how == "none":
            return None
        return _Grid(old, new, self.order, _apart(self.separate, now, then))


def resampled_size(size: Sequence[int], now: Sequence[float], then: Sequence[float]) -> tuple[int, ...]:
    """Voxels along each axis after resampling from one spacing to another.

    Raises:
        InputError: an axis would have no voxel.
    """
    # In nnU-Net's order, which decides how a half is rounded.
    new = tuple(round(a / b * n) for n, a, b in zip(size, now, then, strict=True))
    if min(new) < 1:
        raise InputError(
            f"model.nnunet: an image of {list(size)} voxels of {_mm(now)} mm has no voxel left at the {_mm(then)} mm "
            "of the plan. Check data.spacing."
        )
    return new


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{length:g}" for length in spacing)


def _apart(separate: bool | None, now: Sequence[float], then: Sequence[float]) -> int | None:
    """The axis whose slices are resampled one by one; None if there is none."""
    if separate is False:
        return None
    for spacing in (now,) if separate else (now, then):
        if separate or max(spacing) / min(spacing) > ANISOTROPIC:
            longest = [axis for axis, length in enumerate(spacing) if max(spacing) / length == 1]
            # Two long axes are the plane itself, as in 0.24 x 1.25 x 1.25.
            return longest[0] if len(longest) == 1 else None
    return None


@dataclass(frozen=True)
class _Grid:
    """From one size to another; slices along `axis` one by one."""

    old: tuple[int, ...]
    new: tuple[int, ...]
    order: int
    axis: int | None

    @property
    def pieces(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Sizes of what is resampled at once, before and after."""
        kept = [axis for axis in range(len(self.old)) if axis != self.axis]
        return tuple(self.old[axis] for axis in kept), tuple(self.new[axis] for axis in kept)

    def split(self, values: Array) -> Array:
        """One channel as pieces (P, *piece)."""
        return values[None] if self.axis is None else np.moveaxis(values, self.axis, 0)

    def joined(self, pieces: Array) -> Array:
        """The inverse of `split`."""
        return pieces[0] if self.axis is None else np.moveaxis(pieces, 0, self.axis)

    def nearest(self) -> Array | None:
        """For each slice of the result the slice that it repeats; None if slices stay."""
        if self.axis is None or self.old[self.axis] == self.new[self.axis]:
            return None
        return _nearest(self.old[self.axis], self.new[self.axis])


@lru_cache(maxsize=32)
def _nearest(old: int, new: int) -> Array:
    from scipy import ndimage

    places = old / new * (np.arange(new) + 0.5) - 0.5
    found: Array = ndimage.map_coordinates(np.arange(old, dtype=float), [places], order=0, mode="nearest")
    return found.astype(int)


def _zoomed(values: Array, size: Sequence[int], order: int) -> Array:
    """What `skimage.transform.resize` asks SciPy for."""
    from scipy import ndimage

    factors = [1 / factor for factor in np.divide(values.shape, size)]
    found: Array = ndimage.zoom(values, factors, order=order, mode="nearest", grid_mode=True)
    return found


@lru_cache(maxsize=32)
def _matrix(old: int, new: int, order: int) -> Tensor:
    """The same along one axis as a matrix (new, old)."""
    columns = [_zoomed(column, (new,), order) for column in np.eye(old)]
    return torch.from_numpy(np.stack(columns, axis=1))


def _resampled(values: Tensor, grid: _Grid | None, rounded: Any = None) -> Tensor:
    if grid is None:
        return values
    found: Tensor = _Resampled.apply(values, grid, rounded)  # type: ignore[no-untyped-call]
    return found


class _Resampled(torch.autograd.Function):
    """Each channel by SciPy, clipped to its own range, or, where slices are apart, to that of each slice."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: _Grid, rounded: Any) -> Tensor:
        held = values.detach().cpu().numpy()
        channels, ctx.clips = [], []
        for channel in held:
            pieces = grid.split(channel.astype(float))
            made = np.stack([_zoomed(piece, grid.pieces[1], grid.order) for piece in pieces])
            flat = pieces.reshape(len(pieces), -1)
            low, high = (edge.reshape(-1, *[1] * (made.ndim - 1)) for edge in (flat.min(1), flat.max(1)))
            if values.requires_grad:
                ctx.clips.append((made < low, made > high, flat.argmin(1), flat.argmax(1)))
            np.clip(made, low, high, out=made)
            nearest = grid.nearest()
            channels.append(grid.joined(made if nearest is None else made[nearest]))
        ctx.grid = grid
        result = np.stack(channels).astype(held.dtype if rounded is None else rounded)
        return torch.from_numpy(np.ascontiguousarray(result.astype(held.dtype, copy=False))).to(values.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        found = [_pulled_back(ctx.grid, one, clips) for one, clips in zip(slope.cpu().numpy(), ctx.clips, strict=True)]
        return torch.stack(found).to(slope), None, None


def _pulled_back(grid: _Grid, slope: Array, clips: tuple[Array, Array, Array, Array]) -> Tensor:
    """The gradient of one channel: through the splines, and through the extremes where values were clipped."""
    below, above, lowest, highest = clips
    pieces = grid.split(slope.astype(float))
    if (nearest := grid.nearest()) is not None:
        gathered = np.zeros((len(below), *pieces.shape[1:]))
        np.add.at(gathered, nearest, pieces)
        pieces = gathered
    found = torch.from_numpy(np.where(below | above, 0, pieces))
    for axis, (old, new) in enumerate(zip(*grid.pieces, strict=True), start=1):
        found = torch.tensordot(found, _matrix(old, new, grid.order), dims=([axis], [0])).movedim(-1, axis)
    flat = found.reshape(len(found), -1)
    for clipped, extreme in ((below, lowest), (above, highest)):
        total = np.where(clipped, pieces, 0).reshape(len(flat), -1).sum(1)
        flat[torch.arange(len(flat)), torch.from_numpy(extreme)] += torch.from_numpy(total)
    return torch.from_numpy(np.ascontiguousarray(grid.joined(flat.reshape(found.shape).numpy())))

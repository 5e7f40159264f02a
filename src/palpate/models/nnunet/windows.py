"""nnU-Net's sliding windows and mirrors, in its own arithmetic, and their gradient with bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from palpate.allocator import trim_freed_memory
from palpate.errors import InputError

Network = Callable[[Tensor], Tensor]
Place = tuple[slice | int, ...]
KEPT = 2**28
"""If the graphs of all passes have at most so many bytes, they are kept for the gradient. Otherwise each pass is
computed once more: part of the graphs would take memory and save little time."""
ROOM = "PALPATE_GRAPHS"
"""Environment variable with another limit, in GiB, for machines with much memory."""
STEP = 0.5
"""How far apart windows are, as a share of a patch, unless a plan says otherwise."""
_SIGMA, _PEAK = 1 / 8, 10.0


@dataclass(frozen=True)
class Windows:
    """Windows half a patch apart, mirrored, weighted by a Gaussian, and averaged over folds.

        out = mean_f sum_k w(v - o_k) m_k(v - o_k) / sum_k w(v - o_k),   m_k = mean_a F_a f(F_a x_k)

    Sums are kept in half precision, as nnU-Net keeps them: that decides where two classes are close. The gradient is
    that of the formula without this rounding. A patch of two axes slides over the slices of a volume.

    Attributes:
        patch: size of a window in voxels.
        mirrors: axes of the patch that are mirrored, in all combinations.
    """

    patch: tuple[int, ...]
    mirrors: tuple[int, ...] = ()

    def __call__(self, data: Tensor, networks: Sequence[Network]) -> Tensor:
        """Logits (K, *spatial) of an image (C, *spatial), float32 numbers that fit in half precision.

        Raises:
            InputError: logits exceed half precision, where nnU-Net stops too.
        """
        margins = self.margins(data.shape[1:])
        logits: Tensor = _Blended.apply(padded(data, margins), self, tuple(networks))  # type: ignore[no-untyped-call]
        for axis, ((before, _), length) in enumerate(zip(margins, data.shape[1:], strict=True), start=1):
            logits = logits.narrow(axis, before, length)
        return logits

    def first(self, data: Tensor) -> Tensor:
        """The first window (1, C, *patch) of an image (C, *spatial)."""
        whole = padded(data, self.margins(data.shape[1:]))
        return _cut(whole, next(self.places(whole.shape[1:])))

    def places(self, size: Sequence[int]) -> Iterator[Place]:
        """Where windows lie in an image that is at least as large as the patch, in nnU-Net's order."""
        flat = len(size) - len(self.patch)
        starts: list[list[Place]] = [[(index,) for index in range(size[0])]] if flat else []
        for length, window in zip(size[flat:], self.patch, strict=True):
            count = math.ceil((length - window) / (window * self.apart)) + 1
            step = (length - window) / (count - 1) if count > 1 else 0.0
            firsts = [int(np.round(step * index)) for index in range(count)]
            starts.append([(slice(first, first + window),) for first in firsts])
        found: list[Place] = [()]
        for axis in starts:
            found = [(*place, *one) for place in found for one in axis]
        return iter(found)

    @property
    def apart(self) -> float:
        """How far apart windows are at most, as a share of a patch."""
        return STEP

    @property
    def flips(self) -> list[list[int]]:
        """Axes of a window (1, C, *patch) that each pass mirrors, none first."""
        axes = [axis + 2 for axis in self.mirrors]
        return [list(some) for count in range(len(axes) + 1) for some in combinations(axes, count)]

    def margins(self, size: Sequence[int]) -> list[tuple[int, int]]:
        """What an image lacks of a patch before and behind, along each axis."""
        flat = len(size) - len(self.patch)
        missing = [0] * flat + [max(w - n, 0) for n, w in zip(size[flat:], self.patch, strict=True)]
        return [(gap // 2, gap - gap // 2) for gap in missing]


@dataclass(frozen=True)
class SteppedWindows(Windows):
    """Windows another share of a patch apart than half; a type of its own, so that stored identities of `Windows` stay.

    Attributes:
        step: this share, above 0 and up to 1.
    """

    step: float = STEP

    @property
    def apart(self) -> float:
        """How far apart windows are at most, as a share of a patch."""
        return self.step


@lru_cache(maxsize=4)
def _weights(patch: tuple[int, ...]) -> Tensor:
    """The Gaussian of one window in half precision, nowhere zero."""
    from scipy.ndimage import gaussian_filter

    centre = np.zeros(patch)
    centre[tuple(n // 2 for n in patch)] = 1
    blurred = gaussian_filter(centre, [n * _SIGMA for n in patch], 0, mode="constant", cval=0)
    weights = torch.from_numpy(blurred / (blurred.max() / _PEAK)).half()
    weights[weights == 0] = weights[weights > 0].min()
    return weights


def padded(data: Tensor, margins: Sequence[tuple[int, int]]) -> Tensor:
    """Data (..., *spatial) with zeros around them."""
    if not any(map(any, margins)):
        return data
    return F.pad(data, [width for pair in reversed(margins) for width in pair])


def _cut(data: Tensor, place: Place) -> Tensor:
    return data[(slice(None), *place)][None].clone(memory_format=torch.contiguous_format)


@dataclass
class _Kept:
    """Graphs of passes, if those of all fit in memory: `left` bytes for `passes` that are still to come."""

    left: float
    passes: int
    graphs: dict[int, tuple[Tensor, Tensor]]

    def passed(self, number: int, network: Network, window: Tensor) -> Tensor:
        """A pass whose graph is kept if it and those to come fit."""
        if self.left <= 0:
            return network(window)
        own = {weight.data_ptr() for weight in network.parameters()} if isinstance(network, nn.Module) else set()
        held: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in own:
                held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            place = window.requires_grad_()
            outputs = network(place)
        size = sum(held.values())
        fits = size * self.passes <= self.left
        self.left, self.passes = self.left - size if fits else 0, self.passes - 1
        if fits and outputs.requires_grad:
            self.graphs[number] = (place, outputs)
        return outputs.detach()


def _room() -> float:
    """Bytes that graphs may take."""
    given = os.environ.get(ROOM)
    if given is None:
        return KEPT
    try:
        room = float(given)
    except ValueError:
        room = math.nan
    if not 0 <= room < math.inf:
        raise InputError(f"{ROOM}: {given!r} is not a number of GiB. Write for example {ROOM}=8, or unset it.")
    return room * 2**30


class _Blended(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, data: Tensor, windows: Windows, networks: tuple[Network, ...]) -> Tensor:
        kind = data.device.type
        ctx.autocast = (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind) or kind == "cuda")
        ctx.windows, ctx.networks = windows, networks
        ctx.save_for_backward(data)
        places, flips = list(windows.places(data.shape[1:])), windows.flips
        ctx.kept = _Kept(_room() if ctx.needs_input_grad[0] else 0, len(networks) * len(places) * len(flips), {})
        total = None
        for fold, network in enumerate(networks):
            passes = fold * len(places) * len(flips)
            logits = _fold(ctx, data, network, places, passes)
            total = logits if total is None else total.add_(logits)
        assert total is not None
        if len(networks) > 1:
            total /= len(networks)
        return total.to(data.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        (data,) = ctx.saved_tensors
        weights = _weights(ctx.windows.patch).to(data.device)
        places, flips = list(ctx.windows.places(data.shape[1:])), ctx.windows.flips
        share = slope / _total(weights, places, data.shape[1:]).to(slope) / (len(ctx.networks) * len(flips))
        gradient = torch.zeros_like(data)
        number = 0
        for network in ctx.networks:
            for place in places:
                part = share[(slice(None), *place)][None] * weights
                used = bool(part.any())
                for axes in flips:
                    if used:
                        found = _pulled_back(ctx, number, network, data, place, axes, part)
                        gradient[(slice(None), *place)] += found[0]
                    number += 1
                trim_freed_memory()
        return gradient, None, None


def _fold(ctx: Any, data: Tensor, network: Network, places: Sequence[Place], number: int) -> Tensor:
    """The logits (K, *spatial) of one fold, in half precision."""
    kind, dtype, enabled = ctx.autocast
    weights = _weights(ctx.windows.patch).to(data.device)
    total = torch.zeros(data.shape[1:], dtype=torch.half, device=data.device)
    logits = None
    for place in places:
        votes = None
        for axes in ctx.windows.flips:
            window = _cut(data, place)
            with torch.autocast(kind, dtype=dtype, enabled=enabled):
                found = ctx.kept.passed(number, network, window.flip(axes) if axes else window).flip(axes)
            number += 1
            votes = found.clone() if votes is None else votes.add_(found)
        assert votes is not None
        votes = votes.div_(len(ctx.windows.flips)) if ctx.windows.mirrors else votes
        if logits is None:
            logits = torch.zeros((votes.shape[1], *data.shape[1:]), dtype=torch.half, device=data.device)
        logits[(slice(None), *place)] += votes[0].mul_(weights)
        total[place] += weights
    assert logits is not None
    logits.div_(total)
    if bool(logits.isinf().any()):
        raise InputError("model.nnunet: its logits exceed half precision, where nnU-Net stops too. Check its weights.")
    return logits


def _total(weights: Tensor, places: Sequence[Place], size: Sequence[int]) -> Tensor:
    total = torch.zeros(*size, dtype=torch.half, device=weights.device)
    for place in places:
        total[place] += weights
    return total


def _pulled_back(
    ctx: Any, number: int, network: Network, data: Tensor, place: Place, axes: list[int], slope: Tensor
) -> Tensor:
    """J^T slope of one pass; its graph is freed on return."""
    kind, dtype, enabled = ctx.autocast
    kept = ctx.kept.graphs.pop(number, None)
    if kept is None:
        batch = _cut(data, place).flip(axes).requires_grad_()
        with torch.enable_grad(), torch.autocast(kind, dtype=dtype, enabled=enabled):
            kept = batch, network(batch)
    batch, outputs = kept
    # Slopes of a large image are too small for half precision, in which a GPU computes.
    size = slope.abs().amax()
    with torch.enable_grad():
        # A slope as an argument would make torch import SymPy, which takes a second.
        total = (outputs * (slope.flip(axes) / size).to(outputs.dtype)).sum()
    (found,) = torch.autograd.grad(total, batch)
    gradient: Tensor = found.flip(axes) * size
    return gradient

"""The state of a search with squares in L2 and L1: windows with a hill and a valley, whose lengths are exchanged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from palpate.attacks.black_box.squares import Squares, box_around, boxes
from palpate.contracts import Neighbourhood
from palpate.tensors import spread

_TILES = 5
"""Squares of the first image along each axis."""
_LEAST = 3
"""Smallest side of a window."""
_TINY = 1e-12


class Windows(Squares):
    """The samples that are still tried in a norm (sum |x|^p)^(1/p); every change has the radius, before the box."""

    power: float
    """p: 2 or 1."""

    def reach(self) -> tuple[Tensor, Tensor]:
        """First corner and extent (B, axes) of the smallest box around what the model sees."""
        self.seen = seen_values(self.space)
        return box_around(self.seen.any(1))

    def first(self) -> Tensor:
        """A grid of hills and valleys in the reach, one sign per channel and one direction for each."""
        clean = self.space.clean
        axes, channels = clean.ndim - 2, clean.shape[1]
        draws = self.streams.uniform((channels + 1, _TILES**axes), clean)
        side = (self.extent // _TILES).clamp(min=1)
        count = self.extent.clamp(max=_TILES)
        start = self.low + (self.extent - count * side) // 2
        inside = boxes(start, count * side, clean)
        places, tile = [], torch.zeros_like(inside, dtype=torch.long)
        for axis, place in enumerate(_places(start, clean)):
            length = side[:, axis].reshape(-1, *[1] * (clean.ndim - 1))
            places.append(place.remainder(length))
            tile = tile * _TILES + (place // length).clamp(0, _TILES - 1)
        drawn = draws.flatten(2).gather(2, tile.flatten(2).expand(-1, channels + 1, -1))
        drawn = drawn.reshape(len(clean), channels + 1, *clean.shape[2:])
        cut = (drawn[:, -1:] * axes).long()
        hills = hills_and_valleys(places, inside, side, cut, count.prod(1), self.power)
        return self._of_full_length(hills.to(clean) * self._plus_minus(drawn[:, :-1]))

    def squares(self, share: float) -> Tensor:
        """The change with one window renewed and another emptied; both have the same sides."""
        clean, axes = self.space.clean, self.space.clean.ndim - 2
        draws = self.streams.uniform((2 * axes + 1 + clean.shape[1],), clean)
        side = self._side(share)
        free = self.extent - side + 1
        corners = [
            self.low + torch.minimum((draws[:, place * axes : (place + 1) * axes] * free).long(), free - 1)
            for place in (0, 1)
        ]
        here, there = (boxes(corner, side, clean) for corner in corners)
        cut = (draws[:, 2 * axes] * axes).long().reshape(-1, *[1] * (clean.ndim - 1))
        signs = self._plus_minus(draws[:, 2 * axes + 1 :].reshape(len(clean), -1, *[1] * axes))
        hills = hills_and_valleys(_places(corners[0], clean), here, side, cut, torch.ones_like(side[:, 0]), self.power)
        kept = self.change * here
        written = (hills.to(clean) * signs + kept / (self._length(kept) + _TINY)) * self.seen
        room = self._spare() / clean.shape[1] + self._length(self.change * (here | there)).pow(self.power)
        written = written / (self._length(written) + _TINY) * room.pow(1 / self.power)
        return self._of_full_length(torch.where(here, written, torch.where(there, 0.0, self.change)))

    def keep(self, going: Tensor) -> None:
        """Go on with these positions of the samples."""
        super().keep(going)
        self.seen = self.seen[going]

    def _side(self, share: float) -> Tensor:
        """Sides (B, axes) of the windows: odd and at least 3, where the reach has room."""
        axes = self.extent.shape[1]
        side = (share * self.extent.double().prod(1)).pow(1 / axes).round().long().clamp(min=_LEAST)
        return torch.minimum((side + (side % 2 == 0))[:, None], self.extent)

    def _spare(self) -> Tensor:
        """What is left of radius^p (B, 1, ...); the box cuts changes off."""
        used = self.change.flatten(1).abs().pow(self.power).sum(1)
        return spread((self.space.radius.pow(self.power) - used).clamp(min=0), self.change)

    def _of_full_length(self, change: Tensor) -> Tensor:
        """The change of what is seen, scaled to the radius and cut by the box."""
        change = change * self.seen
        length = change.flatten(1).norm(self.power, dim=1).clamp(min=_TINY)
        change = change * spread(self.space.radius / length, change)
        return (self.space.clean + change).clamp(self.space.low, self.space.high) - self.space.clean

    def _plus_minus(self, draws: Tensor) -> Tensor:
        signs = torch.where(draws < 0.5, -1.0, 1.0).to(draws)
        return signs[:, :1].expand_as(signs) if self.tied else signs

    def _length(self, change: Tensor) -> Tensor:
        """Length of each channel (B, C, 1, ...)."""
        axes = tuple(range(2, change.ndim))
        return change.abs().pow(self.power).sum(axes, keepdim=True).pow(1 / self.power)


class SquaresL2(Windows):
    """Windows in L2."""

    power = 2.0


class SquaresL1(Windows):
    """Windows in L1."""

    power = 1.0


def seen_values(space: Neighbourhood) -> Tensor:
    """Which values of an iterate change what the model sees (B, C, *spatial) bool: all of a ball, those of a region."""
    iterates = space.clean.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(space.to_image(iterates).sum(), iterates)
    return gradient != 0


def hills_and_valleys(
    places: Sequence[Tensor], inside: Tensor, side: Tensor, cut: Tensor, windows: Tensor, power: float = 2.0
) -> Tensor:
    """A hill in one half of each window and a valley in the other (B, 1, *spatial) float64, of length 1 per window.

    A half of size n1 x n2 has its centre at (n1 // 2, n2 // 2). At distance r from it, counted along the axis where it
    is largest, the height is 1/(r+1)^2 + ... + 1/M^2, with M one more than half of the longest side. Each half is
    scaled to the same length. (If windows are not cubes and are cut along different axes, 1 is their mean length^p.)

    Args:
        places: position within its window along each axis, broadcastable to (B, 1, *spatial).
        inside: which values are in a window (B, 1, *spatial).
        side: sides of the windows (B, axes).
        cut: the axis along which each window is cut into halves, broadcastable to (B, 1, *spatial).
        windows: how many windows of a sample are summed over (B,).
        power: p of the norm that measures the length.
    """
    distance, most = torch.zeros_like(inside, dtype=torch.long), torch.zeros_like(inside, dtype=torch.long)
    valley = torch.zeros_like(inside)
    for axis, place in enumerate(places):
        whole = side[:, axis].reshape(-1, *[1] * (inside.ndim - 1))
        half, is_cut = whole // 2, cut == axis
        second = is_cut & (place >= half)
        size = torch.where(is_cut, torch.where(second, whole - half, half), whole)
        centre = size // 2 + torch.where(second, half, 0)
        distance = torch.maximum(distance, (place - centre).abs())
        most = torch.maximum(most, size // 2 + 1)
        valley = valley | second
    sums = (1 / torch.arange(1, int(most.max()) + 1, dtype=torch.float64, device=inside.device).square()).cumsum(0)
    sums = torch.cat([sums.new_zeros(1), sums])
    height = (sums[most] - sums[torch.minimum(distance, most)]) * inside
    found = torch.zeros_like(height)
    for half_mask, sign in ((~valley, 1.0), (valley, -1.0)):
        part = height * half_mask
        found = found + sign * part / (part.flatten(1).norm(power, dim=1) + _TINY).reshape(-1, *[1] * (part.ndim - 1))
    length = found.flatten(1).norm(power, dim=1) + _TINY
    return found / spread(length / windows.double().pow(1 / power), found)


def _places(corner: Tensor, like: Tensor) -> list[Tensor]:
    """Position of every value relative to a corner (B, axes), one tensor per axis, (B, 1, ..., extent, ..., 1)."""
    found = []
    for axis in range(corner.shape[1]):
        place = torch.arange(like.shape[axis + 2], device=like.device) - corner[:, axis : axis + 1]
        shape = [-1 if other == axis else 1 for other in range(corner.shape[1])]
        found.append(place.reshape(len(like), 1, *shape))
    return found

"""Random squares for models without gradient: a search that sees only outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.search import Search
from palpate.contracts import Neighbourhood, Threat
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tensors import spread, take

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries of 10000 after which the squares cover half of what they covered; other budgets are scaled to it."""


@dataclass(frozen=True)
class Square(Search):
    """Random search over squares (cubes in 3D) at the faces of an L-inf ball; it needs only outputs, no gradient.

    Every change is +radius or -radius at every value. The first image has stripes of random sign. Each query then
    writes one sign per channel into one square at a random place, and keeps it if the margin falls, or if the margin
    stays and the soft score falls: the margin of masks and boxes has wide plateaus.

    The squares cover the share p of the image, p = p_init / 2^k after k of the paper's halving points (10, 50, 200,
    500, 1000, 2000, 4000, 6000, 8000 of 10000 queries, scaled to `queries`). If a threat allows changes in only a part
    of the image, squares are in the smallest box around that part, and p is a share of the box.

    Differs from the published code: squares reach the last row and column; a square that would change nothing has
    its signs flipped instead of drawn again; ties go to the soft score.

    Reference: Andriushchenko, Croce, Flammarion, Hein, Square Attack, ECCV 2020 (arXiv:1912.00049).

    Attributes:
        threat: an L-inf ball, or one confined to regions, lattices or tied channels.
        queries: images that are tried per sample; a sample that is beaten is not tried again.
        p_init: share of the image that the first squares cover.
        run_to_end: let every sample spend all queries; the image of smallest margin is returned.

    Raises:
        InputError: fewer than one query, or a share outside (0, 1].
    """

    threat: Threat
    queries: int = 1000
    p_init: float = 0.8
    run_to_end: bool = False

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise InputError(f"queries: {self.queries} must be at least 1.")
        if not 0 < self.p_init <= 1:
            raise InputError(f"p_init: {self.p_init:g} must be above 0 and at most 1.")

    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Try stripes, then squares, until the queries are spent or every sample is beaten."""
        rows = best_so_far.open_rows()
        if len(rows):
            _Squares(self, best_so_far, rows, streams.take(rows)).run()

    def share(self, query: int) -> float:
        """Share of the image that the square of this query covers; queries count from 0, the stripes are the first."""
        scaled = query * 10_000 // self.queries
        return self.p_init / 2.0 ** sum(scaled > point for point in _HALVINGS)


class _Squares:
    """The state of the samples that are still tried: the change (B, C, *spatial) of each, its margin and soft score."""

    def __init__(self, square: Square, best_so_far: BestSoFar, rows: Tensor, streams: Streams):
        self.square, self.best_so_far, self.rows, self.streams = square, best_so_far, rows, streams
        self.space: Neighbourhood = best_so_far.space.take(rows)
        self.targets = best_so_far.task.take(best_so_far.targets, rows)
        self.tied = bool(getattr(square.threat, "tied", False))
        self.low, self.extent = _reach(self.space)
        # What was found before (an image given as a start) is replaced only by something better.
        self.change = best_so_far.best[rows] - self.space.clean
        self.margin = best_so_far.best_margin[rows].clone()
        self.soft = torch.full_like(self.margin, float("inf"))

    def run(self) -> None:
        """Try images until the queries are spent or every sample is beaten."""
        self._try(self._stripes(), 1, first=True)
        for query in range(1, self.square.queries):
            if not self._drop_beaten():
                return
            self._try(self._squares(self.square.share(query)), query + 1)
        self.best_so_far.settle(self.rows)

    def _try(self, change: Tensor, step: int, first: bool = False) -> None:
        victim, task = self.best_so_far.victim, self.best_so_far.task
        images = self.space.to_image(self.space.project(self.space.clean + change))
        outputs = victim.judge(images)
        margin, soft = task.margin(outputs, self.targets), task.soft_score(outputs, self.targets)
        self.best_so_far.note(self.rows, images, outputs, margin, step, judged=True)
        self.best_so_far.spend(self.rows, 1, 0)
        better = (margin < self.margin) | ((margin == self.margin) & (soft < self.soft))
        if first:
            # The stripes always replace the unchanged image; a square replaces the stripes if it is not worse.
            better |= ~self.change.flatten(1).any(1) & torch.isfinite(margin)
        self.change = torch.where(spread(better, change).bool(), change, self.change)
        self.margin, self.soft = torch.where(better, margin, self.margin), torch.where(better, soft, self.soft)

    def _stripes(self) -> Tensor:
        """One sign for every channel and place along the last axis."""
        clean = self.space.clean
        shape = (clean.shape[1], *[1] * (clean.ndim - 3), clean.shape[-1])
        return self._signs(self.streams.uniform(shape, clean)).expand_as(clean)

    def _squares(self, share: float) -> Tensor:
        """The change with one square in it at a random place of the reach, one sign per channel."""
        clean, axes = self.space.clean, self.space.clean.ndim - 2
        draws = self.streams.uniform((axes + clean.shape[1],), clean)
        side = (share * self.extent.double().prod(1)).pow(1 / axes).round().long().clamp(min=1)
        side = torch.minimum(side[:, None], self.extent)
        free = self.extent - side + 1
        corner = self.low + torch.minimum((draws[:, :axes] * free).long(), free - 1)
        inside = _boxes(corner, side, clean)
        signs = self._signs(draws[:, axes:].reshape(len(clean), -1, *[1] * axes))
        written = torch.where(inside, signs, self.change)
        # A square with the signs that are there already would waste its query.
        idle = (written == self.change).flatten(1).all(1)
        return torch.where(inside & spread(idle, inside).bool(), -signs, written)

    def _signs(self, draws: Tensor) -> Tensor:
        """Plus or minus the radius from uniform numbers (B, C, ...); one sign for all channels if they are tied."""
        signs = torch.where(draws < 0.5, -1.0, 1.0).to(draws)
        return (signs[:, :1].expand_as(signs) if self.tied else signs) * spread(self.space.radius, draws)

    def _drop_beaten(self) -> bool:
        if self.square.run_to_end:
            return True
        going = self.best_so_far.settle(self.rows)
        if len(going) == len(self.rows):
            return True
        state = (self.rows, self.change, self.margin, self.soft, self.low, self.extent)
        self.rows, self.change, self.margin, self.soft, self.low, self.extent = take(state, going)
        self.space, self.streams = self.space.take(going), self.streams.take(going)
        self.targets = self.best_so_far.task.take(self.targets, going)
        return len(going) > 0


def _reach(space: Neighbourhood) -> tuple[Tensor, Tensor]:
    """First corner and extent (B, axes) of the smallest box that contains all that the threat lets change."""
    clean, wide = space.clean, spread(space.radius, space.clean)
    up, down = (space.to_image(space.project(clean + far)) for far in (wide, -wide))
    free = ((up != clean) | (down != clean)).any(1)
    lows, extents = [], []
    for axis in range(1, free.ndim):
        size = free.shape[axis]
        along = free.movedim(axis, 1).reshape(len(free), size, -1).any(2)
        first, last = along.int().argmax(1), size - 1 - along.flip(1).int().argmax(1)
        none = ~along.any(1)
        lows.append(torch.where(none, 0, first))
        extents.append(torch.where(none, size, last - first + 1))
    return torch.stack(lows, 1), torch.stack(extents, 1)


def _boxes(corner: Tensor, side: Tensor, like: Tensor) -> Tensor:
    """Boxes of the given first corners and sides (B, axes) as a mask (B, 1, *spatial)."""
    inside = torch.ones(len(like), *[1] * (like.ndim - 1), dtype=torch.bool, device=like.device)
    for axis in range(corner.shape[1]):
        places = torch.arange(like.shape[axis + 2], device=like.device)
        within = (places >= corner[:, axis : axis + 1]) & (places < (corner + side)[:, axis : axis + 1])
        inside = inside & within.reshape(
            len(like), 1, *[-1 if other == axis else 1 for other in range(corner.shape[1])]
        )
    return inside

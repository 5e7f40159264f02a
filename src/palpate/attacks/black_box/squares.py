"""The state of a search with squares in L-inf: the change of each sample, and what one query tries."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from palpate.attacks.best_so_far import BestSoFar
from palpate.contracts import Neighbourhood
from palpate.streams import Streams
from palpate.tensors import spread, take


class Squares:
    """The samples that are still tried in L-inf: the change (B, C, *spatial) of each, its margin and soft score.

    Args:
        share: share of the image that the square of a query covers.
        queries: images that are tried per sample.
        best_so_far: what was found until now.
        rows: the samples to try.
        streams: their random numbers.
        run_to_end: whether beaten samples continue.
        tied: one change for all channels.
    """

    def __init__(
        self,
        share: Callable[[int], float],
        queries: int,
        best_so_far: BestSoFar,
        rows: Tensor,
        streams: Streams,
        run_to_end: bool = False,
        tied: bool = False,
    ):
        self.share, self.queries, self.run_to_end, self.tied = share, queries, run_to_end, tied
        self.best_so_far, self.rows, self.streams = best_so_far, rows, streams
        self.space: Neighbourhood = best_so_far.space.take(rows)
        self.targets = best_so_far.task.take(best_so_far.targets, rows)
        self.low, self.extent = self.reach()
        # What was found before (an image given as a start) is replaced only by something better.
        self.change = best_so_far.best[rows] - self.space.clean
        self.margin = best_so_far.best_margin[rows].clone()
        self.soft = torch.full_like(self.margin, float("inf"))

    def run(self) -> None:
        """Try images until the queries are spent or every sample is beaten."""
        self._try(self.first(), 1, first=True)
        for query in range(1, self.queries):
            if not self._drop_finished():
                return
            self._try(self.squares(self.share(query)), query + 1)
        self.best_so_far.settle(self.rows)

    def _try(self, change: Tensor, step: int, first: bool = False) -> None:
        task = self.best_so_far.task
        images = self.space.to_image(self.space.project(self.space.clean + change))
        outputs = self.best_so_far.ask(self.rows, images)
        margin, soft = task.margin(outputs, self.targets), task.soft_score(outputs, self.targets)
        self.best_so_far.note(self.rows, images, outputs, margin, step, judged=True)
        self.best_so_far.spend(self.rows, 1, 0)
        better = (margin < self.margin) | ((margin == self.margin) & (soft < self.soft))
        if first:
            # The stripes always replace the unchanged image; a square replaces the stripes if it is not worse.
            better |= ~self.change.flatten(1).any(1) & torch.isfinite(margin)
        self.change = torch.where(spread(better, change).bool(), change, self.change)
        self.margin, self.soft = torch.where(better, margin, self.margin), torch.where(better, soft, self.soft)

    def first(self) -> Tensor:
        """One sign for every channel and place along the last axis."""
        clean = self.space.clean
        shape = (clean.shape[1], *[1] * (clean.ndim - 3), clean.shape[-1])
        return self._signs(self.streams.uniform(shape, clean)).expand_as(clean)

    def squares(self, share: float) -> Tensor:
        """The change with one square in it at a random place of the reach, one sign per channel."""
        clean, axes = self.space.clean, self.space.clean.ndim - 2
        draws = self.streams.uniform((axes + clean.shape[1],), clean)
        side = (share * self.extent.double().prod(1)).pow(1 / axes).round().long().clamp(min=1)
        side = torch.minimum(side[:, None], self.extent)
        free = self.extent - side + 1
        corner = self.low + torch.minimum((draws[:, :axes] * free).long(), free - 1)
        inside = boxes(corner, side, clean)
        signs = self._signs(draws[:, axes:].reshape(len(clean), -1, *[1] * axes))
        written = torch.where(inside, signs, self.change)
        # A square with the signs that are there already would waste its query.
        idle = (written == self.change).flatten(1).all(1)
        return torch.where(inside & spread(idle, inside).bool(), -signs, written)

    def _signs(self, draws: Tensor) -> Tensor:
        """Plus or minus the radius from uniform numbers (B, C, ...); one sign for all channels if they are tied."""
        signs = torch.where(draws < 0.5, -1.0, 1.0).to(draws)
        return (signs[:, :1].expand_as(signs) if self.tied else signs) * spread(self.space.radius, draws)

    def reach(self) -> tuple[Tensor, Tensor]:
        """First corner and extent (B, axes) of the smallest box that contains all that the threat lets change."""
        clean, wide = self.space.clean, spread(self.space.radius, self.space.clean)
        up, down = (self.space.to_image(self.space.project(clean + far)) for far in (wide, -wide))
        return box_around(((up != clean) | (down != clean)).any(1))

    def _drop_finished(self) -> bool:
        """Leave out what is beaten, unless it continues, and what has no queries left; whether any sample is left."""
        going = torch.arange(len(self.rows), device=self.rows.device)
        if not self.run_to_end:
            going = self.best_so_far.settle(self.rows)
        going = going[self.best_so_far.affordable(self.rows[going])]
        if len(going) == len(self.rows):
            return True
        self.keep(going)
        return len(going) > 0

    def keep(self, going: Tensor) -> None:
        """Go on with these positions of the samples."""
        state = (self.rows, self.change, self.margin, self.soft, self.low, self.extent)
        self.rows, self.change, self.margin, self.soft, self.low, self.extent = take(state, going)
        self.space, self.streams = self.space.take(going), self.streams.take(going)
        self.targets = self.best_so_far.task.take(self.targets, going)


def box_around(free: Tensor) -> tuple[Tensor, Tensor]:
    """First corner and extent (B, axes) of the smallest box around the true places (B, *spatial)."""
    lows, extents = [], []
    for axis in range(1, free.ndim):
        size = free.shape[axis]
        along = free.movedim(axis, 1).reshape(len(free), size, -1).any(2)
        first, last = along.int().argmax(1), size - 1 - along.flip(1).int().argmax(1)
        none = ~along.any(1)
        lows.append(torch.where(none, 0, first))
        extents.append(torch.where(none, size, last - first + 1))
    return torch.stack(lows, 1), torch.stack(extents, 1)


def boxes(corner: Tensor, side: Tensor, like: Tensor) -> Tensor:
    """Boxes of the given first corners and sides (B, axes) as a mask (B, 1, *spatial)."""
    inside = torch.ones(len(like), *[1] * (like.ndim - 1), dtype=torch.bool, device=like.device)
    for axis in range(corner.shape[1]):
        places = torch.arange(like.shape[axis + 2], device=like.device)
        within = (places >= corner[:, axis : axis + 1]) & (places < (corner + side)[:, axis : axis + 1])
        inside = inside & within.reshape(
            len(like), 1, *[-1 if other == axis else 1 for other in range(corner.shape[1])]
        )
    return inside

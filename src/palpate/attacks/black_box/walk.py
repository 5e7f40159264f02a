"""The state of a walk along the boundary of the decision: where each sample is, and what it may still ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.black_box.windows import seen_values
from palpate.contracts import Neighbourhood, Threat
from palpate.streams import Streams
from palpate.tensors import lengths, spread

_GRIDS = (1, 4, 0)
"""Values along each axis of the random images that are tried as a start, in turn: flat, coarse, and full size (0)."""
_FIRST = 0.1
"""Length of the first directions, in ranges of the values."""
_FINEST = 2.0**-14
"""Smallest change of a value by a direction, in ranges of the values: float32 still resolves it."""
_RESERVE = 10
"""Queries of an iteration that are kept for the step and the way back."""
_LEAST_DRAWS = 5
_HALVINGS = 20
_STACKED = 2**21
"""Values that are asked about at once, at least one image per sample."""


class Settings(Protocol):
    """What the walk needs of its attack."""

    @property
    def threat(self) -> Threat:
        """The ball."""

    @property
    def queries(self) -> int:
        """Images that are tried per sample."""


class Walk:
    """The samples of one batch; `point` is an image beyond the boundary, `distance` how far it is from the clean one.

    A sample has its own number of queries and its own random numbers, so others in the batch change nothing.
    """

    def __init__(self, attack: Settings, best_so_far: BestSoFar, rows: Tensor, streams: Streams):
        self.best_so_far, self.rows, self.streams = best_so_far, rows, streams
        self.task, self.targets = best_so_far.task, best_so_far.task.take(best_so_far.targets, rows)
        self.space: Neighbourhood = best_so_far.space.take(rows)
        self.norm = attack.threat.norm
        self.wide = _widened(attack.threat, best_so_far).take(rows)
        self.tied = bool(getattr(attack.threat, "tied", False))
        self.seen = seen_values(self.space)
        self.count = self.seen.flatten(1).sum(1).clamp(min=1).double()
        self.point = self.space.clean.clone()
        self.distance = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
        self.left = torch.full_like(rows, attack.queries)
        if best_so_far.queries is not None:
            allowed = best_so_far.queries.to(rows) - best_so_far.forwards
            self.left = torch.minimum(self.left, allowed[rows])
        lattice = getattr(self.space, "lattice", None)
        self.step = torch.zeros_like(self.distance) if lattice is None else lattice.step.to(self.distance)

    def run(self, draws: int, tries: int) -> None:
        """Find a start for each sample, and walk until it is in its ball or has no queries left."""
        going = self._way_back(self._started(tries))
        iteration = 0
        while len(going):
            iteration += 1
            wanted = int(draws * iteration**0.5)
            going = going[self.left[going] >= min(wanted, _LEAST_DRAWS) + _RESERVE]
            if not len(going):
                return
            direction = self._direction(going, wanted, first=iteration == 1)
            self._advance(going, direction, self.distance[going] / iteration**0.5)
            going = self._way_back(going)

    def _started(self, tries: int) -> Tensor:
        """Positions of the samples for which a random image reaches the goal."""
        found = torch.zeros_like(self.rows, dtype=torch.bool)
        for number in range(tries):
            at = (~found & (self.left > 0)).nonzero().flatten()
            if not len(at):
                break
            images = self._random(at, _GRIDS[number % len(_GRIDS)])
            reached = self._ask(at, images)
            here = at[reached]
            self.point[here] = images[reached]
            self.distance[here] = lengths(images[reached] - self.space.clean[here], self.norm)
            found[here] = True
        return found.nonzero().flatten()

    def _random(self, at: Tensor, grid: int) -> Tensor:
        """Random images of `grid` values along each axis, in what the threat lets change."""
        clean = self.space.clean[at]
        shape = clean.shape[1:] if not grid else (clean.shape[1], *[grid] * (clean.ndim - 2))
        drawn = self.streams.take(at).uniform(shape, clean)
        drawn = interpolate(drawn, size=clean.shape[2:], mode="nearest")
        drawn = drawn[:, :1].expand_as(drawn) if self.tied else drawn
        low, high = self.space.low, self.space.high
        return torch.where(self.seen[at], low + drawn * (high - low), clean)

    def _way_back(self, at: Tensor) -> Tensor:
        """Go back towards the clean images as far as the goal stays reached; positions that are not yet in the ball."""
        at = at[self.left[at] > 0]
        at = at[~self._ask_in_ball(at)]
        away = self.point[at] - self.space.clean[at]
        whole = self.distance[at]
        # The image where the way back enters the ball has just been asked about.
        near = torch.minimum(self.space.radius[at].double(), whole)
        far = whole.clone()
        fine = self._precision(at)
        while True:
            open_ = ((far - near > fine) & (self.left[at] > 0)).nonzero().flatten()
            if not len(open_):
                break
            middle = (near[open_] + far[open_]) / 2
            images = self._cut(at[open_], away[open_], middle, whole[open_])
            reached = self._ask(at[open_], images)
            far[open_] = torch.where(reached, middle, far[open_])
            near[open_] = torch.where(reached, near[open_], middle)
        moved = far < whole
        self.point[at[moved]] = self._cut(at[moved], away[moved], far[moved], whole[moved])
        self.distance[at] = far
        return at

    def _cut(self, at: Tensor, away: Tensor, distance: Tensor, whole: Tensor) -> Tensor:
        """The change `away` of length `whole`, cut to `distance`: shortened in L2, clamped value by value in L-inf."""
        clean = self.space.clean[at]
        if self.norm == "linf":
            wide = spread(distance, away)
            return clean + torch.clamp(away, -wide, wide)
        return clean + away * spread(distance / whole, away)

    def _precision(self, at: Tensor) -> Tensor:
        """How well the boundary is found on the way back (B,), far below the length of the next directions."""
        apart = self._reach(at)
        fine = apart / self.count[at] if self.norm == "linf" else apart / self.count[at].sqrt()
        return torch.maximum(fine, self.step[at] / 2)

    def _reach(self, at: Tensor) -> Tensor:
        """Length of the directions (B,): the distance divided by the number of values, but never lost in rounding."""
        finest = torch.clamp(self.step[at], min=_FINEST * (self.space.high - self.space.low))
        return torch.maximum(self.distance[at] / self.count[at], finest * self.count[at].sqrt())

    def _direction(self, at: Tensor, wanted: int, *, first: bool) -> Tensor:
        """The estimated direction in which the goal is reached sooner, of unit length in the norm."""
        apart = self._reach(at)
        if first:
            apart = torch.clamp(apart, min=_FIRST * (self.space.high - self.space.low))
        draws = torch.clamp(self.left[at] - _RESERVE, max=wanted)
        plain, signed = torch.zeros_like(self.point[at]), torch.zeros_like(self.point[at])
        total = torch.zeros_like(apart)
        each = max(1, _STACKED // self.point[at].numel())
        for start in range(0, int(draws.max()), each):
            number = start + torch.arange(min(each, int(draws.max()) - start), device=at.device)
            valid = number[:, None] < draws
            moves = torch.stack([self._unit(at) for _ in number]) * spread(apart, self.point[at])
            many = at.repeat(len(number))
            images = self.wide.take(many).project((self.point[at] + moves).flatten(0, 1))
            moves = (images.view_as(moves) - self.point[at]) / spread(apart, self.point[at])
            sign = torch.zeros_like(valid, dtype=moves.dtype)
            asked = valid.flatten().nonzero().flatten()
            sign.view(-1)[asked] = torch.where(self._ask(many[asked], images[asked]), 1.0, -1.0).to(sign)
            weights = (*valid.shape, *[1] * (moves.ndim - 2))
            plain += (moves * valid.reshape(weights)).sum(0)
            signed += (moves * sign.reshape(weights)).sum(0)
            total += sign.sum(0)
        mean = total / draws
        # Where all decisions agree, their differences from the mean are zero.
        agree = spread(mean.abs() == 1, plain).bool()
        direction = torch.where(agree, plain * spread(mean, plain), signed - plain * spread(mean, plain))
        return direction.sign() if self.norm == "linf" else _of_length_one(direction)

    def _unit(self, at: Tensor) -> Tensor:
        """Random directions of length 1 in what the model sees, one per sample."""
        clean, streams = self.space.clean[at], self.streams.take(at)
        shape = clean.shape[1:]
        drawn = streams.uniform(shape, clean) * 2 - 1 if self.norm == "linf" else streams.normal(shape, clean)
        drawn = drawn[:, :1].expand_as(drawn) if self.tied else drawn
        return _of_length_one(drawn * self.seen[at])

    def _advance(self, at: Tensor, direction: Tensor, stride: Tensor) -> None:
        """Move the points along the direction, by the first half of a half of ... the stride that reaches the goal."""
        waiting = torch.arange(len(at), device=at.device)
        for _ in range(_HALVINGS):
            waiting = waiting[self.left[at[waiting]] > 0]
            if not len(waiting):
                return
            here = at[waiting]
            moved = self.point[here] + direction[waiting] * spread(stride[waiting], direction)
            moved = self.wide.take(here).project(moved)
            reached = self._ask(here, moved)
            self.point[here[reached]] = moved[reached]
            self.distance[here[reached]] = lengths((moved - self.space.clean[here])[reached], self.norm)
            waiting, stride = waiting[~reached], stride / 2

    def _ask(self, at: Tensor, iterates: Tensor) -> Tensor:
        """Whether the goal is reached (B,) bool, far from the clean images too; positions may occur several times."""
        outputs = self.best_so_far.ask(self.rows[at], self.wide.take(at).to_image(iterates))
        return self._decided(at, self.task.margin(outputs, self.task.take(self.targets, at)))

    def _ask_in_ball(self, at: Tensor) -> Tensor:
        """Whether the goal is reached where the way back enters the ball (B,) bool; these images may be the result."""
        if not len(at):
            return torch.zeros_like(at, dtype=torch.bool)
        space, rows = self.space.take(at), self.rows[at]
        images = space.to_image(space.project(self.point[at]))
        outputs = self.best_so_far.ask(rows, images)
        margin = self.task.margin(outputs, self.task.take(self.targets, at))
        reached = self._decided(at, margin)
        self.best_so_far.note(rows, images, outputs, margin, self.best_so_far.forwards[rows] - 1, judged=True)
        return reached

    def _decided(self, at: Tensor, margin: Tensor) -> Tensor:
        """The decision, which is the sign of the margin; its size is not used. One query each is counted."""
        one = torch.ones_like(at)
        self.best_so_far.forwards.index_add_(0, self.rows[at], one)
        self.left.index_add_(0, at, -one)
        return margin <= 0


def _widened(threat: Any, best_so_far: BestSoFar) -> Neighbourhood:
    """What the threat would allow without its radius: the walk comes from outside the ball."""
    low, high = best_so_far.victim.bounds
    count = best_so_far.images[0].numel() if threat.norm == "l2" else 1
    wide: Threat = replace(threat, eps=(high - low) * count**0.5)
    return wide.around(best_so_far.images, (low, high), best_so_far.limits)


def _of_length_one(change: Tensor) -> Tensor:
    length = change.flatten(1).norm(dim=1)
    return change / spread(torch.where(length > 0, length, 1.0), change)

"""An attack at several budgets by bisection: each sample searches for its own smallest beating radius.

Where to look first is a question of cost alone: whatever it is, a sample ends with the radius that beats it and the
next smaller one that does not. The images of a pilot say where others fall, so that few attacks fail on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from palpate.attacks.budgets import (
    Budget,
    after,
    at,
    costing,
    fell_first,
    joined,
    may_attack,
    merge,
    tried_first,
    unspent,
)
from palpate.contracts import Attack, AttackResult, Limits, Task
from palpate.storage.records import ATTACKED, CARRIED, HELD, NOT_ATTACKED, SPENT, TRANSFERRED
from palpate.streams import Streams
from palpate.tensors import spread, take
from palpate.victim import Victim

PILOT = 8
"""Images that halve the radii as they are; those after them begin where most of these fell."""
_QUANTILE = 2 / 3
"""Share of the pilot's images, of those still in question, that the next radius should beat. An attack that fails takes
all of its steps and one that succeeds ends early, so most of them should succeed."""
_UNSEEN = 0.25
"""Images that each radius counts beside those of the pilot, because a pilot is small."""


def pilot_of(count: int, radii: int) -> int:
    """How many of so many images are the pilot: none if they are few, or if there is nothing to choose."""
    return PILOT if count >= 2 * PILOT and radii > 2 else 0


def bisected(
    attack: Attack,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Any,
    eps: Sequence[float],
    streams: Streams,
    limits: Limits | None = None,
    pilot: Sequence[int] | None = None,
) -> list[Budget]:
    """Search each sample's smallest beating radius; `eps` rise, and `pilot` is that of `palpate.curve`."""
    count, found = len(images), list[list[Budget]]()
    first = pilot_of(count, len(eps)) if pilot is None else 0
    if not first:
        return Bisection(attack, victim, task, images, targets, eps, limits, pilot or ()).run(streams)
    for rows in torch.split(torch.arange(count), [first, count - first]):
        here = rows.to(images.device)
        part = images[here], task.take(targets, here), eps, take(limits, here), pilot or ()
        found.append(Bisection(attack, victim, task, *part).run(streams.take(rows)))
        pilot = fell_first(found[0])
    return joined(*found)


class Bisection:
    """One search: per sample, the largest radius that failed and the smallest that succeeded approach each other."""

    def __init__(
        self,
        attack: Attack,
        victim: Victim,
        task: Task,
        images: Tensor,
        targets: Any,
        eps: Sequence[float],
        limits: Limits | None = None,
        pilot: Sequence[int] = (),
    ) -> None:
        self.attack, self.victim, self.task = attack, victim, task
        self.images, self.targets, self.eps, self.limits = images, targets, list(eps), limits
        count = len(images)
        self.held = torch.full((count,), -1)
        self.fell = torch.full((count,), len(self.eps))
        self.evidence = [[NOT_ATTACKED] * count for _ in self.eps]
        self.results: list[AttackResult] = []
        weights = [0.0, *(fallen + _UNSEEN for fallen in pilot)] if any(pilot) else []
        self.below = torch.tensor(weights, dtype=torch.float64).cumsum(0)

    def run(self, streams: Streams) -> list[Budget]:
        """Divide until every sample's radii are neighbours; all samples search at once, each at its own radius."""
        rows = torch.arange(len(self.images))
        nearest = self.images
        radius = torch.zeros(len(rows))
        while len(rows):
            middle = self._middle(self.held[rows], self.fell[rows])
            radii = tuple(self.eps[k] for k in middle.tolist())
            start = self._scaled(nearest, radius, radii, rows) if self.results else None
            device_rows = rows.to(self.images.device)
            found = at(self.attack, radii)(
                self.victim,
                self.task,
                self.images[device_rows],
                self.task.take(self.targets, device_rows),
                generator=streams.take(rows),
                start=start,
                limits=take(self.limits, device_rows),
            )
            if not self.results:
                self._open(found)
            self._enter(rows, middle, found, with_start=start is not None)
            self.limits = after(self.limits, found.forwards, rows)
            going = found.eligible.cpu() & (self.fell[rows] - self.held[rows] > 1)
            going &= may_attack(self.limits, self.held)[rows]
            rows, nearest, radius = rows[going], found.images[going.to(found.images.device)], torch.tensor(radii)[going]
        return [Budget(eps, result, tuple(kinds)) for eps, result, kinds in zip(self.eps, *self._filled(), strict=True)]

    def _middle(self, held: Tensor, fell: Tensor) -> Tensor:
        """Between a radius that failed and one that succeeded: half way, or where the pilot's images divide."""
        if not len(self.below) or len(self.eps) < 3:
            return (held + fell) // 2
        # Of the pilot, below[k] images fell at a radius before the k-th.
        low, high = self.below[held + 1], self.below[fell + 1]
        wanted = torch.searchsorted(self.below, low + _QUANTILE * (high - low)) - 1
        return torch.minimum(torch.maximum(wanted, held + 1), fell - 1)

    def _scaled(self, nearest: Tensor, radius: Tensor, radii: tuple[float, ...], rows: Tensor) -> Tensor:
        clean = self.images[rows.to(self.images.device)]
        ratio = spread(torch.tensor(radii) / radius, clean)
        return (clean + (nearest - clean) * ratio).clamp(*self.victim.bounds)

    def _open(self, found: AttackResult) -> None:
        """Until a result is known at a radius, its image is the clean one."""
        off = torch.zeros_like(found.success)
        stages = found.stages and found.stages._replace(won=torch.full_like(found.stages.won, -1))
        blank = replace(
            found,
            images=self.images,
            margin=found.clean_margin,
            success=off,
            prediction=found.clean_prediction,
            outputs=found.clean_outputs,
            first_success=torch.full_like(found.first_success, -1),
            distance=torch.zeros_like(found.distance),
            zero_gradient=off,
            blocked_gradient=off,
            non_finite=off,
            stages=stages,
        )
        self.results = [unspent(blank) for _ in self.eps]

    def _enter(self, rows: Tensor, middle: Tensor, found: AttackResult, *, with_start: bool) -> None:
        # Where nothing could be asked but the clean image, no radius is known to hold.
        tried = may_attack(self.limits, self.held)[rows]
        won = found.success.cpu()
        first = tried_first(found) if with_start else [False] * len(rows)
        for k in sorted(set(middle.tolist())):
            here = (middle == k).nonzero().flatten()
            self.results[k] = merge(self.results[k], found, rows[here], here)
            for place in here.tolist():
                if bool(found.eligible[place]) and bool(tried[place]):
                    self.evidence[k][int(rows[place])] = TRANSFERRED if first[place] else ATTACKED
        self.fell[rows] = torch.where(won, middle, self.fell[rows])
        self.held[rows] = torch.where(won | ~tried, self.held[rows], middle)

    def _filled(self) -> tuple[list[AttackResult], list[list[str]]]:
        """Radii that a sample never visited: beaten above its smallest success, not below its largest failure."""
        eligible = self.results[0].eligible.cpu()
        results = list(self.results)
        for k in range(len(self.eps)):
            above = (eligible & (self.fell < k)).nonzero().flatten()
            for row in above.tolist():
                self.evidence[k][row] = CARRIED
            if len(above):
                rows = torch.arange(len(eligible), device=self.images.device)
                results[k] = costing(merge(results[k], results[k - 1], above, above), rows, results[k])
            for row in (eligible & (self.held > k)).nonzero().flatten().tolist():
                if self.evidence[k][row] == NOT_ATTACKED:
                    self.evidence[k][row] = HELD
            for row in (eligible & (self.held < k) & (self.fell > k)).nonzero().flatten().tolist():
                self.evidence[k][row] = SPENT
        return results, self.evidence

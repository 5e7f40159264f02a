"""An attack at several budgets by bisection: each sample searches for its own smallest beating radius."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from palpate.attacks.budgets import Budget, after, at, costing, may_attack, merge, tried_first, unspent
from palpate.contracts import Attack, AttackResult, Limits, Task
from palpate.storage.records import ATTACKED, CARRIED, HELD, NOT_ATTACKED, SPENT, TRANSFERRED
from palpate.streams import Streams
from palpate.tensors import spread, take
from palpate.victim import Victim


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
    ) -> None:
        self.attack, self.victim, self.task = attack, victim, task
        self.images, self.targets, self.eps, self.limits = images, targets, list(eps), limits
        count = len(images)
        self.held = torch.full((count,), -1)
        self.fell = torch.full((count,), len(self.eps))
        self.evidence = [[NOT_ATTACKED] * count for _ in self.eps]
        self.results: list[AttackResult] = []

    def run(self, streams: Streams) -> list[Budget]:
        """Halve until every sample's radii are neighbours; all samples search at once, each at its own radius."""
        rows = torch.arange(len(self.images))
        nearest = self.images
        radius = torch.zeros(len(rows))
        while len(rows):
            middle = (self.held[rows] + self.fell[rows]) // 2
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

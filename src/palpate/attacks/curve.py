"""An attack at rising budgets: what a small budget beat is never attacked again at a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from palpate.contracts import Attack, AttackResult, Task
from palpate.records import ATTACKED, CARRIED, NOT_ATTACKED, TRANSFERRED
from palpate.streams import Streams
from palpate.victim import Victim


@dataclass(frozen=True)
class Budget:
    """The outcome at one budget.

    Attributes:
        eps: radius in stored values.
        result: per-sample outcome; passes are those spent at this budget.
        evidence: per sample `attacked`, `carried`, `transferred` or `not attacked`.
    """

    eps: float
    result: AttackResult
    evidence: tuple[str, ...]


def at(attack: Attack, eps: float | tuple[float, ...]) -> Any:
    """The same attack with another radius."""
    return replace(attack, threat=replace(attack.threat, eps=eps))  # type: ignore[type-var]


def curve(
    attack: Attack,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Any,
    eps: Sequence[float],
    *,
    generator: torch.Generator | Streams | None = None,
) -> list[Budget]:
    """Run `attack` at every radius of `eps`, the smallest first.

    A ball contains every smaller one, so an adversarial image found at a small radius stands for all larger ones.
    What is left is first tried with its last perturbation scaled to the new ball (one forward pass), and then
    attacked afresh: a robust verdict always rests on the full attack at that very radius.

    Returns:
        One outcome per radius, rising.

    Raises:
        InputError: see the attack.
    """
    streams = Streams.of(generator, len(images))
    budgets: list[Budget] = []
    for radius in sorted(set(eps)):
        if not budgets:
            result = at(attack, radius)(victim, task, images, targets, generator=streams)
            evidence = [ATTACKED if e else NOT_ATTACKED for e in result.eligible.tolist()]
        else:
            result, evidence = _next(budgets[-1], radius, attack, victim, task, images, targets, streams)
        budgets.append(Budget(radius, result, tuple(evidence)))
    return budgets


def _next(
    last: Budget,
    radius: float,
    attack: Attack,
    victim: Victim,
    task: Task,
    images: Tensor,
    targets: Any,
    streams: Streams,
) -> tuple[AttackResult, list[str]]:
    before = last.result
    none = torch.zeros_like(before.forwards)
    merged = replace(before, forwards=none, backwards=none.clone())
    evidence = [CARRIED if e else NOT_ATTACKED for e in before.eligible.tolist()]
    rows = (before.eligible & ~before.success).nonzero().flatten()
    if not len(rows):
        return merged, evidence
    clean = images[rows]
    start = (clean + (before.images[rows] - clean) * (radius / last.eps)).clamp(*victim.bounds)
    found = at(attack, radius)(victim, task, clean, task.take(targets, rows), generator=streams.take(rows), start=start)
    tried = (found.success & (found.first_success == 0) & (found.backwards == 0)).tolist()
    for position, row in enumerate(rows.tolist()):
        evidence[row] = TRANSFERRED if tried[position] else ATTACKED
    return _merge(merged, found, rows), evidence


def _merge(whole: AttackResult, part: AttackResult, rows: Tensor) -> AttackResult:
    merged = {}
    for field in fields(AttackResult):
        values = getattr(whole, field.name).clone()
        values[rows] = getattr(part, field.name)
        merged[field.name] = values
    return AttackResult(**merged)

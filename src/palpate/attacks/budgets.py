"""What an attack at several budgets is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from palpate.contracts import Attack, AttackResult, Limits, StageCosts
from palpate.tensors import mapped

LEAST_QUERIES = 2
"""Queries below which an image is not attacked: the clean image is one, and one more is needed to try another."""


@dataclass(frozen=True)
class Budget:
    """The outcome at one budget.

    Attributes:
        eps: radius in stored values.
        result: per-sample outcome; passes are those spent at this budget.
        evidence: per sample `attacked`, `carried`, `transferred`, `held`, `minimum`, `spent` or `not attacked`
            (`palpate.storage.records`).
    """

    eps: float
    result: AttackResult
    evidence: tuple[str, ...]


def at(attack: Attack, eps: float | tuple[float, ...]) -> Any:
    """The same attack with another radius, or with one per sample."""
    return replace(attack, threat=replace(attack.threat, eps=eps))  # type: ignore[type-var]


def unspent(result: AttackResult) -> AttackResult:
    """A result at a budget where nothing was spent, because it comes from another one."""
    none = torch.zeros_like(result.forwards)
    stages = result.stages
    if stages is not None:
        stages = StageCosts(stages.won, torch.zeros_like(stages.forwards), torch.zeros_like(stages.backwards))
    return replace(result, forwards=none, backwards=none.clone(), stages=stages)


def costing(result: AttackResult, rows: Tensor, found: AttackResult) -> AttackResult:
    """`result` with the passes of `found` for its `rows`."""
    stages = result.stages
    if stages is not None and found.stages is not None:
        stages = StageCosts(
            stages.won,
            stages.forwards.index_copy(0, rows, found.stages.forwards),
            stages.backwards.index_copy(0, rows, found.stages.backwards),
        )
    return replace(
        result,
        forwards=result.forwards.index_copy(0, rows, found.forwards),
        backwards=result.backwards.index_copy(0, rows, found.backwards),
        stages=stages,
    )


def after(limits: Limits | None, forwards: Tensor, rows: Tensor | None = None) -> Limits | None:
    """The limits with the queries that are left when `rows` (all by default) have spent `forwards`."""
    if limits is None or limits.queries is None:
        return limits
    left = limits.queries.clone()
    if rows is None:
        left -= forwards.to(left)
    else:
        left[rows.to(left.device)] -= forwards.to(left)
    return limits._replace(queries=left)


def may_attack(limits: Limits | None, like: Tensor) -> Tensor:
    """Which samples have queries left for the clean image and another one (B,) bool, on the device of `like`."""
    if limits is None or limits.queries is None:
        return torch.ones(len(like), dtype=torch.bool, device=like.device)
    return (limits.queries >= LEAST_QUERIES).to(like.device)


def tried_first(found: AttackResult) -> list[bool]:
    """Which samples the given start beat, before the first step."""
    fell: list[bool] = (found.success & (found.first_success == 0) & (found.backwards == 0)).tolist()
    return fell


def merge(whole: AttackResult, part: AttackResult, rows: Tensor, places: Tensor | None = None) -> AttackResult:
    """`whole` with its `rows` taken from `part` (from its `places`, or from all of it in order)."""

    def placed(values: Tensor, new: Tensor) -> Tensor:
        values = values.clone()
        values[rows.to(values.device)] = new if places is None else new[places.to(new.device)]
        return values

    names = [field.name for field in fields(AttackResult)]
    return AttackResult(**{name: mapped(placed, getattr(whole, name), getattr(part, name)) for name in names})


def joined(first: Sequence[Budget], second: Sequence[Budget]) -> list[Budget]:
    """The outcomes of one attack at the same radii for some samples and for others, as those of all of them."""
    return [
        Budget(one.eps, both(one.result, other.result), one.evidence + other.evidence)
        for one, other in zip(first, second, strict=True)
    ]


def both(one: AttackResult, other: AttackResult) -> AttackResult:
    """The results of one attack for some samples and for others, as that of all of them in this order."""
    names = [field.name for field in fields(AttackResult)]
    return AttackResult(**{name: mapped(_cat, getattr(one, name), getattr(other, name)) for name in names})


def _cat(one: Any, other: Any) -> Any:
    return torch.cat([one, other])


def fell_first(budgets: Sequence[Budget]) -> tuple[int, ...]:
    """How many eligible samples fell first at each radius, and behind them how many at none."""
    stood = torch.stack([~budget.result.success for budget in budgets]).sum(0)
    counts: list[int] = torch.bincount(stood[budgets[0].result.eligible], minlength=len(budgets) + 1).tolist()
    return tuple(counts)

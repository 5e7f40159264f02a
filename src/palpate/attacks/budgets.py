"""What an attack at several budgets is made of."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from palpate.contracts import Attack, AttackResult
from palpate.tensors import mapped


@dataclass(frozen=True)
class Budget:
    """The outcome at one budget.

    Attributes:
        eps: radius in stored values.
        result: per-sample outcome; passes are those spent at this budget.
        evidence: per sample `attacked`, `carried`, `transferred`, `held`, `minimum` or `not attacked`
            (`palpate.storage.records`).
    """

    eps: float
    result: AttackResult
    evidence: tuple[str, ...]


def at(attack: Attack, eps: float | tuple[float, ...]) -> Any:
    """The same attack with another radius, or with one per sample."""
    return replace(attack, threat=replace(attack.threat, eps=eps))  # type: ignore[type-var]


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

"""The images that no attack of a goal beat, and what may have kept the attacks from beating them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palpate.metrics.panel import Bools, Images, Outcome
from palpate.metrics.robustness import beaten_within, reach


@dataclass(frozen=True)
class Survivors:
    """Images that the goal applies to and that no attack beat at a budget.

    Attributes:
        eps: the budget in stored values.
        rows: positions in the table of those that a climb could reach: neither silent nor blocked.
        silent: the model returned NaN or infinity for some iterate, so a success may have been overlooked.
        blocked: no gradient reached the image in any gradient attack.
    """

    eps: float
    rows: tuple[int, ...]
    silent: tuple[int, ...]
    blocked: tuple[int, ...]


def survivors(images: Images, outcomes: Sequence[Outcome], wanted: int) -> Survivors:
    """The survivors at the largest budget that leaves `wanted` of them, or else at the one that leaves most.

    Args:
        images: the audited images.
        outcomes: the attacks of one goal; at least one.
        wanted: how many are enough.
    """
    found = reach(outcomes, [outcome.success for outcome in outcomes], images.count)
    eligible = np.any([outcome.eligible & outcome.covered for outcome in outcomes], axis=0)
    budgets = sorted({float(eps) for outcome in outcomes for eps in outcome.eps})
    counts = {eps: int((eligible & ~beaten_within(found, eps)).sum()) for eps in budgets}
    eps = max(budgets, key=lambda one: (min(counts[one], wanted), one))
    left = eligible & ~beaten_within(found, eps)
    silent = left & np.any([outcome.non_finite.any(axis=0) for outcome in outcomes], axis=0)
    stuck = left & ~silent & blocked(outcomes, images.count)
    rows = images.row[left & ~silent & ~stuck]
    return Survivors(eps, _rows(rows), _rows(images.row[silent]), _rows(images.row[stuck]))


def blocked(outcomes: Sequence[Outcome], count: int) -> Bools:
    """(N,) Images that no gradient reached in any attack that follows gradients, at any budget."""
    guided = [outcome for outcome in outcomes if outcome.backwards.any()]
    if not guided:
        return np.zeros(count, dtype=bool)
    everywhere: Bools = np.all([outcome.blocked_gradient.any(axis=0) for outcome in guided], axis=0)
    return everywhere


def _rows(rows: np.ndarray) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)

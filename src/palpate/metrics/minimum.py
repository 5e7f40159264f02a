"""The smallest change that beats each image, and whether attacks at each budget confirm what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palpate.metrics.panel import Bools, Floats, Outcome
from palpate.metrics.robustness import median_eps, reach


def is_minimum(outcome: Outcome) -> bool:
    """Whether the budgets of this attack were read from one search for the smallest change."""
    return bool(outcome.from_minimum.any())


def smallest_change(outcome: Outcome) -> Floats:
    """Size of the smallest change that beat each image (N,), in the norm of the threat.

    Infinite where none within the largest budget did, NaN where the image was not eligible or has no record.
    """
    nearest = reach([outcome], [outcome.success], outcome.eligible.size)
    return np.where(outcome.eligible & outcome.recorded.any(axis=0), nearest, np.nan)


def median_change(changes: Floats) -> float:
    """The size of change at which at least half of the eligible images are beaten; infinite if fewer than half are."""
    return median_eps(changes)


def withstood(changes: Floats, largest: float) -> Floats:
    """The share of the budgets from 0 to `largest` that each image withstands (N,): min(change, largest) / largest.

    Its mean is the area under the curve of images that still stand, as a share of the whole: 1 if no image falls.
    """
    return np.minimum(changes, largest) / largest


@dataclass(frozen=True)
class Confirmation:
    """One budget of a curve that was read from one search, against attacks that ran at exactly this budget.

    Attributes:
        eps: the budget.
        standing: images that the search left standing at this budget.
        checked: those of them that another attack of the goal attacked at this budget.
        fell: those of them that it beat, which the search missed.
        by: names of these attacks.
    """

    eps: float
    standing: int
    checked: int
    fell: int
    by: tuple[str, ...]

    @property
    def confirmed(self) -> bool | None:
        """Whether every image that stands was attacked at this budget and none fell; None if none was attacked."""
        if self.standing and not self.checked:
            return None
        return self.checked == self.standing and not self.fell


def confirmations(outcome: Outcome, others: Sequence[Outcome]) -> list[Confirmation]:
    """Every budget of a search for the smallest change, against the other attacks of its goal.

    An attack that also reads its budgets from one search confirms nothing.
    """
    full = [one for one in others if one.attack != outcome.attack and not is_minimum(one)]
    found = []
    for budget, eps in enumerate(outcome.eps):
        standing = outcome.eligible & outcome.recorded[budget] & ~outcome.success[budget]
        checked: Bools = np.zeros_like(standing)
        fell: Bools = np.zeros_like(standing)
        names = []
        for one in full:
            place = int(np.searchsorted(one.eps, eps))
            if place == one.eps.size or one.eps[place] != eps:
                continue
            beaten = one.success[place] & standing
            tried = (one.attacked[place] & standing) | beaten
            checked, fell = checked | tried, fell | beaten
            names += [one.attack] if tried.any() else []
        left, tried_on, lost = (int(counted.sum()) for counted in (standing, checked, fell))
        found.append(Confirmation(float(eps), left, tried_on, lost, tuple(names)))
    return found

"""A figure of two models on the same images: the paired difference, its 95% interval by patient, and a test.

| figure | interval | test |
| --- | --- | --- |
| share over the same images | Tango's score interval, effective sample size | sign flips by group |
| mean over the same images | bootstrap over groups | sign flips by group |
| share over other images of each model (success rates) | bootstrap over groups | Student's t |
| figure of all images together (AUROC, kappa, mAP, median) | bootstrap over groups | Student's t |

Each resample draws the same patients for both models. Student's t is the difference over its bootstrap standard error,
with one degree of freedom less than groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from palpate.metrics.intervals import (
    BOOTSTRAP,
    NONE,
    SAME,
    Estimate,
    Mean,
    Origin,
    Resampling,
    Share,
    percentiles,
    undefined,
)
from palpate.metrics.pairs import sign_flip
from palpate.metrics.panel import Bools, Floats, Ints
from palpate.metrics.statistics import Statistic

TANGO = "Tango"
TANGO_GROUPS = "Tango, effective sample size"
SIGNS, STUDENT = "sign flips by group", "bootstrap standard error, Student's t"
_Z2 = 1.959963984540054**2
_HALVINGS = 60


@dataclass(frozen=True)
class Difference:
    """The second model minus the first."""

    first: Estimate
    """The figure of the first model, over the images that are compared."""
    second: Estimate
    """The figure of the second model."""
    change: Estimate
    """The difference with its interval; `method` also has `Tango` and `Tango, effective sample size`."""
    p: float
    """Two-sided p that nothing differs; NaN if the difference is undefined."""
    test: str
    """`sign flips by group`, or `bootstrap standard error, Student's t`; empty if there is none."""
    left_out: int
    """Images that only one model has a value for, which do not count."""
    gained: int | None = None
    """Images that are hits of the second model only, for a share over the same images."""
    lost: int | None = None
    """Images that are hits of the first model only."""


def difference(first: Origin, second: Origin, note: str = "It is not defined for both runs.") -> Difference:
    """The difference of a figure between two models on the same images in the same order.

    Args:
        first: what the figure of the first model was computed from; its groups and draws are used.
        second: the same of the second model.
        note: why the difference may be undefined.
    """
    one, two, resampling = _plain(first.of), _plain(second.of), first.resampling
    if isinstance(one, Share) and isinstance(two, Share):
        if np.array_equal(one.among, two.among):
            return _shares(one, two, resampling, note)
        ratios = _ratio(one), _ratio(two)
        drawn = resampling.resampled(lambda weights: ratios[1](weights) - ratios[0](weights))
        return _pooled(resampling.proportion(one, note), resampling.proportion(two, note), drawn, resampling, note)
    if isinstance(one, Mean) and isinstance(two, Mean):
        return _means(one, two, resampling, note)
    estimates = [_estimate(origin, resampling, note) for origin in (first, second)]
    drawn = estimates[1][1] - estimates[0][1]
    return _pooled(estimates[0][0], estimates[1][0], drawn, resampling, note)


def _plain(of: Share | Mean | Statistic) -> Share | Mean | Statistic:
    """A mean of values that are all 0 or 1 is a share."""
    if not isinstance(of, Mean):
        return of
    among = of.among & np.isfinite(of.values)
    return Share(of.values == 1, among) if np.isin(of.values[among], (0.0, 1.0)).all() else of


def _shares(one: Share, two: Share, resampling: Resampling, note: str) -> Difference:
    among, total = one.among, one.total
    first, second = resampling.proportion(one, note), resampling.proportion(two, note)
    if not total:
        return _nothing(first, second, note)
    after, before = (share.hits[among].astype(np.int64) for share in (two, one))
    _, group = np.unique(resampling.group[among], return_inverse=True)
    gained, lost = int((after > before).sum()), int((after < before).sum())
    worth = paired_worth(after - before, group)
    low, high = tango(gained * worth / total, lost * worth / total, worth)
    method = TANGO if group.max() + 1 == total else TANGO_GROUPS
    change = Estimate((gained - lost) / total, low, high, method, None, total)
    p = sign_flip((after - before).astype(np.float64), group)
    return Difference(first, second, change, p, SIGNS, 0, gained, lost)


def _means(one: Mean, two: Mean, resampling: Resampling, note: str) -> Difference:
    mine, other = (mean.among & np.isfinite(mean.values) for mean in (one, two))
    both = mine & other
    first, second = (resampling.mean(mean.values, both, note) for mean in (one, two))
    apart = np.where(both, np.where(both, two.values, 0) - np.where(both, one.values, 0), np.nan)
    change = replace(resampling.mean(apart, both, note), origin=None)
    if not both.any():
        return _nothing(first, second, note)
    p = sign_flip(apart[both], resampling.group[both])
    return Difference(first, second, change, p, SIGNS, int((mine ^ other).sum()))


def _estimate(origin: Origin, resampling: Resampling, note: str) -> tuple[Estimate, Floats]:
    """A statistic, and its value in each resample; those that are known are used if the draws are the same."""
    statistic, other = _statistic(origin.of), origin.resampling
    value = float(statistic(np.ones((1, resampling.group.size)))[0]) if resampling.group.size else float("nan")
    same = (other.seed, other.replicates) == (resampling.seed, resampling.replicates)
    if origin.drawn is not None and same and np.array_equal(other.group, resampling.group):
        drawn = origin.drawn
    else:
        drawn = resampling.resampled(statistic)
    if np.isnan(value):
        return undefined(note), drawn
    low, high = percentiles(drawn, resampling.groups)
    if not low < high:
        return Estimate(value, float("nan"), float("nan"), NONE, note=SAME), drawn
    return Estimate(value, low, high, BOOTSTRAP), drawn


def _pooled(first: Estimate, second: Estimate, drawn: Floats, resampling: Resampling, note: str) -> Difference:
    value = second.value - first.value
    if np.isnan(value):
        return _nothing(first, second, note)
    drawn, groups = drawn[~np.isnan(drawn)], resampling.groups
    low, high = percentiles(drawn, groups)
    if not low < high:
        nan = float("nan")
        return Difference(first, second, Estimate(value, nan, nan, NONE, note=SAME), 1.0 if value == 0 else nan, "", 0)
    return Difference(first, second, Estimate(value, low, high, BOOTSTRAP), _student(value, drawn, groups), STUDENT, 0)


def _student(value: float, drawn: Floats, groups: int) -> float:
    """Two-sided p of a difference over its bootstrap standard error."""
    from scipy.special import stdtr

    error = float(drawn.std(ddof=1)) * float(np.sqrt(groups / (groups - 1)))
    return float(2 * stdtr(groups - 1, -abs(value) / error))


def _nothing(first: Estimate, second: Estimate, note: str) -> Difference:
    nan = float("nan")
    return Difference(first, second, undefined(first.note or second.note or note), nan, "", 0)


def _statistic(of: Share | Mean | Statistic) -> Statistic:
    if isinstance(of, Share):
        return _ratio(of)
    if isinstance(of, Mean):
        known = of.among & np.isfinite(of.values)
        return _quotient(np.where(known, of.values, 0.0), known)
    return of


def _ratio(share: Share) -> Statistic:
    return _quotient((share.hits & share.among).astype(np.float64), share.among)


def _quotient(above: Floats, among: Bools) -> Statistic:
    below = among.astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights @ above) / (weights @ below))

    return statistic


def paired_worth(apart: Ints, group: Ints) -> float:
    """How many independent images the images of some groups are worth for a paired difference.

    As `palpate.metrics.intervals.effective_total` for a share: n / (1 + (m - 1) r), m the size of the group of an
    image. r gives the variance seen between groups, and one more group counts whose images all change alike.

    Args:
        apart: (n,) 1 gained, -1 lost, 0 unchanged.
        group: (n,) group numbers, 0 to K - 1, each in use.
    """
    sizes = np.bincount(group).astype(np.float64)
    total = float(sizes.sum())
    size, mean = float((sizes**2).sum()) / total, float(apart.mean())
    if size <= 1:
        return total
    groups, sums = total / size, np.bincount(group, apart)
    spread = float((apart**2).sum()) - total * mean**2
    seen, known = 1.0, 0.0
    if spread > 0 and groups > 1:
        effect = float(((sums - mean * sizes) ** 2).sum()) * groups / (groups - 1) / spread
        seen = float(np.clip((effect - 1) / (size - 1), 0.0, 1.0))
        known = float((np.bincount(group, np.abs(apart)) > 0).sum()) * groups / sizes.size
    alike = (known * seen + 1) / (known + 1)
    return total / (1 + (size - 1) * alike)


@lru_cache(maxsize=4096)
def tango(gained: float, lost: float, total: float) -> tuple[float, float]:
    """Tango's score interval of a paired difference of two shares, (gained - lost) / total, at 95%.

    The values d with |gained - lost - n d| <= z sqrt(n (2 q + d (1 - d))), where q is the most likely share of lost
    images if the difference is d. It has a width also where no image changed: up to z^2 / (n + z^2) on both sides.
    T. Tango, Stat. Med. 17 (1998) 891.

    Args:
        gained: images that are hits of the second only; need not be whole.
        lost: images that are hits of the first only.
        total: images, above 0.
    """
    middle = (gained - lost) / total

    def outside(change: float) -> bool:
        linear = -gained - lost + (2 * total - gained + lost) * change
        constant = -lost * change * (1 - change)
        likely = (math.sqrt(max(linear**2 - 8 * total * constant, 0.0)) - linear) / (4 * total)
        variance = total * (2 * likely + change * (1 - change))
        return bool((gained - lost - total * change) ** 2 > _Z2 * max(variance, 0.0))

    def end(inside: float, beyond: float) -> float:
        if not outside(beyond):
            return beyond
        for _ in range(_HALVINGS):
            half = (inside + beyond) / 2
            inside, beyond = (inside, half) if outside(half) else (half, beyond)
        return inside

    return end(middle, -1.0), end(middle, 1.0)

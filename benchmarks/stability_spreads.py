"""Quantiles and ratios over images with bootstrap intervals, for the measures of stability of the study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from palpate.metrics.intervals import BOOTSTRAP, NONE, SAME, Estimate, Resampling, percentiles, undefined
from palpate.metrics.panel import Bools, Floats
from palpate.metrics.spreads import NO_IMAGE, check, quotient

NO_DROP = "The attack lowers no score, so there is nothing to keep."
BEYOND = "Too few images were beaten at the largest budget."


def kept(before: Floats | None, after: Floats | None, among: Bools, resampling: Resampling) -> Estimate:
    """What is kept of a drop: `sum after / sum before` over images with both, with its bootstrap interval.

    Undefined where the drop before is not above 0 on the whole. Resamples in which it is not are left out.

    Args:
        before: (N,) drop before; NaN where not measured.
        after: (N,) drop after; NaN where not measured.
        among: (N,) images that count.
        resampling: of the N images.

    Raises:
        InputError: the arrays differ in length.
    """
    if before is None or after is None:
        return undefined("No scores were given.")
    check(resampling, before, after, among)
    counts = among & np.isfinite(before) & np.isfinite(after)
    top, bottom = np.asarray(after, np.float64)[counts], np.asarray(before, np.float64)[counts]

    def ratio(weights: Floats) -> Floats:
        mine = weights[:, counts]
        return quotient(mine @ top, mine @ bottom)

    return replace(resampling.estimate(ratio, NO_DROP if counts.any() else NO_IMAGE), total=int(counts.sum()))


def quantile(values: Floats, among: Bools, share: float, resampling: Resampling) -> Estimate:
    """The smallest value with at least `share` of the images at or below it, among values that may be infinite.

    Undefined where it is infinite; the upper end of its interval may be.

    Args:
        values: (N,) one figure per image.
        among: (N,) images that count.
        share: 0.5 for the median.
        resampling: of the N images.
    """
    order = np.flatnonzero(among)[np.argsort(values[among], kind="stable")]
    if not order.size:
        return undefined(NO_IMAGE, 0)

    def statistic(weights: Floats) -> Floats:
        running = np.cumsum(weights[:, order], axis=1)
        place = (running < share * running[:, -1:]).sum(axis=1)
        return np.where(running[:, -1] > 0, values[order][np.minimum(place, order.size - 1)], np.nan)

    value = float(statistic(np.ones((1, values.size)))[0])
    if np.isinf(value):
        return undefined(BEYOND, order.size)
    return estimated(value, resampling.resampled(statistic), order.size, ordered=True)


def estimated(value: float, drawn: Floats, total: int, *, ordered: bool = False) -> Estimate:
    """A value with the percentiles of its resamples; `ordered`: percentiles are resamples, none between two."""
    low, high = percentiles(drawn, ordered=ordered)
    if not low < high:
        nan = float("nan")
        return Estimate(value, nan, nan, NONE, None, total, SAME)
    return Estimate(value, low, high, BOOTSTRAP, None, total)

"""Spreads, quantiles and ratios over images with bootstrap intervals, of which the figures of stability are made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from palpate.errors import InputError
from palpate.metrics.intervals import BOOTSTRAP, NONE, SAME, Estimate, Resampling, percentiles, undefined
from palpate.metrics.panel import Bools, Floats

NO_IMAGE = "No image counts here."
FEW_IMAGES = "A spread over images needs two of them."
NO_DROP = "The attack lowers no score, so there is nothing to keep."
BEYOND = "Too few images were beaten at the largest budget."


def spread(values: Floats, among: Bools, resampling: Resampling) -> Estimate:
    """Standard deviation over images, with n - 1, and its percentile bootstrap interval.

    The interval leans low in small samples, since a resample repeats images.

    Args:
        values: (N,) one figure per image; those that are not finite do not count.
        among: (N,) images that count.
        resampling: of the N images.
    """
    counts = among & np.isfinite(values)
    kept = np.asarray(values, np.float64)[counts]
    estimate = resampling.estimate(lambda weights: deviation(weights[:, counts], kept), FEW_IMAGES)
    return replace(estimate, total=int(counts.sum()))


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


def check(resampling: Resampling, *arrays: npt.ArrayLike) -> None:
    """Each array holds one number per image.

    Raises:
        InputError: one does not.
    """
    if any(np.shape(array) != resampling.group.shape for array in arrays):
        raise InputError(f"Each array must hold one number for each of the {resampling.group.size} images.")


def quotient(top: Floats, bottom: Floats) -> Floats:
    """`top / bottom`; NaN where the bottom is not above 0."""
    out = np.full(np.shape(bottom), np.nan)
    np.divide(top, bottom, out=out, where=bottom > 0)
    return out


def mean(weights: Floats, values: Floats) -> Floats:
    """Weights (B, n), values (n,) -> weighted means (B,); NaN where no weight is left."""
    return quotient(weights @ values, weights.sum(axis=1))


def deviation(weights: Floats, values: Floats) -> Floats:
    """Weights (B, n), values (n,) -> standard deviations (B,) with sum of weights - 1; NaN below two images."""
    if not values.size:
        return np.full(len(weights), np.nan)
    # Seen from the first value, equal values have a spread of exactly 0.
    moved, total = values - values[0], weights.sum(axis=1)
    centre = np.nan_to_num(mean(weights, moved))
    squares = (weights * (moved - centre[:, None]) ** 2).sum(axis=1)
    return np.sqrt(quotient(squares, total - 1))


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

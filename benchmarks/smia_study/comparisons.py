"""Two attacks on the same images: differences with intervals, a test that keeps seeds and patients together."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.smia_study.gather import Series
from palpate.metrics.intervals import Estimate, Resampling, Share, undefined
from palpate.metrics.pairs import sign_flip
from palpate.metrics.panel import Bools, Floats

DIGITS = 4


def rounded(value: float) -> float | None:
    """A figure as the results file holds it; None where it is undefined."""
    return None if not np.isfinite(value) else float(f"{value:.{DIGITS}g}")


def with_interval(estimate: Estimate) -> list[float | None]:
    """`[value, low, high]`, None where undefined."""
    return [rounded(estimate.value), rounded(estimate.low), rounded(estimate.high)]


def rate(values: Floats, among: Bools, resampling: Resampling) -> Estimate:
    """Mean of shares of seeds, per image: a proportion where every image has 0 or 1, else a mean.

    Where every image has the same share the bootstrap has no width; Wilson's interval of as many groups is used.
    """
    counted = values[among]
    if not counted.size:
        return undefined("no image counts here", 0)
    if np.isin(counted, (0.0, 1.0)).all():
        return resampling.proportion(Share(values > 0, among))
    return resampling.mean(values, among, "no image counts here")


def compared(first: Series, second: Series, after: str) -> dict[str, Any]:
    """Success and drop of the first attack minus those of the second, over images that count for both.

    `apart` says whether the two intervals of the success rates have nothing in common, and on which side the first
    is: `above`, `below` or `no`; `score_apart` the same of the mean scores, where below is stronger.
    """
    one, two = (series.per_image(series.beaten(after)) for series in (first, second))
    among = first.per_image(first.among(after)) + second.per_image(second.among(after)) > 1.5
    resampling = first.over_images
    ours, theirs = rate(one, among, resampling), rate(two, among, resampling)
    gap = np.where(among, one - two, 0.0)
    drops = [series.per_image(series.clean_score(after) - series.score(after)) for series in (first, second)]
    known = among & np.isfinite(drops[0]) & np.isfinite(drops[1])
    left = [
        resampling.mean(series.per_image(series.score(after)), known, "no image counts here")
        for series in (first, second)
    ]
    lowered = np.where(known, drops[0] - drops[1], 0.0)
    return {
        "first": with_interval(ours),
        "second": with_interval(theirs),
        "difference": with_interval(resampling.mean(gap, among, "no image counts here")),
        "only_first": rounded(float(np.clip(gap, 0, None).sum())),
        "only_second": rounded(float(np.clip(-gap, 0, None).sum())),
        "apart": apart(ours, theirs),
        "scores": [with_interval(one) for one in left],
        "score_apart": apart(*left),
        "p": rounded(sign_flip(gap, resampling.group)),
        "drop": with_interval(resampling.mean(lowered, known, "no image counts here")),
        "drop_p": rounded(sign_flip(lowered, resampling.group)),
    }


def apart(first: Estimate, second: Estimate) -> str:
    """`above` or `below` if the first interval is completely on that side of the second, else `no`."""
    if first.low > second.high:
        return "above"
    return "below" if first.high < second.low else "no"

"""Shares of images and their 95% intervals: Wilson for single images, the bootstrap for groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from palpate.metrics.panel import Bools, Floats, Ints

LEVEL = 0.95
"""Confidence level of every interval."""
REPLICATES = 1000
"""Bootstrap resamples of the groups."""

WILSON = "Wilson"
BOOTSTRAP = "bootstrap over groups"
WILSON_GROUPS = "Wilson, counting groups"
NEWCOMBE = "Newcombe"
NONE = "none"

SAME = "Every resample gives the same value, so there is no interval."

Statistic = Callable[[Floats], Floats]
"""Weights (B, N), one row per resample -> values (B,). NaN where the statistic is undefined."""


@dataclass(frozen=True, eq=False)
class Share:
    """A proportion as two masks over the images: those that count, and the hits among them."""

    hits: Bools
    among: Bools

    @property
    def count(self) -> int:
        """Hits."""
        return int((self.hits & self.among).sum())

    @property
    def total(self) -> int:
        """Images that count."""
        return int(self.among.sum())

    @property
    def value(self) -> float:
        """`count / total`; NaN where no image counts."""
        return self.count / self.total if self.total else float("nan")

    def within(self, mask: Bools) -> Share:
        """The same proportion among the images of `mask` only."""
        return Share(self.hits, self.among & mask)


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval. NaN where it is undefined, and then `note` gives the reason."""

    value: float
    low: float
    high: float
    method: str
    """How the interval was made: `Wilson`, `bootstrap over groups`, `Wilson, counting groups`, `Newcombe`, `none`."""
    count: int | None = None
    """Hits, for a proportion."""
    total: int | None = None
    """Images that count, for a proportion or a mean."""
    note: str | None = None


def undefined(note: str, total: int | None = None) -> Estimate:
    """An estimate that has no value, with the reason."""
    nan = float("nan")
    return Estimate(nan, nan, nan, NONE, None if total is None else 0, total, note)


def difference(first: Estimate, second: Estimate, note: str) -> Estimate:
    """The difference of a figure between two independent sets of images, from the intervals of both.

    d = a - b; from d - sqrt((a - low_a)^2 + (high_b - b)^2) to d + sqrt((high_a - a)^2 + (b - low_b)^2). With
    Wilson's intervals this is method 10 of R. G. Newcombe, Stat. Med. 17 (1998) 873, which keeps its coverage where
    a proportion is 0 or 1; with other intervals it is that of G. Y. Zou and A. Donner, Stat. Med. 27 (2008) 1693.

    Args:
        first: a figure with its interval.
        second: the same figure of other images.
        note: why the difference may be undefined.
    """
    ends = (first.low, first.high, second.low, second.high)
    value = first.value - second.value
    if np.isnan([value, *ends]).any():
        return undefined(note)
    low = value - float(np.hypot(first.value - first.low, second.high - second.value))
    high = value + float(np.hypot(first.high - first.value, second.value - second.low))
    return Estimate(value, low, high, NEWCOMBE)


@lru_cache(maxsize=4096)
def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's score interval for `count` hits among `total` independent images, at 95%.

    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.96. It keeps its coverage near 0 and 1, where
    the textbook interval collapses. E. B. Wilson, JASA 22 (1927) 209. NaN for an empty sample.
    """
    if total == 0:
        return float("nan"), float("nan")
    # Loading it takes a second, which the help pages should not need.
    from scipy.stats import binomtest

    low, high = binomtest(count, total).proportion_ci(LEVEL, method="wilson")
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Resampling:
    """The one set of bootstrap resamples that all figures of a run share, so that they can be compared.

    Whole groups (patients) are drawn with replacement; the weight of an image is how often its group was drawn. If
    every image is a separate group, proportions have Wilson's interval instead, which needs no draws.
    """

    group: Ints
    """(N,) group number of each image, from 0."""
    seed: int = 0
    replicates: int = REPLICATES

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(np.unique(self.group).size)

    @property
    def clustered(self) -> bool:
        """Whether some group holds more than one image."""
        return self.groups < self.group.size

    @cached_property
    def _draws(self) -> Floats:
        groups = int(self.group.max()) + 1 if self.group.size else 0
        rng = np.random.default_rng(self.seed)
        draws = (
            rng.multinomial(groups, np.full(groups, 1 / groups), size=self.replicates) if groups else np.zeros((0, 0))
        )
        return np.asarray(draws, dtype=np.float64)

    def interval(self, statistic: Statistic, chunk: int = 2_000_000) -> tuple[float, float]:
        """Percentile interval of any statistic over the resampled groups.

        Resamples in which the statistic is undefined (a class is missing) are left out. NaN if none is left.

        Args:
            statistic: weights (B, N) -> values (B,), vectorised over the resamples.
            chunk: at most about this many weights are held at once.
        """
        return percentiles(self.resampled(statistic, chunk))

    def resampled(self, statistic: Statistic, chunk: int = 2_000_000) -> Floats:
        """The statistic of each resample, (replicates,); empty without images.

        Args:
            statistic: weights (B, N) -> values (B,), vectorised over the resamples.
            chunk: at most about this many weights are held at once.
        """
        if not self.group.size:
            return np.zeros(0)
        size = max(1, chunk // self.group.size)
        parts = [self._draws[start : start + size] for start in range(0, self.replicates, size)]
        return np.concatenate([statistic(part[:, self.group]) for part in parts])

    def estimate(self, statistic: Statistic, note: str) -> Estimate:
        """The statistic of all images, with its bootstrap interval; `note` is the reason if it is undefined.

        If every resample repeats the value (all images are the same), the bootstrap cannot show its uncertainty;
        the interval is then NaN instead of having no width.
        """
        value = float(statistic(np.ones((1, self.group.size)))[0]) if self.group.size else float("nan")
        if np.isnan(value):
            return undefined(note)
        low, high = self.interval(statistic)
        if not low < high:
            nan = float("nan")
            return Estimate(value, nan, nan, NONE, note=SAME)
        return Estimate(value, low, high, BOOTSTRAP)

    def proportion(self, share: Share, empty: str = "no image counts here") -> Estimate:
        """A proportion with its interval; `empty` is the reason if no image counts.

        If groups hold several images and the proportion is exactly 0 or 1, every resample repeats it and the
        bootstrap has no width. Wilson's interval for the number of groups is then used instead.
        """
        count, total = share.count, share.total
        if total == 0:
            return undefined(empty, total)
        groups = int(np.unique(self.group[share.among]).size)
        if groups == total:
            return Estimate(share.value, *wilson(count, total), WILSON, count, total)
        if count in {0, total}:
            return Estimate(share.value, *wilson(groups if count else 0, groups), WILSON_GROUPS, count, total)
        ends = self._ratio((share.hits & share.among).astype(np.float64), share.among.astype(np.float64))
        return Estimate(share.value, *ends, BOOTSTRAP, count, total)

    def mean(self, values: Floats, among: Bools, note: str) -> Estimate:
        """The mean of a measure over the images of `among` where it is defined, with its bootstrap interval.

        `total` is the number of those images. If only one image counts, or all have the same value, resamples
        repeat it and there is no interval.

        Args:
            values: (N,) one figure per image; NaN or infinite where it is undefined.
            among: (N,) images that count.
            note: why the mean may be undefined.
        """
        counts = among & np.isfinite(values)
        total = int(counts.sum())
        if not total:
            return undefined(note, total)
        kept = np.where(counts, values, 0.0)
        value = float(kept.sum() / total)
        low, high = self._ratio(kept, counts.astype(np.float64))
        if not low < high:
            nan = float("nan")
            return Estimate(value, nan, nan, NONE, None, total, SAME)
        return Estimate(value, low, high, BOOTSTRAP, None, total)

    def _ratio(self, numerator: Floats, denominator: Floats) -> tuple[float, float]:
        # Sums per group first: a resample then costs one product over groups instead of one over images.
        size = self._draws.shape[1]
        above = self._draws @ np.bincount(self.group, numerator, size)
        below = self._draws @ np.bincount(self.group, denominator, size)
        with np.errstate(invalid="ignore"):
            return percentiles(above / below)


def percentiles(values: Floats, *, ordered: bool = False) -> tuple[float, float]:
    """Both ends of the percentile interval of resampled values; NaN if no value is defined.

    Args:
        values: (replicates,); NaN where the statistic was undefined.
        ordered: use only resampled values, no value between two of them, so that they may be infinite.
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf" if ordered else "linear")
    return float(low), float(high)

"""Shares of images and their 95% intervals: Wilson's, for groups at an effective sample size; else the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np

from palpate.metrics.panel import Bools, Floats, Ints
from palpate.metrics.statistics import Counts, Projected, Statistic

LEVEL = 0.95
"""Confidence level of every interval."""
REPLICATES = 1000
"""Bootstrap resamples of the groups."""
MOST = 8192
"""More groups than this are gathered at random into this many blocks, which are resampled as a whole."""
_Z = 1.959963984540054
"""97.5 % of a normal distribution lie below it."""

WILSON = "Wilson"
BOOTSTRAP = "bootstrap over groups"
WILSON_GROUPS = "Wilson, effective sample size"
NEWCOMBE = "Newcombe"
NONE = "none"

SAME = "Every resample gives the same value, so there is no interval."


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


@dataclass(frozen=True, eq=False)
class Mean:
    """A mean as the value of each image, and the images that count; where a value is not finite it does not count."""

    values: Floats
    among: Bools


@dataclass(frozen=True, eq=False)
class Origin:
    """What a figure was computed from, so that it can be compared with the same figure of another model.

    It says nothing about a figure's value, so figures are equal whatever their origin.
    """

    of: Share | Mean | Statistic
    resampling: Resampling
    drawn: Floats | None = None
    """(replicates,) A statistic in each resample, so that it is not computed again."""

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Origin)

    __hash__ = object.__hash__


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval. NaN where it is undefined, and then `note` gives the reason."""

    value: float
    low: float
    high: float
    method: str
    """`Wilson`, `Wilson, effective sample size`, `bootstrap over groups`, `Newcombe` or `none`."""
    count: int | None = None
    """Hits, for a proportion."""
    total: int | None = None
    """Images that count, for a proportion or a mean."""
    note: str | None = None
    origin: Origin | None = field(default=None, compare=False, repr=False)
    """What it was computed from; None where it is made of other figures."""


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
def wilson(count: float, total: float) -> tuple[float, float]:
    """Wilson's score interval for `count` hits among `total` independent images, at 95%; NaN for an empty sample.

    It keeps its coverage near 0 and 1, where the textbook interval collapses. E. B. Wilson, JASA 22 (1927) 209.
    """
    if total == 0:
        return float("nan"), float("nan")
    low, high = score_interval(np.array(count / total), np.array(total))
    return float(low), float(high)


def score_interval(share: Floats, total: Floats) -> tuple[Floats, Floats]:
    """Both ends of Wilson's interval: (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.96.

    Args:
        share: any shape; p, from 0 to 1.
        total: the same shape; n above 0, which need not be whole.
    """
    scale = 1 + _Z**2 / total
    middle = (share + _Z**2 / (2 * total)) / scale
    half = _Z * np.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2)) / scale
    low, high = np.where(share == 0, 0.0, middle - half), np.where(share == 1, 1.0, middle + half)
    return np.clip(low, 0.0, share), np.clip(high, share, 1.0)


def effective_total(hits: Ints, sizes: Ints) -> Floats:
    """How many independent images the images of some groups are worth for a share: n / (1 + (m - 1) r).

    m = sum m_k^2 / n is the size of the group of an image, so the groups are worth G = n / m equal ones. r, from 0 to
    1, is the intra-class correlation that gives the variance seen, v = G/(G-1) sum (h_k - p m_k)^2 / n^2. If few groups
    have a hit, r is hardly known, and too low in most samples; so one more group counts whose images all agree:
    r = (c r_seen + 1) / (c + 1), c = G / K times the groups with a hit or those with a miss, whichever are fewer.
    L. Kish, Survey Sampling (1965); the added group was chosen by simulation, `benchmarks/coverage.py`.

    Args:
        hits: (..., K) hits in each group.
        sizes: (..., K) images in each group, at least one.

    Returns:
        (...) at most n, at least 1; G without a hit.
    """
    total = sizes.sum(-1)
    size, share = (sizes**2).sum(-1) / total, hits.sum(-1) / total
    groups = total / size
    apart = ((hits - share[..., None] * sizes) ** 2).sum(-1) / total**2
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = apart * groups / (groups - 1) * total / (share * (1 - share))
        seen = np.clip((effect - 1) / (size - 1), 0.0, 1.0)
    known = np.minimum((hits > 0).sum(-1), (hits < sizes).sum(-1)) * groups / hits.shape[-1]
    alike = (known * np.nan_to_num(seen, nan=1.0) + 1) / (known + 1)
    worth: Floats = total / (1 + (size - 1) * alike)
    return worth


@lru_cache(maxsize=4096)
def tail(groups: int) -> float:
    """The share of resamples left out at each end of a percentile interval: less than 2.5 % for few groups.

    Resamples of K groups vary less than samples do, by sqrt((K - 1) / K), and their spread is only an estimate; so
    it is Phi(-sqrt(K / (K - 1)) t), t the 97.5 % point of Student's distribution with K - 1 degrees of freedom.
    T. C. Hesterberg, Am. Stat. 69 (2015) 371, the expanded percentile interval.
    """
    if groups < 2:
        return (1 - LEVEL) / 2
    # Loading it takes half a second, which the help pages should not need; scipy.stats takes a second more.
    from scipy.special import ndtr, stdtrit

    return float(ndtr(-np.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, (1 + LEVEL) / 2)))


@dataclass(frozen=True, eq=False)
class Resampling:
    """The one set of bootstrap resamples that all figures of a run share, so that they can be compared.

    Whole groups (patients) are drawn with replacement; the weight of an image is how often its group was drawn.
    Proportions have Wilson's interval instead, which needs no draws. The groups of more than `MOST` groups are gathered
    at random into blocks that are drawn instead: a sum over blocks varies as the sum over their groups does, and the
    time and memory of a figure no longer grow with the number of resamples times that of patients.
    """

    group: Ints
    """(N,) group number of each image, from 0."""
    seed: int = 0
    replicates: int = REPLICATES

    @cached_property
    def groups(self) -> int:
        """Number of groups."""
        return _distinct(self.group)

    @property
    def clustered(self) -> bool:
        """Whether some group holds more than one image."""
        return self.groups < self.group.size

    @cached_property
    def _unit(self) -> Ints:
        """(N,) What is drawn as a whole: the group of each image, or its block."""
        numbers = int(self.group.max()) + 1 if self.group.size else 0
        if numbers <= MOST:
            return self.group
        # Another stream than that of the draws.
        block: Ints = np.random.default_rng((self.seed, 1)).permutation(numbers) % MOST
        return block[self.group]

    @property
    def _gathered(self) -> bool:
        return self._unit is not self.group

    @cached_property
    def _draws(self) -> Floats:
        units = int(self._unit.max()) + 1 if self.group.size else 0
        rng = np.random.default_rng(self.seed)
        draws = rng.multinomial(units, np.full(units, 1 / units), size=self.replicates) if units else np.zeros((0, 0))
        return np.asarray(draws, dtype=np.float64)

    def interval(self, statistic: Statistic, chunk: int = 2_000_000) -> tuple[float, float]:
        """Expanded percentile interval of any statistic over the resampled groups.

        Resamples in which the statistic is undefined (a class is missing) are left out. NaN if none is left.

        Args:
            statistic: weights (B, N) -> values (B,), vectorised over the resamples.
            chunk: at most about this many weights are held at once.
        """
        return percentiles(self.resampled(statistic, chunk), self.groups)

    def resampled(self, statistic: Statistic, chunk: int = 2_000_000) -> Floats:
        """The statistic of each resample, (replicates,); empty without images.

        Args:
            statistic: weights (B, N) -> values (B,), vectorised over the resamples.
            chunk: at most about this many weights are held at once.
        """
        if not self.group.size:
            return np.zeros(0)
        if isinstance(statistic, Counts):
            return statistic.of(self._draws @ statistic.sums(self._unit, self._draws.shape[1]))
        if isinstance(statistic, Projected) and self._gathered:
            return self._projected(statistic)
        size = max(1, chunk // self.group.size)
        parts = [self._draws[start : start + size] for start in range(0, self.replicates, size)]
        return np.concatenate([statistic(part[:, self._unit]) for part in parts])

    def _projected(self, statistic: Projected) -> Floats:
        value, (tops, bottoms) = float(statistic.exact(np.ones((1, self.group.size)))[0]), statistic.parts()
        drawn = np.full(self.replicates, value)
        with np.errstate(invalid="ignore", divide="ignore"):
            for top, bottom in zip(tops.T, bottoms.T, strict=True):
                drawn += self._sums(top) / self._sums(bottom) - top.sum() / bottom.sum()
        return drawn

    def _sums(self, values: Floats) -> Floats:
        """(replicates,) The sum of some values of the images in each resample."""
        # Sums per group first: a resample then costs one product over groups instead of one over images.
        return self._draws @ np.bincount(self._unit, values, self._draws.shape[1])

    def estimate(self, statistic: Statistic, note: str) -> Estimate:
        """The statistic of all images, with its bootstrap interval; `note` is the reason if it is undefined.

        If every resample repeats the value (all images are the same), the bootstrap cannot show its uncertainty;
        the interval is then NaN instead of having no width.
        """
        value = float(statistic(np.ones((1, self.group.size)))[0]) if self.group.size else float("nan")
        if np.isnan(value):
            return replace(undefined(note), origin=Origin(statistic, self))
        drawn = self.resampled(statistic)
        low, high = percentiles(drawn, self.groups)
        origin = Origin(statistic, self, drawn)
        if not low < high:
            nan = float("nan")
            return Estimate(value, nan, nan, NONE, note=SAME, origin=origin)
        return Estimate(value, low, high, BOOTSTRAP, origin=origin)

    def proportion(self, share: Share, empty: str = "no image counts here") -> Estimate:
        """A proportion with Wilson's interval; `empty` is the reason if no image counts.

        If groups hold several images, they count as the independent images that they are worth.
        """
        return replace(self._proportion(share, empty), origin=Origin(share, self))

    def _proportion(self, share: Share, empty: str) -> Estimate:
        count, total = share.count, share.total
        if total == 0:
            return undefined(empty, total)
        sizes = np.bincount(self.group[share.among])
        there = sizes > 0
        if int(there.sum()) == total:
            return Estimate(share.value, *wilson(count, total), WILSON, count, total)
        hits = np.bincount(self.group[share.hits & share.among], minlength=sizes.size)
        worth = float(effective_total(hits[there], sizes[there]))
        return Estimate(share.value, *wilson(share.value * worth, worth), WILSON_GROUPS, count, total)

    def mean(self, values: Floats, among: Bools, note: str) -> Estimate:
        """The mean of a measure over the images of `among` where it is defined, with its bootstrap interval.

        `total` is the number of those images. If only one image counts, or all have the same value, resamples
        repeat it and there is no interval.

        Args:
            values: (N,) one figure per image; NaN or infinite where it is undefined.
            among: (N,) images that count.
            note: why the mean may be undefined.
        """
        return replace(self._mean(values, among, note), origin=Origin(Mean(values, among), self))

    def _mean(self, values: Floats, among: Bools, note: str) -> Estimate:
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
        with np.errstate(invalid="ignore"):
            return percentiles(self._sums(numerator) / self._sums(denominator), _distinct(self.group[denominator > 0]))


def _distinct(group: Ints) -> int:
    """How many groups there are among these images."""
    return int(np.count_nonzero(np.bincount(group)))


def percentiles(values: Floats, groups: int | None = None, *, ordered: bool = False) -> tuple[float, float]:
    """Both ends of the expanded percentile interval of resampled values; NaN if no value is defined.

    Args:
        values: (replicates,); NaN where the statistic was undefined.
        groups: groups that were resampled; without them 2.5 % are left out at each end, which is too much for few.
        ordered: use only resampled values, no value between two of them, so that they may be infinite.
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    out = (1 - LEVEL) / 2 if groups is None else tail(groups)
    low, high = np.quantile(defined, [out, 1 - out], method="inverted_cdf" if ordered else "linear")
    return float(low), float(high)

"""Statistics of images that can be computed for many resamples at once, some of them from sums by group alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from palpate.metrics.panel import Floats, Ints

Statistic = Callable[[Floats], Floats]
"""Weights (B, N), one row per resample -> values (B,). NaN where the statistic is undefined."""


@dataclass(frozen=True, eq=False)
class Counts:
    """A statistic of weighted counts of images by kind. Counts are added by group before groups are drawn."""

    kind: Ints
    """(N,) kind of each image, from 0; -1 where it does not count."""
    kinds: int
    of: Statistic
    """Counts (B, kinds) -> values (B,)."""

    def __call__(self, weights: Floats) -> Floats:
        """The statistic for weights (B, N)."""
        counts, kind = self.kind >= 0, self.kind[self.kind >= 0]
        rows = [np.bincount(kind, row[counts], self.kinds) for row in weights]
        return self.of(np.stack(rows) if rows else np.zeros((0, self.kinds)))

    def sums(self, unit: Ints, units: int) -> Floats:
        """(units, kinds) The counts of the images of each unit."""
        counts = self.kind >= 0
        found = np.bincount(unit[counts] * self.kinds + self.kind[counts], minlength=units * self.kinds)
        return found.reshape(units, self.kinds).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Projected:
    """A statistic whose resamples differ from its value, to first order, by ratios of sums over images.

    With many groups the rest is far below the width of the interval, and sums by group cost little.
    """

    exact: Statistic
    parts: Callable[[], tuple[Floats, Floats]]
    """(N, T) tops and bottoms: a resample is sum_t (sum_i w_i top / sum_i w_i bottom) less the same for w = 1, plus
    the value."""

    def __call__(self, weights: Floats) -> Floats:
        """The statistic for weights (B, N)."""
        return self.exact(weights)

"""Helpers for tests of figures with bootstrap intervals."""

from __future__ import annotations

import math

import numpy as np

from palpate.metrics.intervals import Resampling, tail
from palpate.metrics.stability import by_group


def single(count: int) -> Resampling:
    return by_group(np.arange(count))


def every(count: int):
    return np.ones(count, dtype=bool)


def mask(*hits: int):
    return np.array(hits, dtype=bool)


def is_undefined(estimate, words: str) -> bool:
    return math.isnan(estimate.value) and math.isnan(estimate.low) and words in estimate.note


def repeated(resampling: Resampling, values, figure):
    """The expanded percentile interval with every resample written out, image by image."""
    found = []
    for draw in resampling._draws:
        sample = np.repeat(values, draw[resampling.group].astype(int), axis=0)
        found.append(figure(sample) if len(sample) else float("nan"))
    out = tail(resampling.groups)
    return np.nanquantile(found, [out, 1 - out])

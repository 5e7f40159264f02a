from __future__ import annotations

import warnings

import numpy as np
import pytest
from benchmarks.stability_spreads import kept, quantile

from tests.metrics.resampled import every, is_undefined, single

NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_quantiles_are_tried_values_and_their_ends_may_be_unbounded():
    values = np.array([4.0, 1.0, 2.0, INF, 2.0, INF, 1.0])
    one = quantile(values, every(7), 0.5, single(7))
    assert one.value == 2.0 and one.total == 7
    ends = [np.quantile(repeated_values(values), q, method="inverted_cdf") for q in (0.025, 0.975)]
    assert [one.low, one.high] == ends == [1.0, INF]


def repeated_values(values):
    return [
        np.quantile(np.repeat(values, draw.astype(int)), 0.5, method="inverted_cdf")
        for draw in single(len(values))._draws
    ]


def test_a_ratio_of_drops_is_one_of_sums_and_needs_a_drop():
    before, after = np.array([0.5, 0.3, 0.2, NAN]), np.array([0.1, 0.3, 0.0, 0.9])
    one = kept(before, after, every(4), single(4))
    assert one.value == pytest.approx(0.4) and one.total == 3
    assert is_undefined(kept(-before, after, every(4), single(4)), "lowers no score")
    assert is_undefined(kept(np.zeros(4), after, every(4), single(4)), "lowers no score")
    assert is_undefined(kept(before, after, ~every(4), single(4)), "No image")
    assert is_undefined(kept(None, after, every(4), single(4)), "No scores")

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from palpate.errors import InputError
from palpate.metrics.intervals import BOOTSTRAP, wilson
from palpate.metrics.spreads import deviation, mean, spread
from palpate.metrics.stability import across_images, across_restarts, by_group
from tests.metrics.resampled import every, is_undefined, mask, repeated, single

NAN = float("nan")


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# Primitives


@settings(deadline=None, max_examples=60)
@given(arrays(float, 6, elements=st.floats(-9, 9, width=16)), arrays(int, (3, 6), elements=st.integers(0, 4)))
def test_weighted_figures_are_those_of_repeated_images(values, weights):
    for row, sd, middle in zip(
        weights, deviation(weights.astype(float), values), mean(weights.astype(float), values), strict=True
    ):
        sample = np.repeat(values, row)
        assert np.isclose(sd, np.std(sample, ddof=1), atol=1e-9) if len(sample) > 1 else math.isnan(sd)
        assert np.isclose(middle, sample.mean()) if len(sample) else math.isnan(middle)


def test_equal_values_have_no_spread_at_all_and_no_interval():
    one = spread(np.full(7, 0.1), every(7), single(7))
    assert one.value == 0.0 and math.isnan(one.low) and one.total == 7


def test_the_interval_of_a_spread_draws_whole_patients():
    values = np.array([0.1, 0.4, 0.2, 0.9, 0.5, 0.3, 0.8])
    resampling = by_group(["a", "a", "b", "b", "b", "c", "d"])
    one = spread(values, every(7), resampling)
    assert one.value == pytest.approx(np.std(values, ddof=1)) and one.method == BOOTSTRAP
    assert [one.low, one.high] == pytest.approx(repeated(resampling, values, lambda s: np.std(s, ddof=1)))


# 1. Across images


def test_across_images_by_hand():
    clean, score = np.array([0.9, 0.8, 0.7, 0.6, 1.0]), np.array([0.5, 0.8, 0.1, NAN, 0.0])
    one = across_images(clean, score, mask(1, 0, 1, 1, 1), mask(1, 1, 1, 1, 0), single(5))
    assert one.drop.value == pytest.approx((0.4 + 0.0 + 0.6) / 3) and one.drop.total == 3
    assert one.spread.value == pytest.approx(np.std([0.4, 0.0, 0.6], ddof=1)) and one.spread.total == 3
    assert (one.success.count, one.success.total) == (3, 4)
    assert (one.success.low, one.success.high) == wilson(3, 4)


def test_across_images_of_none_and_of_one():
    clean, score = np.array([0.9, 0.8]), np.array([0.4, 0.1])
    none = across_images(clean, score, mask(1, 1), mask(0, 0), single(2))
    assert is_undefined(none.drop, "No image") and is_undefined(none.success, "No image")
    assert is_undefined(none.spread, "two")
    one = across_images(clean, score, mask(1, 1), mask(1, 0), single(2))
    assert one.drop.value == 0.5 and is_undefined(one.spread, "two") and one.success.value == 1.0
    empty = across_images(np.zeros(0), np.zeros(0), mask(), mask(), single(0))
    assert is_undefined(empty.drop, "No image") and is_undefined(empty.spread, "two")
    with pytest.raises(InputError, match="each of the 2 images"):
        across_images(clean[:1], score[:1], mask(1), mask(1), single(2))


# 2. Across restarts


def test_across_restarts_by_hand():
    drops = np.array([[0.1, 0.5, 0.0, 0.9], [0.3, 0.5, NAN, 0.1], [0.2, 0.5, 0.0, 0.5]])
    success = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 1, 0, 1]], dtype=bool)
    one = across_restarts(drops, success, mask(1, 1, 1, 0), single(4), np.array([0.5, 0.7, NAN, 9.0]))
    assert one.spread.value == pytest.approx(math.sqrt((0.01 + 0.0) / 2)) and one.spread.total == 2
    assert (one.differing.count, one.differing.total) == (1, 3)
    assert one.change.value == pytest.approx(0.6) and one.change.total == 2


def test_no_spread_over_one_seed_nor_of_what_draws_nothing():
    drops, success = np.array([[0.1, 0.5]]), np.array([[True, False]])
    assert all(
        is_undefined(one, "over seeds needs at least two seeds")
        for one in vars(across_restarts(drops, success, every(2), single(2))).values()
    )
    fixed = across_restarts(np.tile(drops, (3, 1)), np.tile(success, (3, 1)), every(2), single(2), draws=False)
    assert all(is_undefined(one, "no random numbers") for one in vars(fixed).values())
    nothing = across_restarts(np.full((2, 2), NAN), np.zeros((2, 2), bool), every(2), single(2))
    assert is_undefined(nothing.spread, "No image") and nothing.differing.value == 0.0
    assert is_undefined(nothing.change, "No change")
    with pytest.raises(InputError, match="each seed"):
        across_restarts(drops, np.tile(success, (2, 1)), every(2), single(2))

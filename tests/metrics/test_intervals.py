from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from palpate.metrics.intervals import BOOTSTRAP, WILSON, WILSON_GROUPS, Resampling, Share, wilson


def by_hand(count: int, total: int) -> tuple[float, float]:
    z = norm.ppf(0.975)
    p = count / total
    middle = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * np.sqrt(p * (1 - p) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    return middle - half, middle + half


@given(st.integers(1, 400), st.data())
@settings(max_examples=50, deadline=None)
def test_wilson_is_its_formula(total, data):
    count = data.draw(st.integers(0, total))
    low, high = wilson(count, total)
    expected = by_hand(count, total)
    assert low == pytest.approx(max(0.0, expected[0]), abs=1e-9)
    assert high == pytest.approx(min(1.0, expected[1]), abs=1e-9)
    assert 0 <= low <= count / total <= high <= 1


def test_an_empty_sample_has_no_interval_and_says_so():
    assert np.isnan(wilson(0, 0)).all()
    nobody = Share(np.array([True, False]), np.array([False, False]))
    estimate = Resampling(np.arange(2)).proportion(nobody, "no image of this class")
    assert np.isnan([estimate.value, estimate.low, estimate.high]).all()
    assert (estimate.note, estimate.total) == ("no image of this class", 0)


def test_single_images_take_wilson():
    share = Share(np.array([True, False, True, True]), np.array([True, True, True, False]))
    estimate = Resampling(np.arange(4)).proportion(share)
    assert (estimate.count, estimate.total, estimate.method) == (2, 3, WILSON)
    assert (estimate.low, estimate.high) == wilson(2, 3)


def test_groups_that_repeat_one_image_are_as_wide_as_the_groups_alone():
    rng = np.random.default_rng(0)
    hits = rng.random(80) < 0.4
    repeated = Resampling(np.repeat(np.arange(80), 5))
    estimate = repeated.proportion(Share(np.repeat(hits, 5), np.ones(400, dtype=bool)))
    low, high = wilson(int(hits.sum()), 80)
    assert estimate.method == BOOTSTRAP and estimate.value == pytest.approx(hits.mean())
    assert estimate.high - estimate.low == pytest.approx(high - low, rel=0.1)
    narrow = wilson(int(hits.sum()) * 5, 400)
    assert estimate.high - estimate.low > 1.8 * (narrow[1] - narrow[0])


@pytest.mark.parametrize("hit", [True, False])
def test_where_the_bootstrap_has_no_width_wilson_over_groups_is_used(hit):
    share = Share(np.full(30, hit), np.ones(30, dtype=bool))
    estimate = Resampling(np.repeat(np.arange(10), 3)).proportion(share)
    assert estimate.method == WILSON_GROUPS
    assert (estimate.low, estimate.high) == wilson(10 if hit else 0, 10)


def test_the_proportion_and_the_general_bootstrap_agree():
    rng = np.random.default_rng(1)
    hits, group = rng.random(90) < 0.5, np.repeat(np.arange(30), 3)
    resampling = Resampling(group, seed=3)
    general = resampling.interval(lambda weights: weights @ hits / weights.sum(axis=1))
    estimate = resampling.proportion(Share(hits, np.ones(90, dtype=bool)))
    assert (estimate.low, estimate.high) == pytest.approx(general, abs=1e-12)


def test_the_seed_fixes_the_interval_and_chunks_do_not_change_it():
    rng = np.random.default_rng(2)
    values, group = rng.normal(size=50), np.repeat(np.arange(25), 2)

    def mean(weights):
        return weights @ values / weights.sum(axis=1)

    one = Resampling(group, seed=1)
    assert one.interval(mean) == Resampling(group, seed=1).interval(mean)
    assert one.interval(mean) == pytest.approx(one.interval(mean, chunk=50), abs=1e-12)
    assert one.interval(mean) != Resampling(group, seed=2).interval(mean)


def test_the_bootstrap_of_a_mean_has_the_width_that_theory_gives():
    values = np.random.default_rng(3).normal(size=400)
    low, high = Resampling(np.arange(400)).interval(lambda weights: weights @ values / weights.sum(axis=1))
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_an_undefined_statistic_is_said():
    estimate = Resampling(np.arange(3)).estimate(lambda weights: np.full(len(weights), np.nan), "one class only")
    assert np.isnan(estimate.value) and estimate.note == "one class only"
    assert np.isnan(Resampling(np.arange(0)).interval(lambda weights: weights.sum(axis=1))).all()


def test_a_bootstrap_without_width_claims_no_certainty():
    estimate = Resampling(np.arange(9)).estimate(lambda weights: np.ones(len(weights)), "never")
    assert estimate.value == 1.0 and np.isnan([estimate.low, estimate.high]).all()
    assert estimate.method == "none" and "no interval" in (estimate.note or "")

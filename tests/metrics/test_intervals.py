from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from palpate.metrics.intervals import (
    WILSON,
    WILSON_GROUPS,
    Resampling,
    Share,
    effective_total,
    percentiles,
    tail,
    wilson,
)


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
    hits = np.random.default_rng(0).random(80) < 0.4
    repeated = Resampling(np.repeat(np.arange(80), 5))
    estimate = repeated.proportion(Share(np.repeat(hits, 5), np.ones(400, dtype=bool)))
    assert estimate.method == WILSON_GROUPS and estimate.value == pytest.approx(hits.mean())
    assert (estimate.low, estimate.high) == pytest.approx(wilson(int(hits.sum()), 80))


@pytest.mark.parametrize("hit", [True, False])
def test_where_all_images_agree_the_groups_count(hit):
    share = Share(np.full(30, hit), np.ones(30, dtype=bool))
    estimate = Resampling(np.repeat(np.arange(10), 3)).proportion(share)
    assert estimate.method == WILSON_GROUPS
    assert (estimate.low, estimate.high) == pytest.approx(wilson(10 if hit else 0, 10))


def test_one_hit_among_ten_patients_is_not_the_end_of_the_uncertainty():
    hits = np.zeros(100, dtype=bool)
    hits[3] = True
    estimate = Resampling(np.repeat(np.arange(10), 10)).proportion(Share(hits, np.ones(100, dtype=bool)))
    assert (estimate.value, estimate.count, estimate.total) == (0.01, 1, 100)
    # The variance between patients is about that of single images, r = 0; the added patient makes it 1/2.
    assert (estimate.low, estimate.high) == pytest.approx(wilson(0.01 * 100 / 5.5, 100 / 5.5), rel=0.01)
    assert estimate.high > 0.15


def test_the_effective_total_is_its_formula():
    hits, sizes = np.array([4, 0, 1, 3]), np.array([4, 2, 3, 3])
    total, p = 12, 8 / 12
    size = (16 + 4 + 9 + 9) / total
    groups = total / size
    variance = groups / (groups - 1) * sum((h - p * m) ** 2 for h, m in zip(hits, sizes, strict=True)) / total**2
    seen = (variance * total / (p * (1 - p)) - 1) / (size - 1)
    assert 0 < seen < 1
    # Patients 1, 3 and 4 have a hit, patients 2 and 3 a miss: the fewer are 2.
    fewer = 2 * groups / 4
    expected = total / (1 + (size - 1) * (fewer * seen + 1) / (fewer + 1))
    assert float(effective_total(hits, sizes)) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_images_are_worth_at_least_one_and_at_most_themselves(patients):
    sizes = np.array([size for size, _ in patients])
    hits = np.array([min(size, hit) for size, hit in patients])
    worth = float(effective_total(hits, sizes))
    assert 1 - 1e-9 <= worth <= sizes.sum() + 1e-9
    stacked = effective_total(np.stack([hits, hits]), np.stack([sizes, sizes]))
    assert stacked == pytest.approx([worth, worth])
    if (sizes == 1).all():
        assert worth == sizes.sum()


def test_few_groups_leave_out_less_at_each_end():
    assert tail(1) == pytest.approx(0.025) and tail(10**6) == pytest.approx(0.025, rel=1e-4)
    assert tail(10) == pytest.approx(norm.cdf(-np.sqrt(10 / 9) * 2.262157), rel=1e-5)
    assert all(tail(few) < tail(few + 1) for few in range(2, 30))


def test_a_mean_has_the_percentiles_of_the_groups_that_count():
    values, group = np.random.default_rng(1).normal(size=24), np.repeat(np.arange(12), 2)
    resampling, among = Resampling(group), np.arange(24) < 16
    drawn = resampling.resampled(lambda weights: weights @ np.where(among, values, 0) / (weights @ among))
    estimate = resampling.mean(values, among, "")
    assert (estimate.low, estimate.high) == pytest.approx(percentiles(drawn, 8))
    assert percentiles(drawn)[0] > estimate.low


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

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from benchmarks.stability_measures import (
    across_models,
    after_the_clinic,
    change_spread,
    eps_quartiles,
    paired,
    relative_drop,
)
from scipy import stats

from palpate.errors import InputError
from palpate.metrics.robustness import smallest_eps
from tests.metrics.handmade import panel, record
from tests.metrics.resampled import every, is_undefined, mask, single

NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_relative_drop_needs_a_clean_score_to_lose():
    assert relative_drop(np.array([0.8, 0.5, 0.0, NAN]), np.array([0.2, 0.6, 0.0, 0.1])) == pytest.approx(
        [0.75, -0.2, NAN, NAN], nan_ok=True
    )


def test_smallest_budgets_are_censored_not_guessed():
    rows = [
        record(row, eps=eps, success=eps >= least)
        for row, least in enumerate([1.0, 1.0, 2.0, 4.0, 9.0, 9.0, 9.0, 9.0])
        for eps in (1.0, 2.0, 4.0)
    ] + [record(8, eps=eps, eligible=False) for eps in (1.0, 2.0, 4.0)]
    smallest = smallest_eps(panel(rows).outcomes[0])
    one = eps_quartiles(smallest, single(9))
    assert (one.lower.value, one.median.value) == (1.0, 4.0) and one.median.high == INF
    assert is_undefined(one.upper, "Too few")
    assert (one.unbeaten.count, one.unbeaten.total) == (4, 8)
    assert is_undefined(eps_quartiles(np.full(3, NAN), single(3)).median, "No image")


def test_the_spread_of_changes_against_what_the_ball_gives():
    rng = np.random.default_rng(0)
    signs = rng.choice([-3.0, 3.0], size=(2, 1, 3, 200, 200))
    assert change_spread(signs, 3.0) == pytest.approx([math.sqrt(0.5)], abs=0.01)
    assert change_spread(np.repeat(signs[:1], 4, axis=0), 3.0) == [0.0]
    assert change_spread(rng.uniform(-3, 3, (2, 1, 90_000)), 3.0) == pytest.approx([math.sqrt(2) / 3], abs=0.01)
    assert np.isnan(change_spread(signs[:1], 3.0)).all()
    for bad in (0.0, NAN):
        with pytest.raises(InputError, match="eps above 0"):
            change_spread(signs, bad)


def test_after_the_clinic_counts_apart_what_the_handling_does_alone():
    success, eligible = mask(1, 1, 1, 1, 0, 1), mask(1, 1, 1, 1, 1, 0)
    after, alone = np.array([-1, 1, -1, NAN, -1, -1]), np.array([1, 1, -1, 1, 1, -1])
    drop, handled = np.array([0.4, 0.6, 0.5, NAN, 0.0, 9.0]), np.array([0.2, 0.1, 0.3, 0.2, 0.0, 9.0])
    one = after_the_clinic(success, eligible, after, alone, single(6), drop=drop, handled_drop=handled)
    assert (one.survived.count, one.survived.total) == (2, 3)
    assert (one.survived_net.count, one.survived_net.total) == (1, 2)
    assert (one.alone.count, one.alone.total) == (1, 3)
    assert one.kept.value == pytest.approx(0.6 / 1.5) and one.kept.total == 4


def test_after_a_handling_that_was_not_measured():
    one = after_the_clinic(mask(1, 0), every(2), np.full(2, NAN), np.full(2, NAN), single(2))
    assert is_undefined(one.survived, "beaten before") and is_undefined(
        one.survived_net, "but not by post-processing alone"
    )
    assert is_undefined(one.alone, "not measured") and is_undefined(one.kept, "No scores")


def test_transfer_counts_images_that_both_networks_have_right():
    success, eligible = mask(1, 1, 0, 1, 1, 0), mask(1, 1, 1, 1, 0, 1)
    margin, clean = np.array([-1.0, 2, -1, -3, -1, NAN]), np.array([1.0, 1, 1, -1, 1, 1])
    one = across_models(
        success,
        eligible,
        margin,
        clean,
        single(6),
        drop=np.full(6, 0.5),
        transfer_drop=np.array([0.3, 0, 0.3, 9, 9, 9]),
    )
    assert one.both == 3
    assert (one.first.count, one.second.count, one.second.total) == (2, 2, 3)
    assert (one.carried.count, one.carried.total) == (1, 2)
    assert one.kept.value == pytest.approx(0.4)
    none = across_models(success, eligible, margin, np.full(6, NAN), single(6))
    assert none.both == 0 and is_undefined(none.second, "right on both") and is_undefined(none.carried, "first network")


def test_two_attacks_on_the_same_images():
    rng = np.random.default_rng(4)
    one = rng.normal(0.5, 0.2, 40)
    two = one - rng.normal(0.1, 0.01, 40)
    two[0] = NAN
    first, second = np.arange(40) < 30, np.arange(40) < 20
    found = paired((one, first), (two, second), every(40), single(40))
    assert found.mean.value == pytest.approx((one - two)[1:].mean()) and found.mean.total == 39
    assert found.mean.high - found.mean.low < 0.01, "the images' own spread falls out"
    assert found.spread.value == pytest.approx(np.std(one[1:], ddof=1) - np.std(two[1:], ddof=1))
    assert (found.success.only_first, found.success.only_second) == (10, 0)
    assert found.success.p_value == pytest.approx(stats.binomtest(0, 10).pvalue)
    nothing = paired((one, first), (two, second), ~every(40), single(40))
    assert is_undefined(nothing.mean, "No image") and is_undefined(nothing.spread, "two")

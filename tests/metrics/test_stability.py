from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from palpate.errors import InputError
from palpate.metrics.intervals import BOOTSTRAP, Resampling, wilson
from palpate.metrics.robustness import smallest_eps
from palpate.metrics.spreads import deviation, kept, mean, quantile, spread
from palpate.metrics.stability import (
    across_images,
    across_models,
    across_restarts,
    after_the_clinic,
    by_group,
    change_spread,
    eps_quartiles,
    paired,
    relative_drop,
)
from palpate.metrics.stability_worlds import World, across_modalities, compare_modalities
from tests.metrics.handmade import panel, record

NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def single(count: int) -> Resampling:
    return by_group(np.arange(count))


def every(count: int):
    return np.ones(count, dtype=bool)


def mask(*hits: int):
    return np.array(hits, dtype=bool)


def is_undefined(estimate, words: str) -> bool:
    return math.isnan(estimate.value) and math.isnan(estimate.low) and words in estimate.note


def repeated(resampling: Resampling, values, figure):
    """The percentile interval with every resample written out, image by image."""
    found = []
    for draw in resampling._draws:
        sample = np.repeat(values, draw[resampling.group].astype(int), axis=0)
        found.append(figure(sample) if len(sample) else NAN)
    return np.nanquantile(found, [0.025, 0.975])


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


def test_relative_drop_needs_a_clean_score_to_lose():
    assert relative_drop(np.array([0.8, 0.5, 0.0, NAN]), np.array([0.2, 0.6, 0.0, 0.1])) == pytest.approx(
        [0.75, -0.2, NAN, NAN], nan_ok=True
    )


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
        is_undefined(one, "over seeds needs two")
        for one in vars(across_restarts(drops, success, every(2), single(2))).values()
    )
    fixed = across_restarts(np.tile(drops, (3, 1)), np.tile(success, (3, 1)), every(2), single(2), draws=False)
    assert all(is_undefined(one, "no random numbers") for one in vars(fixed).values())
    nothing = across_restarts(np.full((2, 2), NAN), np.zeros((2, 2), bool), every(2), single(2))
    assert is_undefined(nothing.spread, "No image") and nothing.differing.value == 0.0
    assert is_undefined(nothing.change, "No change")
    with pytest.raises(InputError, match="each seed"):
        across_restarts(drops, np.tile(success, (2, 1)), every(2), single(2))


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


# 3. Across modalities


def world(values, seed: int = 0) -> World:
    return World(np.asarray(values, float), by_group(np.arange(len(values)), seed))


def test_across_modalities_by_hand():
    worlds = {"ct": world([0.2, 0.4]), "fundus": world([0.9, NAN, 0.7]), "none": world([NAN]), "polyps": world([0.5])}
    one = across_modalities(worlds)
    assert [estimate.value for estimate in one.worlds.values()] == pytest.approx([0.3, 0.8, NAN, 0.5], nan_ok=True)
    means = [0.3, 0.8, 0.5]
    assert one.mean.value == pytest.approx(np.mean(means)) and one.mean.total == 3
    assert one.spread.value == pytest.approx(np.std(means, ddof=1))
    assert one.extent.value == pytest.approx(0.5) and one.extent.low < 0.5 <= one.extent.high


def test_the_stratified_bootstrap_against_the_formula_for_two_large_worlds():
    rng = np.random.default_rng(1)
    one, two = rng.normal(0.4, 0.1, 400), rng.normal(0.9, 0.2, 400)
    found = across_modalities({"a": world(one), "b": world(two)})
    error = math.hypot(stats.sem(one), stats.sem(two))
    low, high = stats.norm.interval(0.95, abs(one.mean() - two.mean()), error)
    assert (found.extent.low, found.extent.high) == pytest.approx((low, high), abs=0.003)
    assert found.noise == pytest.approx(error / math.sqrt(2), rel=0.06)


def test_worlds_of_one_size_do_not_share_their_draws():
    values = np.random.default_rng(2).normal(size=50)
    found = across_modalities({"a": world(values), "b": world(values + 1)})
    assert found.extent.low < 0.9 and found.extent.high > 1.1, "with shared draws the difference would always be 1"


def test_too_few_worlds():
    one = across_modalities({"a": world([0.1, 0.5]), "b": world([NAN, NAN])})
    assert one.mean.value == pytest.approx(0.3) and is_undefined(one.spread, "two") and is_undefined(one.extent, "two")
    none = across_modalities({})
    assert is_undefined(none.mean, "No image") and math.isnan(none.noise)


def test_two_attacks_over_the_same_worlds_are_resampled_together():
    rng = np.random.default_rng(3)
    worlds = {"a": rng.normal(0.3, 0.2, 30), "b": rng.normal(0.8, 0.2, 30)}
    first = {name: world(values) for name, values in worlds.items()}
    moved = {name: world(values + 0.1) for name, values in worlds.items()}
    same = compare_modalities(first, moved)
    assert same.value == pytest.approx(0) and max(abs(same.low), abs(same.high)) < 1e-9, "one shift for all worlds"
    other = {name: World(one.strength, by_group(np.arange(30), 7)) for name, one in moved.items()}
    assert compare_modalities(first, other) == same, "the first attack's draws serve both"
    other["a"].strength[:10] = NAN
    assert compare_modalities(first, other).value == pytest.approx(0), "images that one lacks count for neither"
    wider = {"a": first["a"], "b": moved["b"]}
    gap = math.sqrt(0.5) * -0.1
    assert compare_modalities(first, wider).value == pytest.approx(gap)
    assert is_undefined(compare_modalities({"a": first["a"]}, {"a": first["a"]}), "two")
    with pytest.raises(InputError, match="same worlds"):
        compare_modalities(first, {"a": first["a"]})
    with pytest.raises(InputError, match="same worlds"):
        compare_modalities(first, {"a": first["a"], "b": world([0.1])})


# 5. and 6.


def test_after_the_clinic_counts_apart_what_the_handling_does_alone():
    success, eligible = mask(1, 1, 1, 1, 0, 1), mask(1, 1, 1, 1, 1, 0)
    after, alone = np.array([-1, 1, -1, NAN, -1, -1]), np.array([1, 1, -1, 1, 1, -1])
    drop, handled = np.array([0.4, 0.6, 0.5, NAN, 0.0, 9.0]), np.array([0.2, 0.1, 0.3, 0.2, 0.0, 9.0])
    one = after_the_clinic(success, eligible, after, alone, single(6), drop=drop, handled_drop=handled)
    assert (one.survived.count, one.survived.total) == (2, 3)
    assert (one.survived_net.count, one.survived_net.total) == (1, 2)
    assert (one.alone.count, one.alone.total) == (1, 4)
    assert one.kept.value == pytest.approx(0.6 / 1.5) and one.kept.total == 4


def test_after_a_handling_that_was_not_measured():
    one = after_the_clinic(mask(1, 0), every(2), np.full(2, NAN), np.full(2, NAN), single(2))
    assert is_undefined(one.survived, "beaten before") and is_undefined(one.survived_net, "leaves alone")
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


# Pairs


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

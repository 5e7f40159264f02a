from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from benchmarks.stability_modalities import Modality, across_modalities, compare_modalities
from scipy import stats

from palpate.errors import InputError
from palpate.metrics.stability import by_group
from tests.metrics.resampled import is_undefined

NAN = float("nan")


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def modality(values, seed: int = 0) -> Modality:
    return Modality(np.asarray(values, float), by_group(np.arange(len(values)), seed))


def test_across_modalities_by_hand():
    modalities = {
        "ct": modality([0.2, 0.4]),
        "fundus": modality([0.9, NAN, 0.7]),
        "none": modality([NAN]),
        "polyps": modality([0.5]),
    }
    one = across_modalities(modalities)
    assert [estimate.value for estimate in one.modalities.values()] == pytest.approx([0.3, 0.8, NAN, 0.5], nan_ok=True)
    means = [0.3, 0.8, 0.5]
    assert one.mean.value == pytest.approx(np.mean(means)) and one.mean.total == 3
    assert one.spread.value == pytest.approx(np.std(means, ddof=1))
    assert one.extent.value == pytest.approx(0.5) and one.extent.low < 0.5 <= one.extent.high


def test_the_stratified_bootstrap_against_the_formula_for_two_large_modalities():
    rng = np.random.default_rng(1)
    one, two = rng.normal(0.4, 0.1, 400), rng.normal(0.9, 0.2, 400)
    found = across_modalities({"a": modality(one), "b": modality(two)})
    error = math.hypot(stats.sem(one), stats.sem(two))
    low, high = stats.norm.interval(0.95, abs(one.mean() - two.mean()), error)
    assert (found.extent.low, found.extent.high) == pytest.approx((low, high), abs=0.003)
    assert found.noise == pytest.approx(error / math.sqrt(2), rel=0.06)


def test_modalities_of_one_size_do_not_share_their_draws():
    values = np.random.default_rng(2).normal(size=50)
    found = across_modalities({"a": modality(values), "b": modality(values + 1)})
    assert found.extent.low < 0.9 and found.extent.high > 1.1, "with shared draws the difference would always be 1"


def test_too_few_modalities():
    one = across_modalities({"a": modality([0.1, 0.5]), "b": modality([NAN, NAN])})
    assert one.mean.value == pytest.approx(0.3) and is_undefined(one.spread, "two") and is_undefined(one.extent, "two")
    none = across_modalities({})
    assert is_undefined(none.mean, "No image") and math.isnan(none.noise)


def test_two_attacks_over_the_same_modalities_are_resampled_together():
    rng = np.random.default_rng(3)
    modalities = {"a": rng.normal(0.3, 0.2, 30), "b": rng.normal(0.8, 0.2, 30)}
    first = {name: modality(values) for name, values in modalities.items()}
    moved = {name: modality(values + 0.1) for name, values in modalities.items()}
    same = compare_modalities(first, moved)
    assert same.value == pytest.approx(0) and max(abs(same.low), abs(same.high)) < 1e-9, "one shift for all modalities"
    other = {name: Modality(one.strength, by_group(np.arange(30), 7)) for name, one in moved.items()}
    assert compare_modalities(first, other) == same, "the first attack's draws serve both"
    other["a"].strength[:10] = NAN
    assert compare_modalities(first, other).value == pytest.approx(0), "images that one lacks count for neither"
    wider = {"a": first["a"], "b": moved["b"]}
    gap = math.sqrt(0.5) * -0.1
    assert compare_modalities(first, wider).value == pytest.approx(gap)
    assert is_undefined(compare_modalities({"a": first["a"]}, {"a": first["a"]}), "two")
    with pytest.raises(InputError, match="same modalities"):
        compare_modalities(first, {"a": first["a"]})
    with pytest.raises(InputError, match="same modalities"):
        compare_modalities(first, {"a": first["a"], "b": modality([0.1])})

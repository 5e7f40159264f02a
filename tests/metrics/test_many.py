"""Figures of many patients: blocks, projections and the characteristic function say what the exact ways say."""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path

import numpy as np
import pytest
from benchmarks.report_scale import fabricate

from palpate.metrics import intervals, pairs
from palpate.metrics.grading import area_under_roc, quadratic_kappa
from palpate.metrics.intervals import Resampling
from palpate.report import summarise

RNG = np.random.default_rng(0)
COUNT = 1200
ILL, AMONG = RNG.random(COUNT) < 0.4, RNG.random(COUNT) < 0.9
# Rounded, so that some images tie.
SCORE = np.round(RNG.normal(size=COUNT) + ILL, 1)
GROUP = np.arange(COUNT) // 2
LABEL, DECIDED = RNG.integers(0, 3, (2, COUNT))


def test_blocks_and_projections_give_the_interval_of_all_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = [area_under_roc(ILL, SCORE, AMONG), quadratic_kappa(LABEL, DECIDED, AMONG, 3)]
    exact = [Resampling(GROUP).estimate(one, "") for one in figures]
    means = [Resampling(GROUP).mean(SCORE, AMONG, "")]
    monkeypatch.setattr(intervals, "MOST", 240)
    gathered = Resampling(GROUP)
    found = [gathered.estimate(one, "") for one in figures]
    means.append(gathered.mean(SCORE, AMONG, ""))
    assert gathered._draws.shape == (1000, 240) and gathered.groups == COUNT // 2
    for one, other in [*zip(exact, found, strict=True), tuple(means)]:
        assert one.value == other.value
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.12)
        assert other.low == pytest.approx(one.low, abs=0.1 * (one.high - one.low))


def test_a_projection_follows_the_statistic_resample_by_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "MOST", 240)
    area, resampling = area_under_roc(ILL, SCORE, AMONG), Resampling(GROUP, replicates=50)
    drawn, exact = resampling.resampled(area), resampling.resampled(area.exact)
    assert np.abs(drawn - exact).max() < 0.15 * exact.std()


def test_counts_by_group_are_the_counts_of_the_images() -> None:
    kappa, resampling = quadratic_kappa(LABEL, DECIDED, AMONG, 3), Resampling(GROUP, replicates=20)
    by_image = kappa(resampling._draws[:, GROUP])
    assert np.array_equal(resampling.resampled(kappa), by_image)


@pytest.mark.parametrize("seed", range(3))
def test_many_flips_have_the_p_of_all_of_them(seed: int) -> None:
    sums = np.random.default_rng(seed).integers(-3, 4, 120)
    sums = sums[sums != 0]
    assert pairs._many(np.abs(sums), abs(int(sums.sum()))) == pytest.approx(pairs._whole(sums), abs=1e-12)


def test_no_record_is_an_object_of_its_own(tmp_path: Path) -> None:
    calls = []
    for number, records in enumerate((400, 4000, 400, 4000)):
        # What is kept of the run before would hide calls.
        pairs._mcnemar.cache_clear()
        run = fabricate(tmp_path / str(number), records, per_shard=1000, per_patient=2)
        with cProfile.Profile() as profile:
            summarise(run)
        calls.append(pstats.Stats(profile).total_calls)
    # The first two runs import, and work out what depends on the number of patients alone.
    assert calls[3] - calls[2] < 0.5 * (4000 - 400)

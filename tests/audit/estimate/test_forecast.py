"""Costs, the simulated cluster and the forecast: figures that can be computed on paper, and sums that must hold."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from palpate.audit.estimate.costs import Cost, Costs, by_group, relative_spread
from palpate.audit.estimate.forecast import drawn, forecast, most_workers
from palpate.audit.estimate.simulation import Cluster, simulate

COSTS = Costs(
    engine="pool",
    threads=1,
    images=70,
    shard=32,
    batch=32,
    piloted=4,
    together=1,
    parts=(Cost("pgd", (1.0, 1.0, 1.0, 1.0)), Cost("noise", (0.5, 0.5, 0.5, 0.5))),
    fixed=10.0,
    reading=0.1,
    commit=0.0,
    memory=10**9,
    worker=10**8,
    row=1000,
    disk_fixed=10**6,
    disk_shard=100,
    disk_image=7,
)


def test_the_interval_is_that_of_student() -> None:
    # t(0.975, 3) = 3.182; mean 2.5, standard deviation 1.291.
    assert relative_spread([1.0, 2.0, 3.0, 4.0]) == pytest.approx(3.18245 * 1.29099 / 2 / 2.5, rel=1e-4)
    assert relative_spread([2.0]) == math.inf and relative_spread([0.0, 0.0]) == 0.0


def test_seconds_of_rows_become_seconds_of_groups() -> None:
    assert by_group({"pgd": {3: 2.0, 5: 4.0}}, [[3, 5], [7]]) == {"pgd": (3.0, 0.0)}


def test_shards_go_to_the_worker_that_asks_first() -> None:
    assert simulate([4.0, 1.0, 1.0, 1.0, 1.0], Cluster(2)).seconds == 4.0
    assert simulate([1.0] * 6, Cluster(4, start=5.0)).seconds == 7.0
    assert simulate([], Cluster(4)).seconds == 0.0


def test_one_process_that_stores_is_the_limit() -> None:
    found = simulate([1.0] * 1000, Cluster(500, commit=0.1))
    # All shards are stored one after the other, from the end of the first.
    assert found.seconds == pytest.approx(101.0) and found.busy > 0.98
    assert simulate([1.0] * 1000, Cluster(5, commit=0.1)).seconds == pytest.approx(220.0, rel=0.02)


def test_slow_and_lost_workers_cost_time_and_no_shard() -> None:
    slow = simulate([1.0] * 100, Cluster(10, slow=0.1, factor=4.0))
    assert 10.0 < slow.seconds <= 13.0
    lossy = simulate([10.0] * 100, Cluster(10, start=5.0, losses=36.0), seed=1)
    assert lossy.lost > 0 and lossy.seconds > 105.0 and lossy.computing < 1.0


def test_a_forecast_adds_what_is_done_before_beside_and_after() -> None:
    one = forecast(COSTS, 1)
    assert len(drawn(COSTS)) == 6 and sum(drawn(COSTS)) == pytest.approx(105.0)
    assert one.seconds == one.low == one.high == pytest.approx(10 + 7 + 105)
    assert (one.memory, one.worker) == (10**9 + 70_000, 10**8 + 70_000)
    # Three shards of 32, 32 and 6 images for each attack: the longest worker has 32 s and 6 s of `pgd`, or more.
    assert forecast(COSTS, 6).seconds == pytest.approx(10 + 7 + 32)
    alone = replace(COSTS, parts=(*COSTS.parts, Cost("sigma 5", (0.1,) * 4, alone=True)))
    # With two workers: 32, 6 and 16 s for one of them, and then the 7 s that no worker takes off.
    assert forecast(alone, 2).seconds == pytest.approx(10 + 7 + 54 + 7)
    assert forecast(replace(COSTS, engine="local"), 6).seconds == pytest.approx(122)
    assert COSTS.disk == 10**6 + 3 * 100 + 70 * 7


def test_the_interval_widens_what_depends_on_the_images_only() -> None:
    uneven = replace(COSTS, parts=(Cost("pgd", (1.0, 2.0, 3.0, 2.0)),), images=4, shard=1)
    found = forecast(uneven)
    assert found.low < found.seconds < found.high
    assert found.low >= uneven.fixed + 4 * uneven.reading
    single = replace(COSTS, parts=(Cost("pgd", (1.0,)),))
    assert forecast(single).high == math.inf


def test_more_workers_than_stores_allow_gain_nothing() -> None:
    limited = replace(COSTS, commit=1.0)
    assert most_workers(limited) == pytest.approx(105 / 6 + 1)

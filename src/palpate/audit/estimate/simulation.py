"""Shards on workers as discrete events: who computes when, and when the process of the audit is what all wait for.

A worker computes a shard and sends its outcome. The process of the audit stores outcomes one after the other, in the
order in which they come, and gives the worker its next shard; until then the worker waits. A worker that is lost is
replaced after the time that a start takes, and its shard is computed again from the beginning.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """Where shards are computed.

    Attributes:
        workers: how many.
        start: seconds until a worker has loaded the model.
        commit: seconds of the process of the audit for each shard: it stores the shard and gives out the next one.
        slow: share of the workers that are slow.
        factor: how much longer a slow worker takes.
        losses: workers lost for each hour of computing of one worker.
    """

    workers: int
    start: float = 0.0
    commit: float = 0.0
    slow: float = 0.0
    factor: float = 1.0
    losses: float = 0.0


@dataclass(frozen=True)
class Simulated:
    """What became of the shards.

    Attributes:
        seconds: until the last shard was stored.
        busy: share of this time in which the process of the audit stored shards.
        computing: share of the workers' time in which they computed shards that were stored.
        lost: workers that were lost.
    """

    seconds: float
    busy: float
    computing: float
    lost: int


def simulate(shards: Sequence[float], cluster: Cluster, seed: int = 0) -> Simulated:
    """Compute shards in their order, each by the worker that asks first.

    Args:
        shards: seconds of each shard on a worker of ordinary speed.
        cluster: where they are computed.
        seed: of what is random: which workers are slow and when one is lost.

    >>> simulate([1.0] * 8, Cluster(workers=4)).seconds
    2.0
    """
    if not shards:
        return Simulated(0.0, 0.0, 0.0, 0)
    chance = random.Random(seed)
    workers = max(1, min(cluster.workers, len(shards)))
    speeds = [cluster.factor if number < round(cluster.slow * workers) else 1.0 for number in range(workers)]
    rate = cluster.losses / 3600
    waiting, lost, stored, spent = list(reversed(shards)), 0, 0.0, 0.0
    # When a worker says something next, which one, and what it computes; nothing while it loads the model.
    events: list[tuple[float, int, float | None]] = [(cluster.start, number, None) for number in range(workers)]
    heapq.heapify(events)
    while events:
        now, worker, done = heapq.heappop(events)
        if done is not None:
            stored = max(stored, now) + cluster.commit
            spent += done * speeds[worker]
            now = stored
        if not waiting:
            continue
        shard = waiting.pop()
        takes = shard * speeds[worker]
        fails = chance.expovariate(rate) if rate else float("inf")
        if fails < takes:
            lost += 1
            waiting.append(shard)
            heapq.heappush(events, (now + fails + cluster.start, worker, None))
        else:
            heapq.heappush(events, (now + takes, worker, shard))
    whole = max(stored, 1e-12)
    return Simulated(stored, len(shards) * cluster.commit / whole, spent / (workers * whole), lost)


def saturation(seconds: float, commit: float) -> float:
    """Workers beyond which more of them gain nothing: together they finish shards as fast as these are stored.

    Args:
        seconds: of a shard, on average.
        commit: as `Cluster.commit`.
    """
    return seconds / commit + 1 if commit else float("inf")

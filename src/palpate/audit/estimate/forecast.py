"""From the costs of a pilot to the time, the memory and the disk of the whole plan, for any number of workers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import mean

from palpate.audit.estimate.costs import Costs
from palpate.audit.estimate.simulation import Cluster, Simulated, saturation, simulate


@dataclass(frozen=True)
class Forecast:
    """What a plan takes with some workers.

    Attributes:
        workers: how many; 1 for the process of the audit itself.
        seconds: of wall time.
        low: 95% interval of `seconds`, as far as the pilot's images are like the others.
        high: its upper end.
        before: of these, seconds before the first shard that grow with the images.
        busy: share of the time of the shards in which the process of the audit stores them.
        memory: most bytes of the process of the audit.
        worker: most bytes of each worker; None if it is not known, or without workers.
    """

    workers: int
    seconds: float
    low: float
    high: float
    before: float
    busy: float
    memory: int
    worker: int | None


def forecast(costs: Costs, workers: int = 1) -> Forecast:
    """The time, memory and disk of a plan.

    The shards' times are drawn from those of the pilot's groups and computed by `simulate`; then come the parts that
    one process computes, and what does not grow with the images.

    Args:
        costs: what a pilot measured.
        workers: how many; ignored for the engine `local`.
    """
    workers = 1 if costs.engine == "local" else workers
    before = costs.images * costs.reading
    alone = costs.images * sum(mean(part.seconds) for part in costs.parts if part.alone)
    shards = drawn(costs)
    shared = _simulated(costs, shards, workers)
    computing = shared.seconds + alone
    fixed = costs.fixed + before
    low, high = max(0.0, 1 - costs.spread) * computing, (1 + costs.spread) * computing
    known = costs.images * costs.row
    return Forecast(
        workers,
        fixed + computing,
        fixed + low,
        fixed + high,
        before,
        shared.busy,
        costs.memory + known,
        None if costs.worker is None else costs.worker + known,
    )


def drawn(costs: Costs, seed: int = 0) -> list[float]:
    """Seconds of each shard that workers compute, in their order, drawn from the pilot's groups."""
    chance, shards = random.Random(seed), []
    for part in costs.parts:
        if part.alone:
            continue
        whole, rest = divmod(costs.images, costs.shard)
        sizes = [costs.shard] * whole + [rest] * bool(rest)
        shards += [size * chance.choice(part.seconds) for size in sizes]
    return shards


def most_workers(costs: Costs) -> float:
    """Workers beyond which more of them gain nothing."""
    shards = drawn(costs)
    return saturation(mean(shards), costs.commit) if shards else 1.0


def _simulated(costs: Costs, shards: list[float], workers: int) -> Simulated:
    # The start of the workers is part of what the pilot measured as fixed, because it had one.
    return simulate(shards, Cluster(workers, commit=costs.commit))

"""What a pilot measured, as plain numbers: everything that a forecast needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from scipy.stats import t


@dataclass(frozen=True)
class Cost:
    """One attack, artefact or certificate of a plan.

    Attributes:
        name: in the plan.
        seconds: of computing for one image, in each group of images of the pilot.
        alone: whether only the process of the audit computes it, also if there are workers.
    """

    name: str
    seconds: tuple[float, ...]
    alone: bool = False


@dataclass(frozen=True)
class Costs:
    """What a pilot measured.

    Attributes:
        engine: that computed the pilot, with one worker.
        threads: of the process that computed it.
        images: of the plan.
        shard: images of a shard of the plan.
        batch: images attacked at once by the plan.
        piloted: images of the pilot.
        together: images that the pilot attacked at once.
        parts: attacks, artefacts and certificates.
        fixed: seconds that do not grow with the images: loading, checks of the model, traces, pictures, the report.
        reading: seconds for one image in the process of the audit before the first shard: reading, hashing, and the
            first pass of the model.
        commit: seconds to store one shard.
        memory: most bytes of the process of the audit, in the pilot.
        worker: most bytes of a worker, in the pilot; None if it is not known.
        row: bytes of memory for what is known of one image.
        disk_fixed: bytes on the disk that do not grow with the images.
        disk_shard: bytes of the records of one shard, for all attacks and artefacts together, and its line in the log.
        disk_image: bytes of exported images for one image.
    """

    engine: str
    threads: int
    images: int
    shard: int
    batch: int
    piloted: int
    together: int
    parts: tuple[Cost, ...]
    fixed: float
    reading: float
    commit: float
    memory: int
    worker: int | None
    row: int
    disk_fixed: int
    disk_shard: int
    disk_image: int

    @property
    def seconds(self) -> float:
        """Of computing for one image, in all parts together."""
        return sum(mean(part.seconds) for part in self.parts)

    @property
    def spread(self) -> float:
        """Half of the 95% interval of `seconds`, as a share of it: Student's t over the groups of the pilot."""
        return relative_spread([sum(column) for column in zip(*(part.seconds for part in self.parts), strict=True)])

    @property
    def disk(self) -> int:
        """Bytes on the disk of the whole run."""
        return self.disk_fixed + -(-self.images // self.shard) * self.disk_shard + self.images * self.disk_image


def relative_spread(values: Sequence[float]) -> float:
    """Half of the 95% interval of a mean, as a share of the mean; infinite for one value.

    >>> round(relative_spread([1.0, 2.0, 3.0]), 2)
    1.24
    """
    if len(values) < 2:
        return float("inf")
    if not any(values):
        return 0.0
    return float(t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5 / mean(values))


def by_group(found: Mapping[str, Mapping[int, float]], groups: Sequence[Sequence[int]]) -> dict[str, tuple[float, ...]]:
    """Seconds for one image of each part in each group of rows.

    Args:
        found: for each part, the seconds of each row; a row that is missing took no time.
        groups: the rows of each group.

    >>> by_group({"pgd": {0: 1.0, 1: 3.0, 2: 5.0}}, [[0, 1], [2]])
    {'pgd': (2.0, 5.0)}
    """
    return {name: tuple(mean(rows.get(row, 0.0) for row in group) for group in groups) for name, rows in found.items()}

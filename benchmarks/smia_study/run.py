"""Run cells in their order, each once: finished ones are found in the cache, running ones belong to their process.

Any number of processes may run the same command side by side: a cell is held by a lock that the system frees when its
process ends, however it ends, and files appear whole or not at all.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import say
from benchmarks.smia_study import measure, tracing
from benchmarks.smia_study.cell import Cell
from benchmarks.smia_study.ground import Ground, Load, load
from benchmarks.smia_study.suite import Benchmark

Loader = Callable[[Benchmark, str], Ground]


@dataclass
class Grounds:
    """Benchmarks that are loaded, each once per split.

    Attributes:
        data: folder with the shared sets.
        load: loads a benchmark.
    """

    data: Path
    load: Load = load
    _loaded: dict[tuple[str, str], Ground] = field(default_factory=dict)

    def __call__(self, benchmark: Benchmark, split: str) -> Ground:
        """The benchmark with these images."""
        if (benchmark.name, split) not in self._loaded:
            self._loaded[benchmark.name, split] = self.load(benchmark, split, self.data)
        return self._loaded[benchmark.name, split]


def run(cells: Sequence[Cell], grounds: Loader, root: Path, *, again: bool = False) -> int:
    """Run what the cache does not have; returns how many cells were run.

    Args:
        cells: in their order.
        grounds: gives the loaded benchmark of a cell.
        root: the cache.
        again: run them although the cache has them.
    """
    ran, progress = 0, _Progress(cells)
    for number, cell in enumerate(cells, 1):
        if cell.linked:
            continue
        with _held(cell, root) as mine:
            if not mine:
                continue
            ground = grounds(cell.benchmark, cell.split)
            if again or not measure.finished(cell, ground, root):
                begin = time.perf_counter()
                (tracing.run if cell.stage == "trace" else measure.run)(cell, ground, root)
                ran += 1
                progress.done(number, cell, time.perf_counter() - begin)
            # Whoever has the lines writes the links to them, so that no link ever points to nothing.
            for link in cells:
                if link.linked and (link.benchmark, link.source) == (cell.benchmark, cell.name):
                    measure.link(link, ground, root)
    return ran


class _Progress:
    """Cell k of n, and the time left at the pace so far."""

    def __init__(self, cells: Sequence[Cell]):
        self.cells, self.taken, self.planned = cells, 0.0, 0.0

    def done(self, number: int, cell: Cell, seconds: float) -> None:
        self.taken, self.planned = self.taken + seconds, self.planned + cell.seconds
        left = sum(one.seconds for one in self.cells[number:]) * self.taken / max(self.planned, 1e-9)
        say(f"cell {number} of {len(self.cells)}: {cell.key}, {seconds:.1f} s; at most {left / 60:.0f} min left")


@contextmanager
def _held(cell: Cell, root: Path) -> Iterator[bool]:
    """Whether this process got the cell; a lock dies with its process, so none is ever stale."""
    path = cell.file(".lock", root)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True

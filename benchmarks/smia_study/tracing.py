"""Traces of some attacks on the first images of each world, in the form of `palpate.traces.TraceRow`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.smia_study.cells import Cell
from benchmarks.smia_study.worlds import Ground


def run(cell: Cell, ground: Ground, root: Path) -> None:
    """Trace one attack and store its rows."""
    raise NotImplementedError

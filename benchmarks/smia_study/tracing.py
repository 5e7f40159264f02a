"""Traces of some attacks on the first images of each benchmark, in the form of `palpate.storage.traces.TraceRow`."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.smia_study import measure
from benchmarks.smia_study.cell import TRACED_IMAGES, TRACED_STARTS, Cell
from benchmarks.smia_study.ground import Ground
from palpate.audit.plan.identity import digest
from palpate.audit.plan.tasks import goal_words
from palpate.seeds import derive
from palpate.stability import trace, trace_rows
from palpate.storage.traces import FIELD_NAMES, TraceRow
from palpate.storage.writing import write_atomically
from palpate.streams import Streams


def run(cell: Cell, ground: Ground, root: Path) -> None:
    """Trace one attack on the first images and store its rows."""
    cell.file(".json", root).unlink(missing_ok=True)
    begin = time.perf_counter()
    found = [row for rows in ground.subject.batches(ground.rows[:TRACED_IMAGES], ground.benchmark.batch)
             for row in _traced(cell, ground, rows)]  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: [getattr(row, name) for row in found] for name in FIELD_NAMES}), buffer)
    write_atomically(cell.file(".parquet", root), buffer.getvalue())
    about = measure.describe(cell, ground) | {"seconds": round(time.perf_counter() - begin, 2)}
    about |= {"images": min(TRACED_IMAGES, len(ground.rows)), "starts": TRACED_STARTS, "smoothed": True}
    write_atomically(cell.file(".json", root), (json.dumps(about, indent=1) + "\n").encode())


def _traced(cell: Cell, ground: Ground, rows: tuple[int, ...]) -> Iterator[TraceRow]:
    table = ground.subject.table
    images, targets = ground.subject.images(rows), ground.subject.targets(rows)
    names = [table[row].name for row in rows]
    streams = Streams([derive(cell.seed, "smia_study", name) for name in names])
    seen = trace(
        cell.attack,
        ground.victim,
        ground.task,
        images,
        targets,
        generator=streams,
        starts=TRACED_STARTS,
        smoothed=True,
    )
    yield from trace_rows(
        seen,
        images=names,
        rows=rows,
        groups=[str(table[row].group) for row in rows],
        attack=cell.peer.name,
        item=digest({"attack": cell.attack, "task": ground.task}),
        goal=goal_words(ground.task),
        eps=cell.eps,
    )

"""Run one cell and store it: one line per image as Parquet, the first changes as npz, what it was as JSON.

Files of a cell, all in `rows/<benchmark>/` (of the scan and the ablation in `validation/<benchmark>/`):
`<name>.json` says what it is and, under `rows`, the name of the cell whose `.parquet` and `.npz` hold its lines: its
own, or that of an earlier cell which is the same computation. The JSON is written last: without it nothing counts.
"""

from __future__ import annotations

import io
import json
import platform
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import monai
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

import palpate
from benchmarks.smia_study.attacks import cost, settings_of
from benchmarks.smia_study.cell import Cell
from benchmarks.smia_study.ground import Ground
from benchmarks.smia_study.suite import second_name
from palpate.audit.plan.identity import digest
from palpate.contracts import AttackResult
from palpate.seeds import derive
from palpate.storage.writing import write_atomically
from palpate.streams import Streams
from palpate.tensors import Tree

KEPT = 16
"""Images of which the change itself is stored."""
VERSION = 1
"""Raised when a column is added, removed or changes its meaning."""


def identity(cell: Cell, ground: Ground) -> str:
    """Hash of all that decides a cell's lines."""
    about = {"version": VERSION, "attack": cell.attack, "seed": cell.seed, "ground": ground.identity}
    return digest(about)


def finished(cell: Cell, ground: Ground, root: Path) -> bool:
    """Whether the cache has this cell as it would come out now."""
    path = cell.file(".json", root)
    if not path.is_file():
        return False
    about = json.loads(path.read_text())
    return bool(about["identity"] == identity(cell, ground) and about["rows"] == cell.source)


def run(cell: Cell, ground: Ground, root: Path) -> None:
    """Run a cell and store it."""
    cell.file(".json", root).unlink(missing_ok=True)
    begin = time.perf_counter()
    columns, changes = measure(cell, ground)
    seconds = time.perf_counter() - begin
    write_atomically(cell.file(".npz", root), _packed(changes))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    write_atomically(cell.file(".parquet", root), buffer.getvalue())
    _say(cell, describe(cell, ground) | {"seconds": round(seconds, 2)}, root)


def link(cell: Cell, ground: Ground, root: Path) -> None:
    """Store what a cell is whose lines are another one's."""
    if not finished(cell, ground, root):
        for suffix in (".parquet", ".npz"):
            cell.file(suffix, root).unlink(missing_ok=True)
        _say(cell, describe(cell, ground) | {"seconds": 0.0}, root)


def _say(cell: Cell, about: dict[str, Any], root: Path) -> None:
    write_atomically(cell.file(".json", root), (json.dumps(about, indent=1) + "\n").encode())


def describe(cell: Cell, ground: Ground) -> dict[str, Any]:
    """What a cell is, as JSON."""
    forwards, backwards = cost(cell.peer)
    return {
        "identity": identity(cell, ground),
        "rows": cell.source,
        "stage": cell.stage,
        "benchmark": cell.benchmark.name,
        "attack": cell.peer.name,
        "recipe": cell.peer.recipe,
        "parameters": settings_of(cell.peer) | {"steps": cell.steps, "run_to_end": True},
        "random_start": cell.attack.random_start,
        "deterministic": not cell.peer.draws,
        "eps": cell.eps,
        "mode": cell.mode,
        "steps": cell.steps,
        "passes_asked": cell.asked,
        "passes": cell.passes,
        "forwards_per_step": forwards,
        "backwards_per_step": backwards,
        "seed": cell.seed,
        "split": cell.split,
        "images": len(ground.rows),
        "handlings": [one.name for one in ground.handlings],
        "second": second_name(cell.benchmark),
        "versions": {
            "palpate": palpate.__version__,
            "torch": torch.__version__,
            "monai": monai.__version__,
            "python": platform.python_version(),
        },
        "command": cell.command,
    }


def measure(cell: Cell, ground: Ground) -> tuple[dict[str, list[Any]], list[Tensor]]:
    """Columns of a cell, one value per image, and the changes of the first images."""
    columns: dict[str, list[Any]] = defaultdict(list)
    changes: list[Tensor] = []
    for rows in ground.batches():
        images, targets = ground.subject.images(rows), ground.subject.targets(rows)
        result, seconds = _attacked(cell, ground, rows, images, targets)
        for name, values in _lines(cell, ground, rows, images, targets, result).items():
            columns[name] += values
        columns["step_seconds"] += [seconds] * len(rows)
        changes += list((result.images - images)[: max(0, KEPT - len(changes))])
    return dict(columns), changes


def _attacked(
    cell: Cell, ground: Ground, rows: tuple[int, ...], images: Tensor, targets: Tree
) -> tuple[AttackResult, float]:
    """Attack one batch, check that it cost what it should, and tell the seconds of one step of one image."""
    streams = Streams([derive(cell.seed, "smia_study", ground.subject.table[row].name) for row in rows])
    victim = ground.victim
    graphs, begin = victim.graphs, time.perf_counter()
    result = cell.attack(victim, ground.task, images, targets, generator=streams)
    seconds = time.perf_counter() - begin
    open_rows = int(result.eligible.sum())
    forwards, backwards = cost(cell.peer)
    # Beside the count: the clean image and the last iterate are scored, and claims confirmed by the model as given.
    extra = (result.forwards - cell.steps * forwards)[result.eligible]
    if (
        bool(((extra < 2) | (extra > 3 + forwards)).any())
        or victim.graphs - graphs != open_rows * cell.steps * backwards
    ):
        raise RuntimeError(f"{cell.key}: other passes than {cell.steps} steps of {forwards} + {backwards}: {extra}")
    return result, seconds / max(1, open_rows * cell.steps)


def _lines(
    cell: Cell, ground: Ground, rows: tuple[int, ...], images: Tensor, targets: Tree, result: AttackResult
) -> dict[str, list[Any]]:
    """Columns of one batch."""
    table, task = ground.subject.table, ground.task
    steps = cell.steps * result.eligible.long()
    forwards, backwards = cost(cell.peer)
    lines: dict[str, list[Any]] = {
        "row": list(rows),
        "image": [table[row].name for row in rows],
        "group": [str(table[row].group) for row in rows],
        "eligible": result.eligible.tolist(),
        "clean_margin": result.clean_margin.tolist(),
        "margin": result.margin.tolist(),
        "clean_score": task.score(result.clean_outputs, targets).tolist(),
        "score": task.score(result.outputs, targets).tolist(),
        "success": result.success.tolist(),
        "linf": result.distance.tolist(),
        "forwards": (steps * forwards).tolist(),
        "backwards": (steps * backwards).tolist(),
        "scoring_forwards": (result.forwards - steps * forwards).tolist(),
        "first_success": result.first_success.tolist(),
        "zero_gradient": result.zero_gradient.tolist(),
        "delta_sd": (result.images - images).flatten(1).double().std(1, correction=0).tolist(),
    }
    clean = ground.clean(rows, images, targets)
    return lines | clean | ground.columns("", rows, result.images, targets)


def _packed(changes: list[Tensor]) -> bytes:
    """Changes as float16: `change` (n, C, *spatial) where shapes agree, else `change_0`, `change_1` ..."""
    arrays = [change.half().numpy() for change in changes]
    same_shape = len({array.shape for array in arrays}) == 1
    named = {"change": np.stack(arrays)} if same_shape else {f"change_{k}": array for k, array in enumerate(arrays)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **named)
    return buffer.getvalue()

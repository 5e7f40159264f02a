"""What the choices of the SMIA family do, on validation images; its outcome decides the defaults of `smia`.

The rule, written before the figures were looked at: at equal passes, each point of the family is ranked in every
benchmark by its mean drop of the score before saving (1 is the largest drop, ties share a rank). The point of the best
mean rank becomes the default, unless the interval of its paired lead over the present default, the mean over benchmarks
of the mean difference per image, includes 0: then the present default stays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import rankdata

from benchmarks.smia_study.attacks import Peer, family
from benchmarks.smia_study.cell import Cell
from palpate.storage.writing import write_atomically

BENCHMARKS = ("fundus_dr", "covid_ct", "polyps", "polyp_boxes")
SMOOTHED = ("step", "perturbation", "image")
WEIGHTS = {
    ("label", False): (0.5, 0.25, 0.9),
    ("distribution", False): (0.5, 1.0),
    ("distribution", True): (1.0, 0.5, 2.0),
}
"""By agreement and whether gradients pass through the smoothed branch: weights, the middling ones first."""
KERNELS = ((5, 1.5), (7, 2.0))
PRESENT = "smia step label detached 0.5 3/1"
"""The default before the ablation."""
DRAWS = 4000


def point(smooth: str, agreement: str, through: bool, weight: float, size: int = 3, sigma: float = 1.0) -> Peer:
    """A point of the family as an attack."""
    name = f"smia {smooth} {agreement} {'through' if through else 'detached'} {weight:g} {size}/{sigma:g}"
    return Peer(name, "smia", family(smooth, agreement, through, weight, size, sigma))


@cache
def peers() -> tuple[Peer, ...]:
    """BIM, then the family: first every form with its middling weight, then kernels, then the other weights."""
    forms = [(smooth, *form) for form in WEIGHTS for smooth in SMOOTHED]
    first = [point(smooth, how, through, WEIGHTS[how, through][0]) for smooth, how, through in forms]
    wide = [
        point(smooth, how, through, WEIGHTS[how, through][0], size, sigma)
        for smooth, how, through in forms
        if (smooth, how) in (("step", "label"), ("perturbation", "distribution"))
        for size, sigma in KERNELS
    ]
    rest = [point(*form, weight) for form in forms for weight in WEIGHTS[form[1], form[2]][1:]]
    return Peer("bim", "bim"), *first, *wide, *rest


@dataclass(frozen=True)
class Column:
    """One attack on one benchmark in one mode: what it does to each image."""

    drop: np.ndarray[Any, Any]
    success: np.ndarray[Any, Any]
    handled: dict[str, np.ndarray[Any, Any]]
    passes: float


def read(path: Path) -> Column:
    """The eligible lines of a cell."""
    table = pq.read_table(path)
    keep = table["eligible"].to_numpy(zero_copy_only=False)
    columns = {name: table[name].to_numpy(zero_copy_only=False)[keep] for name in table.column_names}
    handled = {
        name.removeprefix("handled_score_"): columns[f"clean_{name}"] - columns[name]
        for name in columns
        if name.startswith("handled_score_")
    }
    return Column(
        columns["clean_score"] - columns["score"],
        columns["success"],
        handled,
        float(np.mean(columns["forwards"] + columns["backwards"])),
    )


def decide(cells: Sequence[Cell], root: Path, command: str) -> dict[str, Any]:
    """Write `ablation.json`: figures of every point, ranks, and the default that follows from the rule."""
    found = {
        (cell.mode, cell.benchmark.name, cell.peer.name): read(cell.file(".parquet", root, cell.source))
        for cell in cells
        if cell.file(".json", root).is_file()
    }
    benchmarks = [name for name in BENCHMARKS if ("passes", name, PRESENT) in found]
    names = [
        peer.name for peer in peers() if all(("passes", benchmark, peer.name) in found for benchmark in benchmarks)
    ]
    points = [name for name in names if name != "bim"]
    ranks = {
        benchmark: rankdata([-found["passes", benchmark, name].drop.mean() for name in points]).tolist()
        for benchmark in benchmarks
    }
    mean_rank = dict(zip(points, np.mean(list(ranks.values()), axis=0).tolist(), strict=True))
    best = min(points, key=lambda name: mean_rank[name])
    lead = _lead([(found["passes", w, best].drop, found["passes", w, PRESENT].drop) for w in benchmarks])
    outcome = {
        "command": command,
        "rule": str(__doc__).split("\n\n")[1].replace("\n", " ").strip(),
        "missing": sorted(cell.key for cell in cells if not cell.file(".json", root).is_file()),
        "benchmarks": benchmarks,
        "present": PRESENT,
        "best": best,
        "lead": lead,
        "default": PRESENT if lead["low"] <= 0 <= lead["high"] else best,
        "points": [_figures(name, found, benchmarks, mean_rank, ranks, points) for name in names],
        "parameters": {peer.name: dict(peer.parameters) for peer in peers()},
        "eps": {cell.benchmark.name: cell.eps for cell in cells},
        "images": {benchmark: len(found["passes", benchmark, PRESENT].drop) for benchmark in benchmarks},
    }
    write_atomically(root / "ablation.json", (json.dumps(outcome, indent=1) + "\n").encode())
    return outcome


def _figures(
    name: str,
    found: dict[tuple[str, str, str], Column],
    benchmarks: Sequence[str],
    mean_rank: dict[str, float],
    ranks: dict[str, list[float]],
    points: Sequence[str],
) -> dict[str, Any]:
    """One point: per benchmark and mode its mean drop, success, drop after post-processing and passes."""
    figures: dict[str, Any] = {"name": name, "mean_rank": mean_rank.get(name)}
    for benchmark in benchmarks:
        entry: dict[str, Any] = {"rank": ranks[benchmark][points.index(name)] if name in points else None}
        for mode in ("passes", "steps"):
            if (column := found.get((mode, benchmark, name))) is not None:
                entry[mode] = {
                    "drop": float(column.drop.mean()),
                    "success": float(column.success.mean()),
                    "handled_drop": {key: float(values.mean()) for key, values in column.handled.items()},
                    "passes": column.passes,
                }
        figures[benchmark] = entry
    return figures


def _lead(pairs: Sequence[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]) -> dict[str, float]:
    """Mean over benchmarks of the mean paired difference, with its 95 % bootstrap interval over images."""
    generator = np.random.default_rng(0)
    apart = [first - second for first, second in pairs]
    draws = np.mean([each[generator.integers(len(each), size=(DRAWS, len(each)))].mean(1) for each in apart], axis=0)
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"value": float(np.mean([each.mean() for each in apart])), "low": float(low), "high": float(high)}


def scanned(cells: Sequence[Cell], root: Path) -> None:
    """Write `scan.json`: BIM's success on validation images at each radius of each benchmark."""
    entries = [
        {"benchmark": cell.benchmark.name, "eps": cell.eps, "success": float(column.success.mean()),
         "images": len(column.drop), "drop": float(column.drop.mean()), "chosen": cell.eps in cell.benchmark.eps,
         "command": cell.command}
        for cell in cells
        if cell.file(".json", root).is_file()
        for column in [read(cell.file(".parquet", root))]
    ]  # fmt: skip
    write_atomically(root / "scan.json", (json.dumps(entries, indent=1) + "\n").encode())

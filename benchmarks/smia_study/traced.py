"""What the traces say: curves over the steps with their band, and how attacks run, compared image by image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.smia_study.comparisons import rounded, with_interval
from benchmarks.smia_study.gather import rank
from palpate.metrics.panel import Floats
from palpate.metrics.stability import by_group
from palpate.metrics.stability_run import along_the_run, mean_known
from palpate.storage.frames import Frame

DRAWN = ("kl_smoothed", "kl_final", "kl_clean", "cos_final")
"""Curves of the page."""
BASE = "bim"
MEASURES = ("final_share", "smoothed_mean", "cos_step", "cos_final_half")
"""Of `run_measures`."""


def frames(cache: Path) -> dict[str, Frame]:
    """The traces of each benchmark, all attacks in one frame."""
    found: dict[str, list[pa.Table]] = {}
    for path in sorted((cache / "rows").glob("*/trace_*.parquet")):
        found.setdefault(path.parent.name, []).append(pq.read_table(path))
    return {
        benchmark: _frame(pa.concat_tables(tables, promote_options="default")) for benchmark, tables in found.items()
    }


def _frame(table: pa.Table) -> Frame:
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}


def traced_figures(frame: Frame) -> dict[str, Any]:
    """Curves and summary of every traced attack of a benchmark, and its difference from BIM on the same images."""
    attacks = sorted(set(map(str, frame["attack"])), key=rank)
    own = {attack: run_measures(frame, attack) for attack in attacks}
    figures = {attack: _attack(frame, attack) for attack in attacks}
    for attack in attacks:
        figures[attack]["measures"] = {name: _mean(own[attack], name) for name in MEASURES}
        if attack != BASE and BASE in own:
            figures[attack]["minus_bim"] = {name: _difference(own[attack], own[BASE], name) for name in MEASURES}
    return figures


def _attack(frame: Frame, attack: str) -> dict[str, Any]:
    curves = along_the_run(frame, attack)
    summary = {name: with_interval(getattr(curves.summary, name)) for name in curves.summary.__dataclass_fields__}
    bands = {
        name: {end: list(map(rounded, getattr(curves.bands[name], end).tolist())) for end in ("median", "low", "high")}
        for name in DRAWN
    }
    mine = np.asarray(frame["attack"]) == attack
    return {
        "eps": float(np.asarray(frame["eps"])[mine][0]),
        "steps": curves.steps,
        "images": curves.images,
        "starts": curves.starts,
        "summary": summary,
        "bands": bands,
    }


def run_measures(frame: Frame, attack: str) -> dict[str, Any]:
    """Per image, starts averaged first, how one attack ran.

    `final_share`: mean over the steps of kl_final / its value at step 0, how long predictions stay away from where
    they end; `smoothed_mean`: mean over the steps of kl_smoothed; `cos_step`: mean cosine of successive steps;
    `cos_final_half`: cosine of the change at half the steps and the last one.
    """
    mine = np.asarray(frame["attack"]) == attack
    rows = {name: np.asarray(frame[name])[mine] for name in ("row", "group", "start", "step")}
    images, first, image = np.unique(rows["row"], return_index=True, return_inverse=True)
    starts, start = np.unique(rows["start"], return_inverse=True)
    steps = int(rows["step"].max())

    def laid_out(name: str) -> Floats:
        out = np.full((images.size, starts.size, steps + 1), np.nan)
        out[image, start, rows["step"]] = np.asarray(frame[name])[mine]
        return out

    final, smoothed = laid_out("kl_final"), laid_out("kl_smoothed")
    begin = np.where(final[..., :1] > 0, final[..., :1], np.nan)
    values = {
        "final_share": mean_known(final / begin),
        "smoothed_mean": mean_known(smoothed),
        "cos_step": mean_known(laid_out("cos_step")),
        "cos_final_half": laid_out("cos_final")[..., steps // 2],
    }
    return {"row": images, "group": rows["group"][first]} | {name: mean_known(table) for name, table in values.items()}


def _mean(own: dict[str, Any], name: str) -> list[float | None]:
    return with_interval(by_group(own["group"]).mean(own[name], np.isfinite(own[name]), "not traced"))


def _difference(own: dict[str, Any], base: dict[str, Any], name: str) -> list[float | None]:
    shared, mine, theirs = np.intersect1d(own["row"], base["row"], return_indices=True)
    apart = own[name][mine] - base[name][theirs]
    difference_over_images = by_group(own["group"][mine]).mean(apart, np.isfinite(apart), "not traced")
    # Where both attacks are one and the same, the difference is known to be nothing.
    return [0.0, 0.0, 0.0] if shared.size and not np.any(apart) else with_interval(difference_over_images)

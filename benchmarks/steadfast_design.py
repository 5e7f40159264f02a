"""Choose `steadfast` on validation images: `python -m benchmarks.steadfast_design [--data DIR] [--benchmark NAME ...]`.

Runs it and its peers, and with one part changed at a time, on images that no test set holds, at 40 passes forward
and backward together. Measures success and score as computed, and after storing and each of 8 bits, JPEG 90 and a blur
of one pixel. Goes on where it stopped; writes `benchmarks/results/steadfast_design.json` and the table of
`docs/explanation/steadfast.md`. On CT most of these slices were trained on, because ten are not enough.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.smia_study.ground import Ground, load
from benchmarks.smia_study.suite import benchmark_of
from palpate.attacks import recipes, recipes_dense
from palpate.attacks.ascent import Ascent
from palpate.attacks.objectives import Deviation
from palpate.attacks.steadfast import steadfast
from palpate.contracts import Threat
from palpate.metrics.intervals import wilson
from palpate.streams import Streams
from palpate.threats.ball import Linf

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "steadfast_design.json"
PAGE = ROOT / "docs" / "explanation" / "steadfast.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
IMAGES = 48
SETTINGS = (("polyps", 1.0), ("covid_ct", 8.0), ("fundus_dr", 0.5), ("covid_ct", 4.0), ("polyps", 0.5))
STEPS = 20
"""Steps of one forward and one backward pass, 40 passes; two of each take half as many, SMIA with its glance 13."""

ATTACKS: dict[str, Callable[[Threat], Ascent]] = {
    "pgd": lambda threat: recipes.pgd(threat, STEPS, run_to_end=True),
    "smia": lambda threat: recipes.smia(threat, 13, run_to_end=True),
    "steadfast": lambda threat: steadfast(threat, STEPS // 2),
    "apgd-margin": lambda threat: recipes.apgd_margin(threat, STEPS, run_to_end=True),
    "dice-pgd": lambda threat: recipes_dense.dice_pgd(threat, STEPS, run_to_end=True),
    "pgd, robust_to blur1": lambda threat: replace(recipes.pgd(threat, STEPS // 2), robust_to=("blur1",)),
    "steadfast without smoothing": lambda threat: replace(steadfast(threat, STEPS, run_to_end=True), robust_to=()),
    "steadfast, weight 1": lambda threat: steadfast(threat, STEPS // 2, weight=1.0),
    "steadfast, steps of 2.5 / steps": lambda threat: replace(
        steadfast(threat, STEPS // 2), step=recipes.fixed(None, STEPS // 2)
    ),
    "steadfast on the task's loss": lambda threat: replace(steadfast(threat, STEPS // 2), objective=Deviation()),
    "steadfast, jpeg90 in place of the blur": lambda threat: replace(
        steadfast(threat, STEPS // 2), robust_to=("jpeg90",)
    ),
    "bim": lambda threat: recipes.bim(threat, STEPS, run_to_end=True),
    "ti": lambda threat: recipes.ti(threat, STEPS, run_to_end=True),
}


def run(ground: Ground, attack: Ascent) -> dict[str, list[float]]:
    """Margins and scores of the eligible images, before and after each post-processing step."""
    columns: dict[str, list[float]] = {}
    for rows in ground.batches():
        images, targets = ground.subject.images(rows), ground.subject.targets(rows)
        limits = ground.subject.limits(rows)
        streams = Streams(list(rows))
        result = attack(ground.victim, ground.task, images, targets, generator=streams, limits=limits)
        found = ground.columns("", rows, result.images, targets)
        margins, scores = ground.judged(ground.victim, result.images, targets)
        found |= {"handled_margin_before": margins, "handled_score_before": scores}
        found["passes"] = (result.forwards + result.backwards).tolist()
        keep = result.eligible.tolist()
        for name, values in found.items():
            columns.setdefault(name, []).extend(v for v, kept in zip(values, keep, strict=True) if kept)
    return columns


def table(results: dict[str, Any]) -> str:
    """The table in Markdown, one row per attack and setting."""
    after = ("before", "8bit", "jpeg90", "blur1")
    lines = []
    for benchmark, eps in SETTINGS:
        rows = {name: results[key] for name in ATTACKS if (key := f"{benchmark} {eps:g} {name}") in results}
        if not rows:
            continue
        count = len(next(iter(rows.values()))["handled_margin_before"])
        lines += [f"\n### {benchmark_of(benchmark).words}, eps {eps:g} of 255, {count} images\n"]
        lines += ["| attack | " + " | ".join(after) + " |", "| --- |" + " --- |" * len(after)]
        lines += [f"| {name} | " + " | ".join(_cell(row, one) for one in after) + " |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, list[float]], after: str) -> str:
    margins, scores = np.array(row[f"handled_margin_{after}"]), np.array(row[f"handled_score_{after}"])
    beaten = int((margins <= 0).sum())
    low, high = wilson(beaten, len(margins))
    half = 1.96 * scores.std(ddof=1) / len(scores) ** 0.5
    share = f"{100 * beaten / len(margins):.0f} % ({100 * low:.0f} to {100 * high:.0f})"
    return f"{share}, {scores.mean():.3f} ± {half:.3f}"


def write(results: dict[str, Any]) -> None:
    """The results, and the table between its marks."""
    RESULTS.write_text(json.dumps(results, indent=None, separators=(",", ":")) + "\n")
    if PAGE.is_file():
        text = PAGE.read_text()
        head, tail = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(f"{head}{BEGIN}\n{table(results)}\n{END}{tail}")


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--benchmark", action="append", choices=sorted({benchmark for benchmark, _ in SETTINGS}))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for benchmark, eps in SETTINGS:
        if chosen.benchmark and benchmark not in chosen.benchmark:
            continue
        ground = load(replace(benchmark_of(benchmark), trials=IMAGES, second=False), "validation", chosen.data)
        for name, make in ATTACKS.items():
            key = f"{benchmark} {eps:g} {name}"
            masks = hasattr(ground.task, "structures")
            held = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
            if key in held or (name == "dice-pgd" and not masks):
                continue
            found = run(ground, make(Linf(eps)))
            rounded = {column: [round(value, 5) for value in values] for column, values in found.items()}
            held = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
            write({**held, key: rounded})
            print(key, _cell(rounded, "before"), _cell(rounded, "jpeg90"), _cell(rounded, "blur1"), flush=True)


if __name__ == "__main__":
    main()

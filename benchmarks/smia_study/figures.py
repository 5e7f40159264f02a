"""All figures of the study as one JSON document: made from the cache, read by the pages and the plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.smia_study import verdict
from benchmarks.smia_study.gather import FinishedCell, Setting, document, finished_cells, settings
from benchmarks.smia_study.tables import setting_figures, setting_key
from benchmarks.smia_study.traced import frames, traced_figures
from palpate.errors import StorageError

Figures = dict[str, Any]
VERSION = 1


def collect(cache: Path) -> Figures:
    """Read the cache and work out every figure that a page or a plot shows.

    Raises:
        StorageError: the cache has no finished cell of the study, or holds cells that do not fit together.
    """
    found = finished_cells(cache)
    if not found:
        raise StorageError(f"'{cache}' holds no finished cell. Run python -m benchmarks.smia_study first.")
    own = ordered(settings(found))
    main = verdict.main_settings(own, main_budgets())
    held = frames(cache)
    traced = {
        benchmark: traced_figures(held[benchmark])
        for benchmark in dict.fromkeys(one.benchmark for one in own)
        if benchmark in held
    }
    spreads = verdict.modalities(main)
    forms = [name for one in own for name in one.attacks if name.startswith(verdict.SMIA) and "random" not in name]
    return {
        "version": VERSION,
        "command": "python -m benchmarks.smia_study --tables",
        "versions": found[0].about["versions"],
        "benchmarks": benchmarks(found),
        "settings": {setting_key(one): setting_figures(one) for one in own},
        "traced": traced,
        "main": [setting_key(one) for one in main],
        "modalities": spreads,
        "claims": {form: verdict.claims(main, traced, spreads, form) for form in dict.fromkeys(forms)},
        "ours": verdict.ours(own),
        "strongest": {setting_key(one): verdict.strongest_peer(one) for one in own},
        "ablation": stored(cache / "ablation.json"),
        "scan": stored(cache / "scan.json"),
    }


def ordered(own: list[Setting]) -> list[Setting]:
    """Benchmarks in the study's order, smaller budgets first."""
    from benchmarks.smia_study.suite import BENCHMARKS

    names = [benchmark.name for benchmark in BENCHMARKS]
    return sorted(own, key=lambda one: (names.index(one.benchmark), one.eps))


def main_budgets() -> dict[str, float]:
    """The larger of the radii that were chosen for each benchmark on validation images."""
    from benchmarks.smia_study.suite import BENCHMARKS

    return {benchmark.name: benchmark.eps[-1] for benchmark in BENCHMARKS}


def stored(path: Path) -> Any:
    """A document of the cache; None where that stage has not run."""
    return document(path) if path.is_file() else None


def benchmarks(found: list[FinishedCell]) -> Figures:
    """What each benchmark is, in the study's order, and the minutes that its cells took."""
    from benchmarks.smia_study.suite import BENCHMARKS, second_name

    minutes = {benchmark.name: 0.0 for benchmark in BENCHMARKS}
    for cell in found:
        minutes[cell.about["benchmark"]] += float(cell.about["seconds"]) / 60
    return {
        benchmark.name: {
            "words": benchmark.words,
            "image": benchmark.image,
            "score": SCORES.get(benchmark.folder.name, "Dice"),
            "second": second_name(benchmark),
            "minutes": round(minutes[benchmark.name], 1),
        }
        for benchmark in BENCHMARKS
    }


SCORES = {"fundus_dr": "accuracy", "polyp_boxes": "F1"}
"""What the score of a set of images is called; Dice where nothing is said."""


def dumped(figures: Figures) -> str:
    """The document as text: one line for each attack and comparison, so that changes can be read."""
    return _lines(figures, 0) + "\n"


def _lines(value: Any, depth: int) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or depth >= 6 or len(flat) <= 400:
        return flat
    pad, end = " " * (depth + 1), " " * depth
    if isinstance(value, dict):
        inner = [f"{pad}{json.dumps(key, ensure_ascii=False)}: {_lines(one, depth + 1)}" for key, one in value.items()]
        return "{\n" + ",\n".join(inner) + f"\n{end}}}"
    return "[\n" + ",\n".join(pad + _lines(one, depth + 1) for one in value) + f"\n{end}]"

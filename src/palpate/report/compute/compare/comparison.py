"""Compare runs: what they share, every figure, every image, and the result in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from palpate.metrics.intervals import LEVEL
from palpate.report.compute.compare.changes import adjusted, changes
from palpate.report.compute.compare.gates import By, Gate, judge_gates
from palpate.report.compute.compare.likeness import distinct
from palpate.report.compute.compare.measured import Comparable, Measured, comparable
from palpate.report.compute.compare.sentences import result_in_words
from palpate.report.compute.compare.switches import Switches
from palpate.report.compute.hardening.given import given, is_hardened
from palpate.report.compute.hardening.judge import judge_measured
from palpate.report.compute.reading import UNTARGETED, RunReading
from palpate.report.compute.results import NOTICE
from palpate.report.model.schema_compare import Change, ComparedIntervals, ComparedRun, Comparison, Pair
from palpate.storage.runs import RunFolder


def compare_runs(
    paths: Sequence[Path | str | RunFolder],
    *,
    gates: Sequence[Gate] = (),
    gates_by: By = "estimate",
    names: bool = False,
    hardened: bool = False,
    match_names: bool = False,
    eps: float | str | None = None,
) -> Comparison:
    """Compare two or more finished runs over the same images.

    Args:
        paths: run folders; the first is what the others are compared with.
        gates: limits on the differences.
        gates_by: what must be within a limit, for gates that do not say it: the `estimate` or the whole `interval`.
        names: give the names of the images that changed. They may identify patients.
        hardened: judge whether the later models may be called *hardened*; always done where a run folder holds
            `harden.json`.
        match_names: match images by name where the data differ.
        eps: the budget of the sentences, of sites and scanners, in values; by default that of the first run's verdict.

    Raises:
        InputError: the runs cannot be compared, or a gate names a figure that they do not have.
        StorageError: a run cannot be read.
    """
    found = comparable(paths, match_names=match_names, eps=eps)
    first, pairs = found.runs[0], _pairs(found, names=names, hardened=hardened)
    return Comparison(
        notice=NOTICE,
        palpate=_version(),
        **{name: getattr(first.results, name) for name in ("task", "data", "threat")},
        images=first.reading.panel.images.count,
        eps=list(first.shared.eps),
        headline=found.headline,
        attacks=list(first.shared.attacks.values()),
        runs=[_described(one) for one in found.runs],
        warnings=distinct(found.warnings),
        pairs=pairs,
        gates=judge_gates(gates, pairs, first.results.data.scale, gates_by),
        intervals=_intervals(first.reading),
    )


def _version() -> str:
    try:
        return version("palpate")
    except PackageNotFoundError:  # run from a folder that is not installed
        return "not installed"


def _pairs(found: Comparable, *, names: bool, hardened: bool) -> list[Pair]:
    first, others = found.runs[0], found.runs[1:]
    every = adjusted([changes(first.figures, other.figures) for other in others])
    return [
        _pair(first, other, changed, found.headline, names=names, hardened=hardened)
        for other, changed in zip(others, every, strict=True)
    ]


def _pair(
    first: Measured, other: Measured, found: list[Change], headline: float | None, *, names: bool, hardened: bool
) -> Pair:
    switches = Switches(first.reading, other.reading, (first.shared.rows, other.shared.rows), names=names)
    shown = switches.of(first.figures, other.figures)
    letters = (first.side.letter, other.side.letter)
    sentence, details = result_in_words((first.side.named, other.side.named), found, shown, first.results, headline)
    verdict = None
    if hardened or is_hardened(other.side.run.path):
        verdict = judge_measured(first, other, found, given(None, other.side.run.path), headline).stored
    return Pair(
        first=letters[0],
        second=letters[1],
        sentence=sentence,
        details=details,
        changes=found,
        switches=shown,
        hardening=verdict,
    )


def _described(one: Measured) -> ComparedRun:
    description = one.side.description
    quality = [goal.quality for goal in one.results.validity.goals if goal.goal == UNTARGETED]
    shared: Mapping[str, Any] = {
        name: getattr(description, name)
        for name in ("title", "palpate", "created", "finished", "seed", "model")
    }  # fmt: skip
    return ComparedRun(
        **shared,
        letter=one.side.letter,
        folder=one.side.run.path.resolve().name,
        verdict=one.results.verdict.sentence,
        quality=quality[0] if quality else "",
    )


def _intervals(reading: RunReading) -> ComparedIntervals:
    resampling = reading.resampling
    return ComparedIntervals(
        level=LEVEL,
        groups=resampling.groups,
        clustered=resampling.clustered,
        replicates=resampling.replicates,
        seed=resampling.seed,
    )

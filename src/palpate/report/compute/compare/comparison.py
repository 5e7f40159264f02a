"""Compare runs: what they share, every figure, every image, and the result in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palpate.errors import InputError
from palpate.metrics.intervals import LEVEL
from palpate.report.compute.compare.changes import adjusted, changes
from palpate.report.compute.compare.gates import By, Gate, budget, judge_gates
from palpate.report.compute.compare.images import matched
from palpate.report.compute.compare.likeness import Side, distinct, refuse_other_tasks, sides, unlike
from palpate.report.compute.compare.listing import Listed, Place, listed
from palpate.report.compute.compare.overlap import overlap
from palpate.report.compute.compare.sentences import result_in_words
from palpate.report.compute.compare.sizes import size_series
from palpate.report.compute.compare.switches import Switches
from palpate.report.compute.compare.view import Shared, SharedRun
from palpate.report.compute.reading import UNTARGETED, RunReading, read
from palpate.report.compute.results import NOTICE, measure_reading
from palpate.report.compute.subgroups import all_subgroups
from palpate.report.model.schema import Results
from palpate.report.model.schema_compare import ComparedIntervals, ComparedRun, Comparison, Pair
from palpate.storage.runs import RunFolder


@dataclass(frozen=True, eq=False)
class Measured:
    """One run, measured on what is shared."""

    side: Side
    shared: Shared
    reading: RunReading
    results: Results
    figures: dict[Place, Listed]


def compare_runs(
    paths: Sequence[Path | str | RunFolder],
    *,
    gates: Sequence[Gate] = (),
    gates_by: By = "estimate",
    names: bool = False,
    match_names: bool = False,
    eps: float | str | None = None,
) -> Comparison:
    """Compare two or more finished runs over the same images.

    Args:
        paths: run folders; the first is what the others are compared with.
        gates: limits on the differences.
        gates_by: what must be within a limit, for gates that do not say it: the `estimate` or the whole `interval`.
        names: give the names of the images that changed. They may identify patients.
        match_names: match images by name where the data differ.
        eps: the budget of the sentences, of sites and scanners, in values; by default that of the first run's verdict.

    Raises:
        InputError: the runs cannot be compared, or a gate names a figure that they do not have.
        StorageError: a run cannot be read.
    """
    from palpate import __version__

    every = sides(paths)
    for side in every[1:]:
        refuse_other_tasks(every[0], side)
    rows, warnings = matched(every, by_name=match_names)
    shared, left_out = overlap(every, rows)
    measured, headline = _measured(every, shared, eps)
    warnings = [*warnings, *left_out, *(one for side in every[1:] for one in unlike(every[0], side))]
    first = measured[0]
    raw = adjusted([changes(first.figures, other.figures) for other in measured[1:]])
    pairs = [_pair(first, other, found, headline, names) for other, found in zip(measured[1:], raw, strict=True)]
    return Comparison(
        notice=NOTICE,
        palpate=__version__,
        **{name: getattr(first.results, name) for name in ("task", "data", "threat")},
        images=first.reading.panel.images.count,
        eps=list(shared[0].eps),
        headline=headline,
        attacks=list(shared[0].attacks.values()),
        runs=[_described(one) for one in measured],
        warnings=distinct(warnings),
        pairs=pairs,
        gates=judge_gates(gates, pairs, first.results.data.scale, gates_by),
        intervals=_intervals(first.reading),
    )


def _chosen(eps: float | str | None, first: Side, budgets: Sequence[float]) -> float | None:
    if eps is None:
        return None
    try:
        chosen = budget(eps, first.description.data.scale)
    except ValueError as error:
        raise InputError(f"eps: {error}.") from error
    if chosen not in budgets:
        known = ", ".join(first.description.data.written(one) for one in budgets) or "none"
        raise InputError(f"eps: {eps} is not a budget that all runs have. Known are: {known}.")
    return chosen


def _measured(
    every: Sequence[Side], shared: Sequence[Shared], eps: float | str | None
) -> tuple[list[Measured], float | None]:
    budgets, made = shared[0].eps, list[Measured]()
    headline = _chosen(eps, every[0], budgets)
    for side, one in zip(every, shared, strict=True):
        run = SharedRun(side.run.path, one)
        reading = read(run)
        results = measure_reading(run, reading)
        if not made and headline is None:
            headline = results.verdict.eps if results.verdict.eps in budgets else budgets[-1] if budgets else None
        results = results.model_copy(update={"subgroups": all_subgroups(reading, headline)})
        by_size = size_series(reading, made[0].reading if made else reading)
        made.append(Measured(side, one, reading, results, listed(results, by_size)))
    return made, headline


def _pair(first: Measured, other: Measured, found: list[Any], headline: float | None, names: bool) -> Pair:
    switches = Switches(first.reading, other.reading, (first.shared.rows, other.shared.rows), names=names)
    shown = switches.of(first.figures, other.figures)
    letters = (first.side.letter, other.side.letter)
    sentence, details = result_in_words(letters, found, shown, first.results, headline)
    return Pair(
        first=letters[0], second=letters[1], sentence=sentence, details=details, changes=found, switches=shown
    )  # fmt: skip


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

"""Runs, each measured on what all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from palpate.errors import InputError
from palpate.report.compute.compare.images import matched
from palpate.report.compute.compare.likeness import Side, refuse_other_tasks, sides, unlike
from palpate.report.compute.compare.listing import Listed, Place, listed
from palpate.report.compute.compare.overlap import overlap
from palpate.report.compute.compare.sizes import size_series
from palpate.report.compute.compare.view import Shared, SharedRun
from palpate.report.compute.reading import RunReading, read
from palpate.report.compute.results import measure_reading
from palpate.report.compute.subgroups import all_subgroups
from palpate.report.model.schema import Results
from palpate.report.model.schema_compare import Warned
from palpate.report.model.words import amount
from palpate.storage.runs import RunFolder
from palpate.units import Scale, radius


@dataclass(frozen=True, eq=False)
class Measured:
    """One run, measured on what is shared."""

    side: Side
    shared: Shared
    reading: RunReading
    results: Results
    figures: dict[Place, Listed]


@dataclass(frozen=True, eq=False)
class Comparable:
    """Runs that can be compared.

    Attributes:
        runs: each measured on what all of them share.
        headline: the budget of the sentences, in values; None without a common attack.
        warnings: in which ways they differ.
    """

    runs: tuple[Measured, ...]
    headline: float | None
    warnings: tuple[Warned, ...]


def comparable(
    paths: Sequence[Path | str | RunFolder], *, match_names: bool = False, eps: float | str | None = None
) -> Comparable:
    """Read runs, refuse those that cannot be compared, and measure the others on what they share.

    Args:
        paths: run folders; the first is what the others are compared with.
        match_names: match images by name where the data differ.
        eps: the budget of the sentences; by default that of the first run's verdict.

    Raises:
        InputError: the runs cannot be compared.
        StorageError: a run cannot be read.
    """
    every = sides(paths)
    for side in every[1:]:
        refuse_other_tasks(every[0], side)
    rows, warnings = matched(every, by_name=match_names)
    shared, left_out = overlap(every, rows)
    measured, headline = _measured(every, shared, eps)
    other = [one for side in every[1:] for one in unlike(every[0], side)]
    return Comparable(tuple(measured), headline, (*warnings, *left_out, *other))


def budget(written: float | str, scale: Scale) -> float:
    """A budget in values, as in a plan; a text that is a plain number counts values too.

    Raises:
        ValueError: it is not a budget.
    """
    try:
        return float(written)
    except ValueError:
        return radius(written, scale)


def written_budget(eps: float, scale: Scale) -> str:
    """A budget as a message lists it: `5 HU`, or `1 (= 1/255)` if the values have no unit."""
    plain, fraction = amount(eps), eps / scale.extent * 255
    return f"{plain} {scale.unit}" if scale.unit else f"{plain} (= {fraction:.4g}/255)"


def _chosen(eps: float | str | None, first: Side, budgets: Sequence[float]) -> float | None:
    if eps is None:
        return None
    try:
        chosen = budget(eps, first.description.data.scale)
    except ValueError as error:
        raise InputError(f"eps: {error}.") from error
    if chosen not in budgets:
        known = ", ".join(written_budget(one, first.description.data.scale) for one in budgets) or "none"
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

"""What the page shows of artefacts in addition to the figures of `results.json`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from markupsafe import Markup

from palpate.report.compute.artefacts.sentences import hardest
from palpate.report.draw import artefacts as drawing
from palpate.report.draw.canvas import ROUND
from palpate.report.model.description import Description
from palpate.report.model.description_artefacts import WORST
from palpate.report.model.schema import Results, Series
from palpate.report.model.schema_artefacts import ArtefactMeasure, ArtefactResults, FirstFailing
from palpate.report.model.scored import Scored
from palpate.report.model.typed import Figure
from palpate.report.page.artefact_cards import cards
from palpate.storage.runs import RunFolder


def pieces(
    run: RunFolder, results: Results, description: Description, *, names: bool, lost: Collection[str]
) -> dict[str, Any]:
    """What the templates need; nothing is shown of a run without artefacts."""
    summary, stored = results.artefacts, description.artefacts
    if summary is None or stored is None:
        return {"artefacts": None, "artefact_gallery": []}
    lines = drawing.drawn(summary, results.task)
    return {
        "artefacts": summary,
        "artefact_gallery": cards(run, stored.pictures, stored.items, results, named=names, lost=lost),
        "scored": Scored(results.task),
        "severities": range(1, WORST + 1),
        "artefact_chart": Markup(drawing.chart(summary, results.task)) if lines else None,
        "artefact_lines": [((at % ROUND + 1, at >= ROUND), item.name) for at, item in lines],
        "artefact_looks": {one.item: (at % ROUND + 1, at >= ROUND) for at, one in enumerate(summary.items)},
        "artefact_tile": tile(results),
        "artefact_measures": measures(results),
        "artefact_steps": [name for name in ("draws", "evolution", "gradient", "clean") if _found(summary.items, name)],
        "failing_interval": failing_interval,
        "at": at_severity,
    }


def _found(items: list[ArtefactResults], step: str) -> bool:
    return any(step in item.found_by for item in items)


def at_severity(item: ArtefactResults, severity: float) -> Any:
    """The random artefacts of a severity; None if none was drawn."""
    return next((point for point in item.points if point.severity == severity), None)


def tile(results: Results) -> ArtefactResults | None:
    """The artefact of the first screen, the hardest one; None if none could make an image fail."""
    items = results.artefacts.items if results.artefacts else []
    counted = [one for one in items if one.worst is not None and one.worst.eligible]
    return hardest(results.task, counted) if counted else None


def failing_interval(failing: FirstFailing) -> str:
    """The interval of the median severity in words; empty without one."""
    if failing.median is None or failing.low is None:
        return ""
    return f"{failing.low:.2g} to {'above 5' if failing.high is None else f'{failing.high:.2g}'}"


def measures(results: Results) -> list[dict[str, Any]]:
    """The task's measures: one row for each, with its figures before and after each artefact in order."""
    items = [one for one in results.artefacts.items if one.measures] if results.artefacts else []
    rows = []
    for place, first in enumerate(items[0].measures if items else []):
        cells = [(_series(first, item.measures[place].clean), item.measures[place].worst) for item in items]
        rows.append({"part": first.part, "cells": cells})
    return [{"names": [item.name for item in items], "rows": rows}] if rows else []


def _series(measure: ArtefactMeasure, clean: Figure) -> Series:
    """A measure as the tables of attacks show it: with its title, unit and rounding."""
    return Series(
        name=measure.name, part=measure.part, statistic="mean", unit=measure.unit, better="", clean=clean, attacks={},
        worst=[],
    )  # fmt: skip

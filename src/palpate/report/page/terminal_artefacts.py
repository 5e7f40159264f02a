"""The artefacts in the terminal: one small table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palpate.report.model.schema import Results
from palpate.report.model.schema_artefacts import ArtefactResults
from palpate.report.model.scored import Scored
from palpate.report.model.words import NOTHING

SHOWN = (1.0, 3.0, 5.0)
"""Severities with a column; the page shows all five."""
_HEADS = ("as\nstored", "severity\n1", "\n3", "\n5", "worst\nof k", "worst\nfound", "\nfails", "first\nfailing")
_NAME = 16
"""Letters of a name in one line, at least."""


def print_artefacts(results: Results, console: Console) -> None:
    """Print each artefact: the task's measure before, with random ones, and with the worst; nothing without artefacts.

    Args:
        results: the figures of a run.
        console: where to print.
    """
    summary = results.artefacts
    if summary is None:
        return
    scored = Scored(results.task)
    title = f"Artefacts: {scored.name} with random ones of a severity, and with the worst"
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(Text("\nartefact"), overflow="fold", min_width=_NAME)
    for head in _HEADS:
        table.add_column(Text(head), justify="right", no_wrap=True)
    for item in summary.items:
        table.add_row(Text(item.name), *map(Text, _cells(scored, item)))
    console.print()
    console.print(table)
    for detail in summary.details:
        console.print(Text(detail, style="dim"))


def _cells(scored: Scored, item: ArtefactResults) -> list[str]:
    if item.worst is None or item.first_failing is None:
        return [NOTHING] * len(_HEADS)
    points = {point.severity: scored.of(point) for point in item.points}
    median = item.first_failing.median
    return [
        scored.written(scored.clean(item)),
        *(scored.written(points.get(severity)) for severity in SHOWN),
        NOTHING if item.worst_of is None else scored.written(scored.of(item.worst_of)),
        scored.written(scored.of(item.worst)),
        f"{item.worst.failed}/{item.worst.eligible}",
        NOTHING if median is None else f"{median:.2g}",
    ]

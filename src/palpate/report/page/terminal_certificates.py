"""The certificates in the terminal: one sentence and one small table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from palpate.report.compute.certificates.sentences import telling
from palpate.report.model.schema import Results
from palpate.report.model.scored import Scored
from palpate.report.model.words import NOTHING, amount


def print_certificates(results: Results, console: Console) -> None:
    """Print the bounds of the smoothed model at each radius; nothing without certificates.

    Args:
        results: the figures of a run.
        console: where to print.
    """
    summary = results.certificates
    if summary is None:
        return
    console.print()
    console.print(Text(summary.sentence))
    for text in summary.details:
        console.print(Text(text, style="dim"))
    item, scored = telling(summary.items), Scored(results.task)
    if item is None:
        return
    unit = f" in {results.data.unit}" if results.data.unit else ""
    title = f"{scored.name.capitalize()} of the smoothed model, sigma {amount(item.sigma)}, by L2 radius{unit}"
    console.print(Text(title))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(Text(""))
    for point in item.points:
        table.add_column(Text(amount(point.radius)), justify="right", no_wrap=True)
    least = [scored.written(scored.of(point.certified)) for point in item.points]
    most = [NOTHING if one.attacked is None else scored.written(scored.of(one.attacked)) for one in item.points]
    table.add_row(Text("certified at least"), *map(Text, least))
    table.add_row(Text("attacked at most"), *map(Text, most))
    console.print(table)

"""Series side by side, as tables and charts show them: one panel per figure, one row per structure or finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from palpate.report.compute.headlines import worst_at
from palpate.report.model.schema import Results, Series, SeriesPoint
from palpate.report.model.wording import Wording, title

_BETTER = {"higher": "lowest", "lower": "highest", "": "highest or lowest"}


@dataclass(frozen=True)
class Row:
    """One structure, finding or class of boxes.

    Attributes:
        part: its name; for the whole image the name of the whole.
        whole: whether the row is about the whole image.
        series: its figures.
        worst: at each budget of the report the worst case over all attacks, or None.
    """

    part: str
    whole: bool
    series: Series
    worst: tuple[SeriesPoint | None, ...]


@dataclass(frozen=True)
class PartTable:
    """One figure of all structures or findings.

    Attributes:
        identity: unique on the page; used as an id.
        title: with its unit.
        order: which value is the worst: `lowest`, `highest`, or `highest or lowest`.
        rows: the whole image first, then the parts.
        leading: whether its table is open; the others are folded.
    """

    identity: str
    title: str
    order: str
    rows: tuple[Row, ...]
    leading: bool

    @property
    def clean(self) -> bool:
        """Whether the figure has a value without an attack."""
        return any(row.series.clean is not None for row in self.rows)


def kept_attacks(results: Results) -> list[str]:
    """Attacks that ran and kept to their budget."""
    return [attack.name for attack in results.attacks if attack.points and not attack.outside_budget]


def panels(results: Results, budgets: Sequence[float]) -> list[PartTable]:
    """The panels of a report, in the order of its series."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for series in results.series:
        groups.setdefault((series.name, series.statistic), []).append(series)
    words = Wording(results.task)
    if len(results.task.classes) == 1:
        # The mean over one structure is that structure.
        groups = {key: [one for one in mine if one.part] or mine for key, mine in groups.items()}
    return [
        PartTable(
            identity=f"part-{number}",
            title=title(mine[0]),
            order=_BETTER[mine[0].better],
            rows=tuple(_row(series, budgets, words.whole) for series in mine),
            leading=mine[0].name == results.task.score or mine[0].statistic in {"share", "pooled"},
        )
        for number, mine in enumerate(groups.values())
    ]


def _row(series: Series, budgets: Sequence[float], whole: str) -> Row:
    worst = tuple(worst_at(series, eps) for eps in budgets)
    return Row(series.part or whole, not series.part, series, worst)


def froc_attack(results: Results, budgets: Sequence[float]) -> str:
    """The attack under which fewest boxes are found at the largest budget; empty where there is no such figure."""
    kept = kept_attacks(results)
    recall = next((one for one in results.series if one.name == "recall" and not one.part), None)
    if recall is None or not budgets:
        return kept[0] if kept else ""
    last = {
        attack: point.figure.value
        for attack, points in recall.attacks.items()
        for point in points
        if attack in kept and point.eps == budgets[-1] and point.figure.value is not None
    }
    return min(last, key=lambda attack: last[attack] or 0.0, default="")

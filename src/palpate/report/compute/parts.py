"""Series side by side, as tables and charts show them: one panel per figure, one row per structure or finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from palpate.report.compute.headlines import Extreme, extreme
from palpate.report.model.schema import Results, Series
from palpate.report.model.wording import Wording, title

_BETTER = {"higher": "lowest", "lower": "highest", "": "furthest from the clean one"}


@dataclass(frozen=True)
class Row:
    """One structure, finding or class of boxes.

    Attributes:
        part: its name; for the whole image the name of the whole.
        whole: whether the row is about the whole image.
        series: its figures.
        worst: at each budget of the report the worst figure and its attack, or None.
    """

    part: str
    whole: bool
    series: Series
    worst: tuple[Extreme | None, ...]

    def moved(self, one: Extreme) -> bool:
        """Whether an attack made the figure worse than it is without one."""
        before = None if self.series.clean is None else self.series.clean.value
        if before is None:
            return one.value > 0
        change = one.value - before
        return {"higher": change < 0, "lower": change > 0, "": change != 0}[self.series.better]


@dataclass(frozen=True)
class PartTable:
    """One figure of all structures or findings.

    Attributes:
        identity: unique on the page; used as an id.
        title: with its unit.
        order: which value is the worst: `lowest`, `highest`, or the one furthest from the clean one.
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
    kept, words = kept_attacks(results), Wording(results.task)
    return [
        PartTable(
            identity=f"part-{number}",
            title=title(mine[0]),
            order=_BETTER[mine[0].better],
            rows=tuple(_row(series, budgets, kept, words.whole) for series in mine),
            leading=mine[0].name == results.task.score or mine[0].statistic in {"share", "pooled"},
        )
        for number, mine in enumerate(groups.values())
    ]


def _row(series: Series, budgets: Sequence[float], kept: Sequence[str], whole: str) -> Row:
    worst = tuple(extreme(series, eps, kept) for eps in budgets)
    return Row(series.part or whole, not series.part, series, worst)


def froc_attack(results: Results, budgets: Sequence[float]) -> str:
    """The attack under which fewest boxes are found at the largest budget; empty where there is no such figure."""
    kept = kept_attacks(results)
    recall = next((one for one in results.series if one.name == "recall" and not one.part), None)
    if recall is None or not budgets:
        return kept[0] if kept else ""
    worst = extreme(recall, budgets[-1], kept)
    return "" if worst is None else worst.attack

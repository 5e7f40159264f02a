"""Drawings of survival in files, and of sites and scanners."""

from __future__ import annotations

from typing import Any

from palpate.metrics.survival import SAVED
from palpate.report.draw.axis import BudgetAxis
from palpate.report.draw.canvas import ACCENT, INK, LINE, MUTED, ROUND, SvgCanvas, series_style, shorten
from palpate.report.draw.figures import LINES
from palpate.report.model.schema import Results
from palpate.report.model.schema_clinic import AttackSurvival, Subgroups
from palpate.report.model.typed import Figure
from palpate.report.model.words import percent

NOT_KNOWN = "not stated"
"""Shown for the site or scanner of images that have none."""


def step_style(results: Results, name: str) -> dict[str, Any]:
    """Style of a post-processing step, the same in every drawing; saving is the most visible."""
    names = [one.name for one in results.survival.handlings]
    if name == SAVED:
        return {"color": ACCENT, "linestyle": "-", "marker": "o", "linewidth": 2.2}
    style = series_style(names.index(name))
    return {**style, "markerfacecolor": style["color"], "linewidth": 1.5}


def step_colours(results: Results) -> list[tuple[str, str]]:
    """Each post-processing step with the page's name of its colour, for legends."""
    return [
        (one.name, "var(--accent)" if one.name == SAVED else f"var(--s{place % ROUND + 1})")
        for place, one in enumerate(results.survival.handlings)
    ]


def survival(results: Results, attack: AttackSurvival, scale: BudgetAxis, identity: str) -> str:
    """Success of one attack against the budget: before any post-processing, and after each step."""
    # Without an attack no eligible image is beaten, so no success can be left.
    start, first = scale.place(0.0), attack.points[0]
    lines: dict[str, list[tuple[float, float | None]]] = {
        "": [(start, 0.0), *((scale.place(point.eps), point.before.value) for point in attack.points)]
    }
    for index in _telling(attack):
        after = [(scale.place(point.eps), point.cells[index].after.value) for point in attack.points]
        lines[first.cells[index].handling] = [(start, 0.0), *after]
    with SvgCanvas(340, 226, (40, 44, 10, 10)) as canvas:
        canvas.percent_axis()
        scale.dress(canvas, fractions=False)
        for name, points in lines.items():
            known = [(x, y) for x, y in points if y is not None]
            look = {"color": INK, "linewidth": 2.4} if not name else step_style(results, name)
            if known:
                canvas.axes.plot(*zip(*known, strict=True), clip_on=False, markersize=4, **look)
        last = attack.points[-1]
        shares = [("before any post-processing", last.before), *((cell.handling, cell.after) for cell in last.cells)]
        text = f"At eps {scale.written(last.eps)}: {'; '.join(f'{name} {percent(one.value)}' for name, one in shares)}"
        return canvas.svg(f"Success of {attack.attack or 'all attacks together'} before and after", text, identity)


def _telling(attack: AttackSurvival) -> list[int]:
    """Places of the steps that are drawn beside the line before: saving, and those that change most; five at most."""
    last = attack.points[-1]

    def rank(place: int) -> tuple[bool, float]:
        cell = last.cells[place]
        return cell.handling != SAVED, -abs((cell.after.value or 0.0) - (last.before.value or 0.0))

    return sorted(sorted(range(len(last.cells)), key=rank)[: LINES - 1])


def subgroups(found: Subgroups) -> str:
    """Clean and worst-case share of each site or scanner, with 95% intervals."""
    rows = found.rows
    with SvgCanvas(560, 44 + 40 * len(rows), (170, 34, 24, 6)) as canvas:
        axes = canvas.axes
        for place, row in enumerate(rows):
            _dot(canvas, row.clean, place - 0.14, MUTED, "none")
            _dot(canvas, row.robust, place + 0.14, ACCENT, ACCENT)
        names = [f"{shorten(row.name or NOT_KNOWN, 20)} ({row.images})" for row in rows]
        canvas.percent_rows(names)
        axes.set_xlim(-0.01, 1.01)
        axes.grid(axis="x", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        text = "; ".join(
            f"{row.name or NOT_KNOWN}: {percent(row.clean.value)} clean, {percent(row.robust.value)} in the worst case"
            for row in rows
        )
        return canvas.svg(f"Figures of each {found.by}", text, f"by-{found.by}")


def _dot(canvas: SvgCanvas, figure: Figure, height: float, colour: str, face: str) -> None:
    if figure.value is None:
        return
    if figure.low is not None and figure.high is not None:
        canvas.axes.plot([figure.low, figure.high], [height, height], color=colour, linewidth=1.6, clip_on=False)
    canvas.axes.plot(
        [figure.value], [height], marker="o", markersize=7, color=colour, markerfacecolor=face, clip_on=False
    )

"""Drawings of masks, findings and boxes: one chart per figure with a line per part, and the FROC curve."""

from __future__ import annotations

from typing import Any

from palpate.report.compute.parts import PartTable, Row
from palpate.report.draw.axis import BudgetAxis
from palpate.report.draw.canvas import INK, LINE, MUTED, ROUND, SERIES, SvgCanvas, series_style
from palpate.report.draw.figures import LINES
from palpate.report.model.schema import Froc, Results
from palpate.report.model.wording import fractional, reading

_FROC_TICKS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False boxes per image at which a FROC curve is usually read."""


def look(place: int | None) -> dict[str, Any]:
    """Style of a part, the same in every chart and on the pictures; None is the whole image."""
    if place is None:
        return {"color": INK, "linestyle": "-", "marker": "o", "markerfacecolor": INK}
    return series_style(place)


def chart(results: Results, panel: PartTable, scale: BudgetAxis) -> str:
    """The worst case over all attacks against the budget, one line per part."""
    with SvgCanvas(420, 246, (52, 44, 14, 12)) as canvas:
        if fractional(panel.rows[0].series):
            canvas.percent_axis()
            if panel.rows[0].series.statistic != "share":
                canvas.coefficient_ticks()
        else:
            canvas.axes.grid(axis="y", color=LINE, linewidth=0.8)
            canvas.axes.set_axisbelow(True)
        scale.dress(canvas, fractions=False)
        for row in drawn(panel):
            place = None if row.whole else _place(results, row)
            points = _points(row, scale)
            if points:
                xs, ys = zip(*points, strict=True)
                canvas.axes.plot(xs, ys, linewidth=1.7, markersize=4.5, clip_on=False, **look(place))
        if not fractional(panel.rows[0].series):
            canvas.axes.set_ylim(bottom=0.0)
        return canvas.svg(f"{panel.title} against the budget", _in_words(panel, scale), panel.identity)


def drawn(panel: PartTable) -> list[Row]:
    """The rows that a drawing has: the whole image and the parts that change most, six at most."""
    parts = sorted((row for row in panel.rows if not row.whole), key=_change, reverse=True)
    whole = [row for row in panel.rows if row.whole]
    kept = [*whole, *parts][:LINES]
    return [row for row in panel.rows if row in kept]


def _change(row: Row) -> float:
    values = [one.figure.value for one in row.worst if one is not None and one.figure.value is not None]
    before = row.series.clean.value if row.series.clean is not None and row.series.clean.value is not None else 0.0
    return abs(before - values[-1]) if values else 0.0


def _place(results: Results, row: Row) -> int:
    names = results.task.classes
    return names.index(row.series.part) if row.series.part in names else len(names)


def _points(row: Row, scale: BudgetAxis) -> list[tuple[float, float]]:
    clean = row.series.clean
    start = [(scale.place(0.0), clean.value)] if clean is not None and clean.value is not None else []
    found = zip(scale.eps, row.worst, strict=True)
    return [
        *start,
        *((scale.place(eps), one.figure.value) for eps, one in found if one and one.figure.value is not None),
    ]


def _in_words(panel: PartTable, scale: BudgetAxis) -> str:
    texts = []
    for row in panel.rows:
        last = next(((eps, one) for eps, one in zip(scale.eps[::-1], row.worst[::-1], strict=True) if one), None)
        if last is not None:
            after = f"{reading(row.series, last[1].figure)} at eps {scale.written(last[0])}"
            before = row.series.clean
            texts.append(f"{row.part}: {f'{reading(row.series, before)} clean, ' if before else ''}{after}")
    return "; ".join(texts)


def froc(results: Results, scale: BudgetAxis, attack: str) -> str:
    """Boxes found against false boxes per image over all confidences: clean, and one attack at each budget."""
    found = [one for one in results.froc if one.attack is None or one.attack == attack]
    clean, attacked = [one for one in found if one.eps is None], [one for one in found if one.eps is not None]
    # With many budgets, a few from the smallest to the largest.
    most = min(LINES - 1, len(attacked))
    curves = [*clean, *(attacked[place * (len(attacked) - 1) // max(most - 1, 1)] for place in range(most))]
    with SvgCanvas(560, 330, (46, 48, 120, 14)) as canvas:
        canvas.percent_axis()
        axes = canvas.axes
        axes.set_xscale("log", base=2)
        axes.set_xlim(0.1, 10)
        axes.set_xticks(_FROC_TICKS, ["⅛", "¼", "½", "1", "2", "4", "8"])
        axes.minorticks_off()
        axes.set_xlabel("false boxes per image", color=MUTED, labelpad=6)
        for curve in curves:
            style: dict[str, Any] = {"color": INK, "linewidth": 2.4}
            label = "clean"
            if curve.eps is not None:
                rank = scale.eps.index(curve.eps)
                style = {"color": SERIES[rank % ROUND], "linewidth": 1.7}
                label = f"eps {scale.written(curve.eps)}"
            axes.step(*_drawn(curve), where="post", label=label, **style)
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False, fontsize=10.5, labelcolor=INK)
        text = "; ".join(
            f"{'clean' if one.eps is None else f'eps {scale.written(one.eps)}'}: {_at_one(one)}" for one in curves
        )
        return canvas.svg(f"FROC curve under {attack}", text, "froc")


def _drawn(curve: Froc) -> tuple[list[float], list[float]]:
    # A logarithmic axis has no zero: the curve starts at its left edge and continues to its right edge.
    xs = [max(value, 0.05) for value in curve.false_positives]
    return ([0.05, *xs, 16.0], [0.0, *curve.recall, curve.recall[-1]]) if xs else ([0.05, 16.0], [0.0, 0.0])


def _at_one(curve: Froc) -> str:
    within = [found for alarms, found in zip(curve.false_positives, curve.recall, strict=True) if alarms <= 1]
    return f"{max(within, default=0.0):.0%} found at one false box per image or fewer"

"""Drawings of a comparison: robust accuracy of every run against the budget, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from palpate.report.draw.axis import BudgetAxis
from palpate.report.draw.canvas import INK, LINE, MUTED, PAPER, SvgCanvas, series_style, shorten, spread_labels, wrap
from palpate.report.draw.figures import BudgetCurve
from palpate.report.model.schema_compare import ESTABLISHED, Change, Comparison
from palpate.report.model.words import percent, points

_ROW = 26
_MOST = 24
"""Rows of a drawing of differences at most."""


def scale_of_comparison(comparison: Comparison) -> BudgetAxis:
    """The axis of budgets."""
    data, window = comparison.data, comparison.data.scale.window
    extent = data.extent if window is None else window[1] - window[0]
    return BudgetAxis(
        tuple(comparison.eps), extent, data.unit, window is not None, comparison.threat.norm == "linf"
    )  # fmt: skip


def curves(comparison: Comparison, title: str) -> str:
    """The worst case over all attacks of every run, with 95% bands."""
    scale = scale_of_comparison(comparison)
    lines = _lines(comparison)
    with SvgCanvas(460, 270, (40, 58, 100, 14)) as canvas:
        canvas.percent_axis()
        scale.dress(canvas)
        ends: list[tuple[float, str]] = []
        for place, (name, curve) in enumerate(lines.items()):
            style = series_style(place)
            x = [scale.place(eps) for eps, _ in curve]
            y = [figure.value or 0.0 for _, figure in curve]
            low = [figure.low if figure.low is not None else figure.value or 0.0 for _, figure in curve]
            high = [figure.high if figure.high is not None else figure.value or 0.0 for _, figure in curve]
            canvas.axes.fill_between(x, low, high, color=style["color"], alpha=0.12, linewidth=0)
            canvas.axes.plot(x, y, linewidth=2.2, markersize=5, clip_on=False, **style)
            ends.append((y[-1], name))
        right = canvas.axes.get_xlim()[1]
        for (_, name), height in zip(ends, spread_labels([end for end, _ in ends], 0.07), strict=True):
            canvas.axes.text(right, height, f" {name}", color=INK, fontsize=10.5, va="center", clip_on=False)
        text = "; ".join(f"{name}: {', '.join(percent(f.value) for _, f in curve)}" for name, curve in lines.items())
        return canvas.svg(title, text, "curves")


def _lines(comparison: Comparison) -> dict[str, BudgetCurve]:
    """Name of each run -> its figures without an attack and at every budget."""
    lines: dict[str, BudgetCurve] = {}
    for pair in comparison.pairs:
        for letter, side in ((pair.first, "first"), (pair.second, "second")):
            folder = next(run.folder for run in comparison.runs if run.letter == letter)
            found = [
                (one.eps or 0.0, getattr(one, side))
                for one in pair.changes
                if one.section == "result" and one.figure in {"clean accuracy", "robust accuracy"}
            ]
            known = [(eps, figure) for eps, figure in found if figure.value is not None]
            if known:
                lines.setdefault(f"{letter} {shorten(folder, 14)}", known)
    return lines


def differences(changes: Sequence[tuple[str, Change]], title: str, identity: str) -> str:
    """Differences of shares with their intervals, one row each; 0 is the line in the middle.

    A difference that is established has a filled mark and its word; the others a hollow one.
    """
    shown = list(changes)[:_MOST]
    with SvgCanvas(480, 40 + _ROW * len(shown), (158, 30, 92, 6)) as canvas:
        axes = canvas.axes
        axes.axvline(0, color=MUTED, linewidth=1.0)
        for row, (_, change) in enumerate(shown):
            delta = change.difference
            if delta.value is None:
                continue
            sure = change.reading in ESTABLISHED
            colour = INK if sure else MUTED
            if delta.low is not None and delta.high is not None:
                axes.plot([delta.low, delta.high], [row, row], color=colour, linewidth=1.8 if sure else 1.2)
            axes.plot([delta.value], [row], marker="o", markersize=6, color=colour, mfc=colour if sure else PAPER)
            said = f"{points(delta.value)} {change.reading}" if sure else points(delta.value)
            axes.text(1.01, row, said, transform=axes.get_yaxis_transform(), color=colour, va="center")
        axes.set_yticks(range(len(shown)), [wrap(name) for name, _ in shown], color=INK)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.grid(axis="x", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        ticks = [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
        axes.set_xticks(ticks, [points(tick).removesuffix(".0") for tick in ticks])
        text = "; ".join(
            f"{name} {points(one.difference.value)}" for name, one in shown if one.difference.value is not None
        )
        return canvas.svg(title, text, identity)

"""The report's drawings. Each function takes the results and returns one inline SVG element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palpate.report.compute.reading import UNTARGETED
from palpate.report.draw.canvas import (
    ACCENT,
    INK,
    LINE,
    MUTED,
    SERIES,
    SvgCanvas,
    series_style,
    shorten,
    spread_labels,
)
from palpate.report.model.schema import AttackResults, Results, WorstCase
from palpate.report.model.typed import Figure
from palpate.report.model.wording import Wording
from palpate.report.model.words import amount, in_unit, percent, share_of

LOG_SPAN = 8
"""Budgets that span more than this factor are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class BudgetAxis:
    """The horizontal axis of budgets; 0 is the clean image, drawn one step before the smallest."""

    eps: tuple[float, ...]
    extent: float
    unit: str = ""
    window: bool = False
    """Whether `extent` is that of the window that the model sees; else it is that of the range."""
    shares: bool = True
    """Whether a budget bounds each value (L-inf) and is a share of `extent`; a length over all values is not."""

    @property
    def logarithmic(self) -> bool:
        """Whether equal factors, rather than equal differences, are equally far apart."""
        return len(self.eps) > 1 and self.eps[-1] > LOG_SPAN * self.eps[0]

    def written(self, eps: float | None) -> str:
        """A budget in the unit of the images."""
        return in_unit(eps, self.unit)

    def share(self, eps: float) -> str:
        """A budget as a share of the range or of the window; empty if it is not one."""
        if not self.shares:
            return ""
        return share_of(eps / self.extent) + (" of window" if self.window else "")

    @property
    def title(self) -> str:
        """The title of an axis of budgets."""
        unit = self.unit or "stored values"
        if not self.shares:
            return f"eps, a length in {unit}"
        return f"eps in {unit}, and as a share of {'the window' if self.window else 'their range'}"

    def place(self, eps: float) -> float:
        """Position of a budget."""
        if not self.logarithmic:
            return eps
        return math.log2(eps / self.eps[0]) + 1 if eps > 0 else -0.15

    def dress(self, canvas: SvgCanvas, *, fractions: bool = True) -> None:
        """Ticks at the clean image and at the budgets, fewer where they would touch."""
        axes = canvas.axes
        positions = [self.place(eps) for eps in self.eps]
        last = max([*positions, 1e-9])
        left = self.place(0.0)
        room = canvas.figure.get_figwidth() * 72 * axes.get_position().width / (1.08 * (last - left))
        ticks, labels, taken = [left], ["clean"], left
        for eps, position in zip(self.eps, positions, strict=True):
            if (position - taken) * room < 36:
                continue
            label = amount(eps) + (f"\n{share_of(eps / self.extent)}" if fractions and self.shares else "")
            ticks.append(position)
            labels.append(label)
            taken = position
        axes.set_xticks(ticks, labels)
        axes.set_xlim(left - 0.04 * (last - left), last + 0.04 * (last - left))
        if self.logarithmic:
            # The clean image has no place on a logarithmic axis: the sign // marks the gap.
            axes.text(
                (left + positions[0]) / 2, -0.001, "//", transform=axes.get_xaxis_transform(), ha="center", va="center",
                color=MUTED, fontsize=10,
            )  # fmt: skip


def scale_of(results: Results) -> BudgetAxis:
    """The axis that all drawings of a report share."""
    found = {point.eps for case in results.worst_case for point in case.points}
    data, window = results.data, results.data.scale.window
    extent = data.extent if window is None else window[1] - window[0]
    return BudgetAxis(tuple(sorted(found)), extent, data.unit, window is not None, results.threat.norm == "linf")


def styles(results: Results) -> dict[str, dict[str, Any]]:
    """How each attack is drawn, the same in every drawing."""
    return {attack.name: series_style(index) for index, attack in enumerate(results.attacks)}


BudgetCurve = list[tuple[float, Figure]]
"""Budgets with a figure at each."""


def _curve(clean: Figure | None, points: Sequence[tuple[float, Figure | None]]) -> BudgetCurve:
    start = [(0.0, clean)] if clean is not None else []
    return [(eps, figure) for eps, figure in [*start, *points] if figure is not None and figure.value is not None]


def _draw(canvas: SvgCanvas, scale: BudgetAxis, curve: BudgetCurve, *, band: float = 0.0, **style: Any) -> None:
    places = [scale.place(eps) for eps, _ in curve]
    values = [figure.value if figure.value is not None else math.nan for _, figure in curve]
    if band:
        lows = [math.nan if figure.low is None else figure.low for _, figure in curve]
        highs = [math.nan if figure.high is None else figure.high for _, figure in curve]
        canvas.axes.fill_between(places, lows, highs, color=style["color"], alpha=band, linewidth=0)
    canvas.axes.plot(places, values, clip_on=False, **style)


def untargeted(results: Results) -> list[AttackResults]:
    """The untargeted attacks that have a record."""
    return [attack for attack in results.attacks if attack.goal == UNTARGETED and attack.points]


def worst_of(results: Results, goal: str = UNTARGETED) -> WorstCase | None:
    """All attacks of one goal together, or None where none ran."""
    return next((case for case in results.worst_case if case.goal == goal), None)


def _worst_curve(results: Results) -> BudgetCurve:
    worst = worst_of(results)
    return _curve(results.clean.attackable, [(point.eps, point.figure) for point in worst.points] if worst else [])


def robustness(results: Results) -> str:
    """Robust accuracy against the budget: every untargeted attack, and their worst case with its 95% band."""
    scale, look = scale_of(results), styles(results)
    with SvgCanvas(760, 380, (46, 62, 150, 16)) as canvas:
        canvas.percent_axis()
        scale.dress(canvas)
        canvas.axes.set_xlabel(scale.title, color=MUTED, labelpad=6)
        worst = _worst_curve(results)
        ends = [(worst[-1][1].value or 0.0, "worst case", INK, "bold")]
        for attack in untargeted(results):
            # An attack that leaves its budget has no place on this axis; the worst case uses its real distances.
            if attack.outside_budget:
                continue
            style = look[attack.name]
            curve = _curve(results.clean.attackable, [(point.eps, point.robust_accuracy) for point in attack.points])
            _draw(canvas, scale, curve, linewidth=1.6, markersize=4.5, **style)
            ends.append((curve[-1][1].value or 0.0, attack.name, style["color"], "normal"))
        _draw(canvas, scale, worst, color=INK, band=0.13, linewidth=2.6)
        _label_ends(canvas, scale, ends)
        before, after = percent(worst[0][1].value), percent(worst[-1][1].value)
        last = scale.written(worst[-1][0])
        text = f"In the worst case it falls from {before} without an attack to {after} at eps {last}."
        return canvas.svg(f"{Wording(results.task).robust} against the budget", text, "robustness")


def _label_ends(canvas: SvgCanvas, scale: BudgetAxis, ends: Sequence[tuple[float, str, str, str]]) -> None:
    axes, (_, right) = canvas.axes, canvas.axes.get_xlim()
    width, last = right - axes.get_xlim()[0], scale.place(scale.eps[-1])
    placed = spread_labels([height for height, *_ in ends], min(0.05, 1 / len(ends)))
    for (height, name, colour, weight), label in zip(ends, placed, strict=True):
        axes.plot(
            [last + 0.015 * width, right + 0.01 * width], [height, label], color=colour, linewidth=0.9, clip_on=False
        )
        axes.text(right + 0.018 * width, label, shorten(name), color=INK, fontsize=10.5, fontweight=weight, va="center")


def attack_panel(results: Results, attack: AttackResults, identity: str) -> str:
    """One attack alone with its 95% band, over the worst case as a thin line."""
    scale, style = scale_of(results), styles(results)[attack.name]
    with SvgCanvas(300, 190, (40, 28, 10, 10)) as canvas:
        canvas.percent_axis()
        scale.dress(canvas, fractions=False)
        if attack.goal == UNTARGETED:
            curve = _curve(results.clean.attackable, [(point.eps, point.robust_accuracy) for point in attack.points])
            _draw(canvas, scale, _worst_curve(results), color=MUTED, linewidth=1.0, linestyle=(0, (2, 2)))
            title = f"{Wording(results.task).robust}: {attack.name}"
        else:
            curve = _curve(None, [(point.eps, point.success_rate) for point in attack.points])
            title = f"Success rate of {attack.name}"
        _draw(canvas, scale, curve, band=0.18, linewidth=1.9, markersize=4.5, **style)
        return canvas.svg(title, _in_words(curve, scale), identity)


def _in_words(curve: BudgetCurve, scale: BudgetAxis) -> str:
    return "; ".join(f"eps {scale.written(eps)}: {percent(figure.value)}" for eps, figure in curve)


def per_class(results: Results) -> str:
    """Accuracy of each class: clean as a pale bar, worst case at the verdict's budget as a dark one with interval."""
    worst, names = worst_of(results), results.task.classes
    assert worst is not None
    point = next((one for one in worst.points if one.eps == results.verdict.eps), worst.points[-1])
    with SvgCanvas(760, 44 + 40 * len(names), (150, 34, 60, 6)) as canvas:
        axes = canvas.axes
        for row, (clean, attacked) in enumerate(zip(results.clean.per_class, point.per_class, strict=True)):
            if clean.value is None or attacked.value is None:
                axes.text(0.01, row, "no image", color=MUTED, va="center", fontsize=10.5)
                continue
            axes.barh(row, clean.value, height=0.56, color=LINE, linewidth=0)
            axes.barh(row, attacked.value, height=0.56, color=ACCENT, linewidth=0)
            axes.plot([attacked.low or 0.0, attacked.high or 0.0], [row, row], color=INK, linewidth=1.4, clip_on=False)
            axes.text(1.02, row, percent(attacked.value), color=INK, va="center", fontsize=10.5)
        canvas.percent_rows([shorten(name) for name in names])
        axes.set_xlim(0, 1)
        text = "; ".join(
            f"{name}: {percent(clean.value)} clean, {percent(attacked.value)} under attack"
            for name, clean, attacked in zip(names, results.clean.per_class, point.per_class, strict=True)
        )
        return canvas.svg(f"Accuracy of each class at eps {results.data.written(point.eps)}", text, "per-class")


def direction(results: Results, name: str) -> str:
    """Missed or invented disease against the budget, all attacks together, with the clean rate as a dashed line."""
    scale, clean = scale_of(results), getattr(results.clean.directions, name)
    points = [(row.eps, getattr(row.directions, name)) for row in results.worst_directions]
    with SvgCanvas(420, 250, (44, 46, 14, 12)) as canvas:
        canvas.percent_axis()
        scale.dress(canvas)
        curve = _curve(clean, points)
        colour = SERIES[1] if name == "missed_disease" else SERIES[0]
        if clean.value is not None:
            canvas.axes.axhline(clean.value, color=MUTED, linewidth=1.0, linestyle=(0, (3, 3)))
        _draw(canvas, scale, curve, color=colour, band=0.18, linewidth=2.2, marker="o", markersize=5)
        title = name.replace("_", " ").capitalize()
        return canvas.svg(f"{title} against the budget", _in_words(curve, scale), name.replace("_", "-"))


def grading(results: Results, name: str) -> str:
    """Kappa, sensitivity, specificity or area under the ROC curve against the budget: every attack, and the worst case.

    The band is the 95% interval of the worst case.
    """
    scale, look = scale_of(results), styles(results)
    clean = getattr(results.clean.grading, name)
    curves = {
        attack.name: _curve(clean, [(point.eps, getattr(point.grading, name)) for point in attack.points])
        for attack in results.attacks
        if attack.points
    }
    worst = _curve(clean, [(one.eps, getattr(one.grading, name)) for one in results.worst_grading])
    negative = any((figure.value or 0.0) < 0 for curve in (worst, *curves.values()) for _, figure in curve)
    with SvgCanvas(420, 240, (44, 28, 14, 12)) as canvas:
        canvas.percent_axis(-1.0 if negative else 0.0)
        if name in {"quadratic_kappa", "area_under_roc"} and not negative:
            canvas.coefficient_ticks()
        scale.dress(canvas, fractions=False)
        for attack, curve in curves.items():
            _draw(canvas, scale, curve, linewidth=1.6, markersize=4, **look[attack])
        _draw(canvas, scale, worst, color=INK, band=0.13, linewidth=2.4)
        title = name.replace("_", " ").capitalize()
        text = f"Worst case: {_ratios(worst, scale)}"
        return canvas.svg(f"{title} against the budget", text, name.replace("_", "-"))


def _ratios(curve: BudgetCurve, scale: BudgetAxis) -> str:
    return "; ".join(f"eps {scale.written(eps)}: {figure.value:.2f}" for eps, figure in curve)

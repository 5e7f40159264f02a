"""The report's drawings. Each function takes the results and returns one inline SVG element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from palpate.report.compute.reading import UNTARGETED
from palpate.report.draw.axis import BudgetAxis, scale_of
from palpate.report.draw.canvas import ACCENT, INK, LINE, MUTED, SvgCanvas, series_style, shorten
from palpate.report.model.families import NOISE, family
from palpate.report.model.schema import AttackResults, Results, WorstCase
from palpate.report.model.typed import Figure
from palpate.report.model.wording import Wording
from palpate.report.model.words import percent


def styles(results: Results) -> dict[str, dict[str, Any]]:
    """How each attack is drawn, the same in every drawing."""
    return {attack.name: series_style(index) for index, attack in enumerate(results.attacks)}


LINES = 6
"""The most lines in a drawing."""
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


def compared(results: Results, goal: str | None = UNTARGETED) -> list[AttackResults]:
    """The attacks of a drawing: of each family the one with most successes, and noise; at most five.

    Attacks that leave their budget have no place on an axis of budgets: the worst case uses their real distances.

    Args:
        results: the figures.
        goal: of which goal; None for all.
    """
    kept = [one for one in results.attacks if one.points and not one.outside_budget and goal in (None, one.goal)]
    best: dict[str, AttackResults] = {}
    for attack in kept:
        kind = family(attack.catalog)
        if kind not in best or _wins(attack) > _wins(best[kind]):
            best[kind] = attack
    noise = [best.pop(NOISE)] if NOISE in best else []
    chosen = [*sorted(best.values(), key=_wins, reverse=True)[: LINES - 1 - len(noise)], *noise]
    return [attack for attack in results.attacks if attack in chosen]


def _wins(attack: AttackResults) -> float:
    return sum(point.success_rate.value or 0.0 for point in attack.points) / len(attack.points)


def robustness(results: Results) -> str:
    """Robust accuracy against the budget: the best attack of each family, and the worst case with its 95% band."""
    scale, look = scale_of(results), styles(results)
    with SvgCanvas(430, 240, (42, 58, 14, 12)) as canvas:
        canvas.percent_axis()
        scale.dress(canvas)
        for attack in compared(results):
            curve = _curve(results.clean.attackable, [(point.eps, point.robust_accuracy) for point in attack.points])
            _draw(canvas, scale, curve, linewidth=1.6, markersize=4.5, **look[attack.name])
        worst = _worst_curve(results)
        _draw(canvas, scale, worst, color=INK, band=0.13, linewidth=2.6)
        return canvas.svg(f"{Wording(results.task).robust} against the budget", _fall(worst, scale), "robustness")


def main_curve(results: Results) -> str:
    """The worst case alone with its 95% band; a ring and its figure mark the main budget."""
    scale, worst = scale_of(results), _worst_curve(results)
    with SvgCanvas(400, 240, (42, 58, 16, 18)) as canvas:
        canvas.percent_axis()
        scale.dress(canvas)
        _draw(canvas, scale, worst, color=ACCENT, band=0.16, linewidth=2.6, marker="o", markersize=4.5)
        main = next((pair for pair in worst[1:] if pair[0] == results.verdict.eps), None)
        if main is not None:
            place, value = scale.place(main[0]), main[1].value or 0.0
            canvas.axes.plot(
                [place], [value], marker="o", markersize=11, color=ACCENT, markerfacecolor="none", markeredgewidth=2,
                clip_on=False,
            )  # fmt: skip
            canvas.axes.annotate(
                percent(value), (place, value), xytext=(9, 7 if value < 0.88 else -17), textcoords="offset points",
                color=INK, fontsize=12.5, fontweight="bold",
            )  # fmt: skip
        return canvas.svg(f"{Wording(results.task).robust} at every budget", _fall(worst, scale), "curve")


def _fall(worst: BudgetCurve, scale: BudgetAxis) -> str:
    before, after = percent(worst[0][1].value), percent(worst[-1][1].value)
    return f"In the worst case it goes from {before} without an attack to {after} at eps {scale.written(worst[-1][0])}."


def attack_panel(results: Results, attack: AttackResults, identity: str) -> str:
    """One attack alone with its 95% band, over the worst case as a thin line."""
    scale, style = scale_of(results), styles(results)[attack.name]
    with SvgCanvas(300, 206, (40, 44, 10, 10)) as canvas:
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
    with SvgCanvas(420, 44 + 30 * len(names), (124, 34, 50, 6)) as canvas:
        axes = canvas.axes
        for row, (clean, attacked) in enumerate(zip(results.clean.per_class, point.per_class, strict=True)):
            if clean.value is None or attacked.value is None:
                axes.text(0.01, row, "no image", color=MUTED, va="center", fontsize=10.5)
                continue
            axes.barh(row, clean.value, height=0.56, color=LINE, linewidth=0)
            axes.barh(row, attacked.value, height=0.56, color=ACCENT, linewidth=0)
            axes.plot([attacked.low or 0.0, attacked.high or 0.0], [row, row], color=INK, linewidth=1.4, clip_on=False)
            axes.text(1.02, row, percent(attacked.value), color=INK, va="center", fontsize=10.5)
        canvas.percent_rows([shorten(name, 18) for name in names])
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
    with SvgCanvas(420, 262, (44, 58, 14, 12)) as canvas:
        canvas.percent_axis()
        scale.dress(canvas)
        curve = _curve(clean, points)
        if clean.value is not None:
            canvas.axes.axhline(clean.value, color=MUTED, linewidth=1.0, linestyle=(0, (3, 3)))
        _draw(canvas, scale, curve, color=ACCENT, band=0.18, linewidth=2.2, marker="o", markersize=5)
        title = name.replace("_", " ").capitalize()
        return canvas.svg(f"{title} against the budget", _in_words(curve, scale), name.replace("_", "-"))


def grading(results: Results, name: str) -> str:
    """Kappa, sensitivity, specificity or area under the ROC curve against the budget: a few attacks, the worst case.

    The band is the 95% interval of the worst case.
    """
    scale, look = scale_of(results), styles(results)
    clean = getattr(results.clean.grading, name)
    curves = {
        attack.name: _curve(clean, [(point.eps, getattr(point.grading, name)) for point in attack.points])
        for attack in compared(results, None)
    }
    worst = _curve(clean, [(one.eps, getattr(one.grading, name)) for one in results.worst_grading])
    negative = any((figure.value or 0.0) < 0 for curve in (worst, *curves.values()) for _, figure in curve)
    with SvgCanvas(420, 256, (44, 44, 14, 12)) as canvas:
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

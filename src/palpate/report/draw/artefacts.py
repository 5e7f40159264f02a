"""The drawing of artefacts: how the task's measure falls as they become more severe."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.report.draw.canvas import MUTED, SvgCanvas, series_style
from palpate.report.model.description import TaskDescription
from palpate.report.model.description_artefacts import WORST
from palpate.report.model.schema_artefacts import ArtefactResults, ArtefactSummary
from palpate.report.model.scored import Scored

MOST = 6
"""Lines in the drawing."""


def drawn(summary: ArtefactSummary, task: TaskDescription) -> list[tuple[int, ArtefactResults]]:
    """The artefacts in the drawing, with their places in the plan: those after which the measure is lowest.

    Without a figure of the worst found, an artefact has no line.
    """
    scored = Scored(task)
    finished = [
        (place, item)
        for place, item in enumerate(summary.items)
        if item.worst is not None and item.points and scored.of(item.worst).value is not None
    ]
    return sorted(sorted(finished, key=lambda pair: _lowest(scored, pair[1]))[:MOST])


def _lowest(scored: Scored, item: ArtefactResults) -> float:
    value = None if item.worst is None else scored.of(item.worst).value
    return 1.0 if value is None else value


def chart(summary: ArtefactSummary, task: TaskDescription) -> str:
    """The mean over random artefacts against severity, and below each line the worst found where it was searched."""
    scored, lines = Scored(task), drawn(summary, task)
    with SvgCanvas(430, 230, (42, 46, 16, 12)) as canvas:
        canvas.percent_axis()
        if not task.classification:
            canvas.coefficient_ticks()
        axes = canvas.axes
        axes.set_xticks(range(WORST + 1), ["as stored", *map(str, range(1, WORST + 1))])
        axes.set_xlim(-0.2, WORST + 0.15)
        axes.set_xlabel("severity", color=MUTED, labelpad=6)
        for place, item in lines:
            style, points = series_style(place), _points(scored, item)
            axes.plot(*zip(*points, strict=True), clip_on=False, linewidth=1.8, markersize=4.5, **style)
            _worst(canvas, scored, item, points, style["color"])
        return canvas.svg(f"{scored.name.capitalize()} against severity", _in_words(scored, lines), "artefacts")


def _points(scored: Scored, item: ArtefactResults) -> list[tuple[float, float]]:
    figures = [(0.0, scored.clean(item)), *((point.severity, scored.of(point)) for point in item.points)]
    return [(severity, figure.value) for severity, figure in figures if figure.value is not None]


def _worst(
    canvas: SvgCanvas, scored: Scored, item: ArtefactResults, points: Sequence[tuple[float, float]], colour: str
) -> None:
    value = None if item.worst is None else scored.of(item.worst).value
    if value is None:
        return
    mean = dict(points).get(item.searched, value)
    canvas.axes.plot([item.searched] * 2, [mean, value], color=colour, linewidth=1.1, linestyle=(0, (1.5, 1.5)))
    canvas.axes.plot(
        [item.searched], [value], marker="v", markersize=7.5, color=colour, markerfacecolor="none", clip_on=False
    )


def _in_words(scored: Scored, lines: Sequence[tuple[int, ArtefactResults]]) -> str:
    return "; ".join(
        f"{item.name}: {scored.written(scored.clean(item))} as stored, {scored.written(scored.of(item.points[-1]))} "
        f"at severity {item.points[-1].severity:g}, {scored.written(scored.of(item.worst))} at the worst found"
        for _, item in lines
        if item.worst is not None
    )

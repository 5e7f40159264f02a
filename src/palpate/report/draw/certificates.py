"""The drawing of certificates: at least and at most, and the region between them, which nobody knows."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.report.draw.canvas import INK, MUTED, SvgCanvas, series_style, spread_labels
from palpate.report.model.description import DataDescription, TaskDescription
from palpate.report.model.schema_certificates import CertificateResults, CertificateSummary
from palpate.report.model.scored import Scored
from palpate.report.model.words import amount

Points = list[tuple[float, float]]


def drawn(summary: CertificateSummary) -> list[tuple[int, CertificateResults]]:
    """The sigmas in the drawing, with their places in the plan."""
    return [(place, item) for place, item in enumerate(summary.items) if len(item.points) > 1]


def chart(summary: CertificateSummary, task: TaskDescription, data: DataDescription) -> str:
    """For each sigma, "certified at least" as a solid line and "attacked at most" as a dashed one, against the radius.

    Both are drawn as steps: between two radii the lower bound is that of the larger one, and the upper bound that of
    the smaller one.
    """
    scored, lines = Scored(task), drawn(summary)
    with SvgCanvas(640, 310, (46, 46, 160, 16)) as canvas:
        canvas.percent_axis()
        if not task.classification:
            canvas.coefficient_ticks()
        axes, end = canvas.axes, max(point.radius for _, item in lines for point in item.points)
        axes.set_xlim(0, end * 1.02)
        unit = f" in {data.unit}" if data.unit else ", in stored values"
        axes.set_xlabel(f"Euclidean length of the change{unit}", color=MUTED, labelpad=6)
        ends: list[tuple[float, str, str]] = []
        for place, item in lines:
            colour = series_style(place)["color"]
            ends += _lines(canvas, scored, item, colour, named=len(lines) > 1)
        _label(canvas, ends, end)
        return canvas.svg(f"{scored.name.capitalize()} against L2 radius", _in_words(scored, lines), "certificates")


def _lines(
    canvas: SvgCanvas, scored: Scored, item: CertificateResults, colour: str, *, named: bool
) -> list[tuple[float, str, str]]:
    axes, least, most = canvas.axes, _points(scored, item, least=True), _points(scored, item, least=False)
    of = f", sigma {amount(item.sigma)}" if named else ""
    axes.step(*zip(*least, strict=True), where="pre", color=colour, linewidth=2, clip_on=False)
    ends = [(least[-1][1], f"certified at least{of}", colour)]
    if len(most) > 1:
        axes.step(*zip(*most, strict=True), where="post", color=colour, linewidth=1.6, linestyle=(0, (5, 2)))
        _between(canvas, least, most, colour)
        ends.append((most[-1][1], f"attacked at most{of}", colour))
    return ends


def _between(canvas: SvgCanvas, least: Points, most: Points, colour: str) -> None:
    """Fill what is not known: from the lower bound of a radius to the upper bound of the one before."""
    for (left, _), (right, low), (_, high) in zip(least, least[1:], most, strict=False):
        canvas.axes.fill_between([left, right], [low, low], [high, high], color=colour, alpha=0.12, linewidth=0)


def _points(scored: Scored, item: CertificateResults, *, least: bool) -> Points:
    sides = [(point.radius, point.certified if least else point.attacked) for point in item.points]
    found = [(radius, scored.of(side).value) for radius, side in sides if side is not None]
    return [(radius, value) for radius, value in found if value is not None]


def _label(canvas: SvgCanvas, ends: Sequence[tuple[float, str, str]], end: float) -> None:
    axes = canvas.axes
    placed = spread_labels([height for height, *_ in ends], 0.07)
    for (height, text, colour), label in zip(ends, placed, strict=True):
        axes.plot([end * 1.01, end * 1.04], [height, label], color=colour, linewidth=0.9, clip_on=False)
        axes.text(end * 1.05, label, text, color=INK, fontsize=10, va="center")


def _in_words(scored: Scored, lines: Sequence[tuple[int, CertificateResults]]) -> str:
    texts = []
    for _, item in lines:
        for point in item.points:
            most = "" if point.attacked is None else f", at most {scored.written(scored.of(point.attacked))}"
            texts.append(
                f"sigma {amount(item.sigma)}, radius {amount(point.radius)}: at least "
                f"{scored.written(scored.of(point.certified))}{most}"
            )
    return "; ".join(texts)

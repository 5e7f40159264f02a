"""Drawings of how attacks run: disagreement step by step, the terms of stabilised attacks, and paths in their plane."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from palpate.metrics.panel import Floats
from palpate.report.draw.canvas import INK, LINE, MUTED, ROUND, SERIES, SvgCanvas
from palpate.report.model.schema_stability import AttackStability, Curve
from palpate.report.model.words import amount

KL = ("kl_clean", "kl_final", "kl_smoothed")
"""Curves of disagreement, in the order of their legend."""
TERMS = ("loss", "penalty", "value")
"""The terms of the objective of a stabilised attack."""
DECADES = 5
"""The most powers of ten on an axis of disagreement; smaller values are drawn at the axis minimum."""
ROUNDING = 1e-6
"""Below this, disagreement that is zero by definition is only rounding."""
_LOOKS: dict[str, dict[str, Any]] = {
    "kl_clean": {"color": SERIES[1], "linestyle": "-"},
    "kl_final": {"color": SERIES[0], "linestyle": (0, (5, 2))},
    "kl_smoothed": {"color": SERIES[2], "linestyle": (0, (1.5, 1.5))},
    "loss": {"color": SERIES[1], "linestyle": "-"},
    "penalty": {"color": SERIES[2], "linestyle": (0, (1.5, 1.5))},
    "value": {"color": INK, "linestyle": (0, (5, 2))},
}
_TITLES = {
    "kl_clean": "from the clean image's answer",
    "kl_final": "from the final answer",
    "kl_smoothed": "from the smoothed image's answer",
    "loss": "deviation",
    "penalty": "stabilisation",
    "value": "objective",
}


def legend(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """Words, the page's colour and the style of the border for each line."""
    borders = {"-": "solid", (0, (5, 2)): "dashed", (0, (1.5, 1.5)): "dotted"}
    colours = {SERIES[0]: "s1", SERIES[1]: "s2", SERIES[2]: "s3", INK: "ink"}
    looks = {name: _LOOKS[name] for name in names}
    return [(_TITLES[name], colours[look["color"]], borders[look["linestyle"]]) for name, look in looks.items()]


def decades(attacks: Sequence[AttackStability]) -> tuple[int, int]:
    """Powers of ten between which all curves of disagreement are drawn, so that attacks can be compared."""
    found = [
        value
        for attack in attacks
        for curve in attack.curves
        if curve.name in KL
        for value in (*curve.median, *curve.high)
        if value is not None and value > 0
    ]
    if not found:
        return -1, 0
    highest = max(math.ceil(math.log10(max(found))), -DECADES)
    return min(max(math.floor(math.log10(min(found))), highest - DECADES), highest - 1), highest


def disagreement(attack: AttackStability, span: tuple[int, int], identity: str) -> str:
    """How far the model's answers are from those for the clean, the last and the smoothed image, step by step."""
    lowest, highest = span
    with SvgCanvas(320, 210, (50, 40, 14, 10)) as canvas:
        axes = canvas.axes
        axes.set_yscale("log")
        # A little room, for lines on the edges.
        axes.set_ylim(10 ** (lowest - 0.06), 10 ** (highest + 0.06))
        every = 2 if highest - lowest > 4 else 1
        powers = range(highest, lowest - 1, -every)
        axes.set_yticks([10.0**power for power in powers], [_power(power) for power in powers])
        axes.minorticks_off()
        _dress(canvas, attack)
        for curve in attack.curves:
            if curve.name in KL:
                _line(canvas, curve, 10.0**lowest)
        return canvas.svg(f"Disagreement along {attack.attack}", _in_words(attack, KL), identity)


def terms(attack: AttackStability, identity: str) -> str:
    """Deviation, stabilisation and their difference, step by step."""
    with SvgCanvas(320, 210, (50, 40, 14, 10)) as canvas:
        canvas.axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        _dress(canvas, attack)
        for curve in attack.curves:
            if curve.name in TERMS:
                _line(canvas, curve, -math.inf)
        return canvas.svg(f"The terms of the objective of {attack.attack}", _in_words(attack, TERMS), identity)


def _dress(canvas: SvgCanvas, attack: AttackStability) -> None:
    axes, steps = canvas.axes, attack.steps or 1
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.02 * steps, 1.02 * steps)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_xlabel("steps taken", color=MUTED, labelpad=3)


def _line(canvas: SvgCanvas, curve: Curve, least: float) -> None:
    values, low, high = (_drawn(curve.name, one, least) for one in (curve.median, curve.low, curve.high))
    known = np.isfinite(values)
    if not known.any():
        return
    look, steps = _LOOKS[curve.name], np.arange(len(values))
    marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if known.sum() < 4 else {}
    if curve.name != "value":
        canvas.axes.fill_between(steps, low, high, color=look["color"], alpha=0.16, linewidth=0)
    canvas.axes.plot(steps, values, linewidth=1.9, clip_on=False, **look, **marker)


def _drawn(name: str, values: Sequence[float | None], least: float) -> Floats:
    found = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    # Zero by definition and therefore not shown: where a run ends, and where it begins without a random start.
    place = {"kl_final": -1, "kl_clean": 0, "kl_smoothed": 0}.get(name)
    if place is not None and found.size and abs(found[place]) < ROUNDING:
        found[place] = math.nan
    return np.where(np.isnan(found), found, np.maximum(found, least))


def _power(power: int) -> str:
    if -4 < power < 5:
        return f"{10.0**power:g}"
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _in_words(attack: AttackStability, names: Sequence[str]) -> str:
    texts = []
    for curve in attack.curves:
        known = [(step, value) for step, value in enumerate(curve.median) if value is not None]
        if curve.name in names and known:
            (first, start), (last, end) = known[0], known[-1]
            values = f"{amount(start)} after {first} steps, {amount(end)} after {last}"
            texts.append(f"{_TITLES[curve.name]}: {values}")
    return "Median over the images. " + "; ".join(texts) if texts else "Nothing was measured."


def plane(
    attack: AttackStability, paths: Sequence[tuple[int, Floats, Floats]], reach: tuple[float, float], identity: str
) -> str:
    """The path of each start on each image in the plane of its first and last steps, in lengths of its final change.

    The radius of the circle is the length of the final change; a path that ends inside it is partly outside the
    plane.

    Args:
        attack: its name and its images.
        paths: number of the image among those drawn, and both coordinates (T+1,) of each start.
        reach: the range that the axes show at least, the same for all attacks.
        identity: unique on the page.
    """
    with SvgCanvas(276, 270, (42, 40, 8, 10)) as canvas:
        axes = canvas.axes
        axes.set_aspect("equal")
        low, high = min(reach[0], 0.0) - 0.07, max(reach[1], 1.0) + 0.07
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_xlabel("along the first step", color=MUTED, labelpad=3)
        axes.set_ylabel("toward the last step", color=MUTED, labelpad=2)
        axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=MUTED, linewidth=0.7))
        for place, xs, ys in paths:
            colour = SERIES[place % ROUND]
            axes.plot(xs, ys, color=colour, linewidth=1.3)
            axes.plot(xs[:1], ys[:1], marker="o", markersize=5, color=colour, markerfacecolor="none")
            axes.plot(xs[-1:], ys[-1:], marker="o", markersize=5, color=colour)
        return canvas.svg(f"Path of {attack.attack}", _courses_in_words(attack), identity)


def _courses_in_words(attack: AttackStability) -> str:
    return "Share of the final change in the plane: " + "; ".join(
        f"row {one.row}, start {one.start + 1}: {'unknown' if one.share is None else f'{one.share:.0%}'}"
        for one in attack.courses
    )

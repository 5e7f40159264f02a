"""The plot of a table: robust accuracy over the budget."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

Points = Sequence[tuple[float, float]]
"""Budget and robust accuracy."""


def draw(
    lines: Mapping[str, Points],
    worst: Sequence[tuple[float, float, float, float]],
    clean: float,
    amounts: Sequence[str],
    ax: Any = None,
) -> Any:
    """A line per attack, the worst case in black with its interval, and the clean accuracy as a dashed line.

    Args:
        lines: attack -> its points.
        worst: budget, robust accuracy in the worst case, and both ends of its interval.
        clean: accuracy without an attack.
        amounts: the budgets of `worst` in words.
        ax: matplotlib Axes to draw on; new ones by default.

    Returns:
        The matplotlib Axes.
    """
    ax = _axes() if ax is None else ax
    for name, points in lines.items():
        ax.plot([eps for eps, _ in points], [value for _, value in points], marker="o", lw=1, label=name)
    eps = [one for one, *_ in worst]
    ax.fill_between(eps, [low for *_, low, _ in worst], [high for *_, high in worst], color="black", alpha=0.12, lw=0)
    if len(lines) > 1:
        ax.plot(eps, [value for _, value, *_ in worst], color="black", lw=2, label="worst case")
    if not math.isnan(clean):
        ax.axhline(clean, color="grey", ls="--", lw=1, label="without an attack")
    ax.set_xticks(eps, list(amounts))
    ax.set(xlabel="eps", ylabel="robust accuracy (95% interval)", ylim=(-0.02, 1.02))
    ax.legend()
    return ax


def _axes() -> Any:
    """New Axes: of pyplot, whose figures a notebook shows, if the user has loaded it; else without a window."""
    if "matplotlib.pyplot" in sys.modules:
        from matplotlib import pyplot

        return pyplot.subplots(layout="constrained")[1]
    from matplotlib.figure import Figure

    return Figure(layout="constrained").add_subplot()

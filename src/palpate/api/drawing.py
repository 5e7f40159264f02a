"""The plot of a table: robust accuracy over the budget."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palpate.api.table import Table


def draw(table: Table, ax: Any = None) -> Any:
    """A line per attack, the worst case in black with its interval, and the clean accuracy as a dashed line.

    Returns:
        The matplotlib Axes.
    """
    if ax is None:
        # Without pyplot, no window and no global state; notebooks show the figure of the Axes that is returned.
        from matplotlib.figure import Figure

        ax = _axes() if _interactive() else Figure(layout="constrained").add_subplot()
    for name in table.attacks:
        rows = [row for row in table.rows if row.attack == name]
        ax.plot([row.eps for row in rows], [row.robust_accuracy for row in rows], marker="o", lw=1, label=name)
    worst = table.worst
    eps = [row.eps for row in worst]
    several = len(table.attacks) > 1
    ax.fill_between(eps, [row.low for row in worst], [row.high for row in worst], color="black", alpha=0.12, lw=0)
    if several:
        ax.plot(eps, [row.robust_accuracy for row in worst], color="black", lw=2, label="worst case")
    if not math.isnan(table.clean_accuracy):
        ax.axhline(table.clean_accuracy, color="grey", ls="--", lw=1, label="without an attack")
    ax.set_xticks(eps, [table.amount(one) for one in eps])
    ax.set(xlabel="eps", ylabel="robust accuracy (95% interval)", ylim=(-0.02, 1.02))
    ax.legend()
    return ax


def _interactive() -> bool:
    """Whether the user has loaded pyplot, whose figures a notebook shows by itself."""
    return "matplotlib.pyplot" in sys.modules


def _axes() -> Any:
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]

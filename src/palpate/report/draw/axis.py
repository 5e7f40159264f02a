"""The horizontal axis of budgets that all drawings of a report share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from palpate.report.draw.canvas import MUTED, SvgCanvas
from palpate.report.model.schema import Results
from palpate.report.model.words import amount, in_unit, share_of

LOG_SPAN = 8
"""Budgets that span more than this factor are drawn on a logarithmic axis."""
LETTER, GAP, LINE = 6.3, 7.0, 13
"""Width of a letter of a tick label, room between two labels, and height of a line, in pixels."""
ROWS = 3
"""The most rows of tick labels."""


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
            return f"eps, a length in {unit}{self._spacing}"
        return f"eps in {unit}, and as a share of {'the window' if self.window else 'their range'}{self._spacing}"

    @property
    def short_title(self) -> str:
        """The same where only the budgets are written."""
        return f"eps{f' in {self.unit}' if self.unit else ''}{self._spacing}"

    @property
    def _spacing(self) -> str:
        return "; logarithmic axis" if self.logarithmic else ""

    def place(self, eps: float) -> float:
        """Position of a budget."""
        if not self.logarithmic:
            return eps
        return math.log2(eps / self.eps[0]) + 1 if eps > 0 else -0.15

    def dress(self, canvas: SvgCanvas, *, fractions: bool = True) -> None:
        """A title, and a labelled tick at the clean image and at every budget; labels that would touch get rows."""
        axes = canvas.axes
        places = [self.place(eps) for eps in (0.0, *self.eps)]
        left, last = places[0], max(places[-1], places[0] + 1e-9)
        room = canvas.figure.get_figwidth() * 72 * axes.get_position().width / (1.08 * (last - left))
        names = ["clean", *(amount(eps) for eps in self.eps)]
        parts = ["", *(share_of(eps / self.extent) if fractions and self.shares else "" for eps in self.eps)]
        at = [place * room for place in places]
        rows = stagger(at, [max(len(name), len(part)) for name, part in zip(names, parts, strict=True)])
        if any(rows):
            parts, rows = [""] * len(names), stagger(at, [len(name) for name in names])
        labels = [
            "\n" * row + name + (f"\n{part}" if part else "")
            for row, name, part in zip(rows, names, parts, strict=True)
        ]
        axes.set_xticks(places, labels)
        axes.set_xlim(left - 0.04 * (last - left), last + 0.04 * (last - left))
        title = self.title if fractions else self.short_title
        if len(title) * LETTER > canvas.figure.get_figwidth() * 72:
            title = title.replace(", and ", ",\nand ", 1)
        axes.set_xlabel(title, color=MUTED, labelpad=5)
        canvas.deepen(LINE * (max(rows) + title.count("\n")))
        if self.logarithmic:
            # The clean image has no place on a logarithmic axis: the sign // marks the gap.
            axes.text(
                (left + places[1]) / 2, -0.001, "//", transform=axes.get_xaxis_transform(), ha="center", va="center",
                color=MUTED, fontsize=10,
            )  # fmt: skip


def stagger(places: Sequence[float], letters: Sequence[int]) -> list[int]:
    """The row of each label, so that no label of a row touches the one before it.

    Args:
        places: centres of the labels in pixels, rising.
        letters: their lengths in letters.

    >>> stagger([0, 100, 110], [5, 3, 3])
    [0, 0, 1]
    """
    ends, rows = [-math.inf] * ROWS, []
    for place, count in zip(places, letters, strict=True):
        half = count * LETTER / 2
        free = [row for row in range(ROWS) if place - half >= ends[row] + GAP]
        row = free[0] if free else min(range(ROWS), key=ends.__getitem__)
        ends[row] = place + half
        rows.append(row)
    return rows


def scale_of(results: Results) -> BudgetAxis:
    """The axis that all drawings of a report share."""
    found = {point.eps for case in results.worst_case for point in case.points}
    data, window = results.data, results.data.scale.window
    extent = data.extent if window is None else window[1] - window[0]
    return BudgetAxis(tuple(sorted(found)), extent, data.unit, window is not None, results.threat.norm == "linf")

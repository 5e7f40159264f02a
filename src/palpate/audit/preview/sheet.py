"""The contact sheet of one artefact as a PNG: rows are images; columns are the clean image and severities 1 to 5."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from palpate.artefacts.parameter import WORST
from palpate.audit.plan.artefacts import ArtefactItem
from palpate.audit.preview.cells import Cell, Row, strengths
from palpate.audit.work.gallery import SYNTHETIC
from palpate.audit.work.marks import Mark
from palpate.errors import printable

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    # Names come from files: a dollar sign in a name is not mathematics.
    "text.parse_math": False,
    "savefig.bbox": None,
}
_DPI = 100
_LEAST, _MOST = 190, 420
"""Pixels of the longer side of a picture: smaller ones are shown in whole multiples, larger ones are scaled down."""
_COLUMN = 160
"""Pixels of a column, at least, so that the strengths above it can be read."""
_GAP, _LINE, _LETTER = 10, 14, 6.4
"""Pixels between pictures, of a line of text, and of a letter."""
_COLOURS = ("#ffd60a", "#30d5c8", "#ff6b6b", "#b388ff")


def sheet(item: ArtefactItem, rows: Sequence[Row], window: str, *, names: bool = False) -> bytes:
    """A PNG; it says in the picture and in its metadata that it is synthetic.

    Args:
        item: the artefact.
        rows: one per image.
        window: which values are black and white, in words.
        names: also write the names of the files.
    """
    sizes = [_size(row) for row in rows]
    column = max(_COLUMN, *(width for width, _ in sizes))
    width = (WORST + 1) * (column + _GAP) + _GAP
    said = " ".join(entry.summary for entry in item.entries)
    title = _wrapped(f"{item.name}: {said} {window}".strip(), width)
    heads = [_head(item, severity, column) for severity in range(WORST + 1)]
    below = [_wrapped(_caption(number, row, names=names), width) for number, row in enumerate(rows, start=1)]
    notice = _wrapped(f"{SYNTHETIC} {_stay(item)}", width)
    texts = sum(map(len, [title, notice, *below])) + max(map(len, heads))
    height = sum(tall for _, tall in sizes) + texts * _LINE + (2 * len(rows) + 3) * _GAP
    with rc_context(_SETTINGS):
        paper = _Paper(width, height)
        paper.write(title, 0, weight="bold")
        paper.down(len(title) * _LINE + _GAP)
        for place, head in enumerate(heads):
            paper.write(head, place * (column + _GAP))
        paper.down(max(map(len, heads)) * _LINE)
        for row, size, caption in zip(rows, sizes, below, strict=True):
            for place, cell in enumerate(row.cells):
                paper.picture(cell, place * (column + _GAP), size)
            paper.down(size[1] + _GAP // 2)
            paper.write(caption, 0, color="#555555")
            paper.down(len(caption) * _LINE + _GAP)
        paper.write(notice, 0, weight="bold")
        return paper.png({"Title": f"{item.name} at severities 1 to {WORST}", "Description": SYNTHETIC})


class _Paper:
    """A white figure that is filled from the top."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height, self.top = width, height, _GAP
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def down(self, pixels: int) -> None:
        """Go on further below."""
        self.top += pixels

    def write(self, lines: Sequence[str], left: int, **style: Any) -> None:
        """Lines of text, from the left."""
        for number, line in enumerate(lines):
            top = self.top + number * _LINE
            self.figure.text((left + _GAP) / self.width, 1 - top / self.height, line, va="top", **style)

    def picture(self, cell: Cell, left: int, size: tuple[int, int]) -> None:
        """A picture of a size (width, height) with its marks."""
        wide, tall = size
        box = ((left + _GAP) / self.width, 1 - (self.top + tall) / self.height, wide / self.width, tall / self.height)
        axes = self.figure.add_axes(box)
        axes.set_axis_off()
        pixels = cell.pixels if cell.pixels.shape[2] == 3 else cell.pixels[..., 0]
        enlarged = pixels.shape[0] <= tall
        axes.imshow(
            pixels, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="nearest" if enlarged else "antialiased"
        )
        for mark in cell.marks:
            _draw(axes, mark, pixels.shape[:2])

    def png(self, notes: dict[str, str]) -> bytes:
        """The figure as PNG."""
        sink = io.BytesIO()
        self.figure.savefig(sink, format="png", dpi=_DPI, metadata={"Software": "palpate", **notes})
        return sink.getvalue()


def _draw(axes: Axes, mark: Mark, shape: tuple[int, ...]) -> None:
    """An outline or a box; its points are shares of width and height."""
    points = [(x * shape[1] - 0.5, y * shape[0] - 0.5) for x, y in mark["points"]]
    colour = _COLOURS[mark["part"] % len(_COLOURS)]
    if mark["kind"] == "box":
        (left, top), (right, bottom) = points
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1))
    else:
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1, scalex=False, scaley=False)


def _size(row: Row) -> tuple[int, int]:
    """Width and height in pixels; pixels are square on paper if they are on the patient."""
    height, width = row.cells[0].pixels.shape[:2]
    shape = (height * row.aspect, float(height)) if row.aspect * height >= width else (width, width / row.aspect)
    longer = max(shape)
    factor = max(1, -(-_LEAST // int(longer))) if longer <= _MOST else _MOST / longer
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _head(item: ArtefactItem, severity: int, column: int) -> list[str]:
    if severity == 0:
        return ["clean"]
    grown = strengths(item.artefact.parameters, severity)
    return [f"severity {severity}", *(line for words in grown for line in _wrapped(words, column))]


def _caption(number: int, row: Row, *, names: bool) -> str:
    parts = [printable(row.name) if names else f"image {number}", row.plane, row.words]
    return "; ".join(part for part in parts if part)


def _stay(item: ArtefactItem) -> str:
    return "Anatomy moves, and the annotation that is drawn moves with it." if item.artefact.moves else ""


def _wrapped(text: str, pixels: int) -> list[str]:
    return textwrap.wrap(text, max(8, int(pixels / _LETTER))) or [""]

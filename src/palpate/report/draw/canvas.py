"""Matplotlib figures as inline SVG: colours and fonts of the page, always the same bytes, no global state."""

from __future__ import annotations

import html
import io
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# The page replaces these by its own colours, so that one drawing suits light, dark and print.
INK, MUTED, LINE, ACCENT, PAPER = "#010101", "#010102", "#010103", "#010104", "#010105"
SERIES = tuple(f"#0102{index:02x}" for index in range(1, 9))
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", PAPER: "paper"} | {
    colour: f"s{index}" for index, colour in enumerate(SERIES, start=1)
}
ROUND = len(SERIES)
"""After this many attacks the colours repeat, with dashed lines and hollow markers."""
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
MARKERS = "osD^vPX*"


def series_style(place: int) -> dict[str, Any]:
    """Colour, dashes and marker of the line at this place in a legend, as arguments of `Axes.plot`."""
    colour = SERIES[place % ROUND]
    return {
        "color": colour,
        "linestyle": DASHES[(place // ROUND) % len(DASHES)],
        "marker": MARKERS[place % ROUND],
        "markerfacecolor": colour if place < ROUND else "none",
    }


_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "palpate",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    # Names come from files: a dollar sign in a name is not mathematics.
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "path.simplify": False,
}


class SvgCanvas:
    """One drawing of `width` by `height` pixels with a single set of axes.

    Use as a context manager around all drawing calls, then ask for `svg`.
    """

    def __init__(self, width: int, height: int, margins: tuple[int, int, int, int] = (46, 40, 12, 14)) -> None:
        """`margins` are left, bottom, right and top, in pixels."""
        self._settings = rc_context(_SETTINGS)
        self._settings.__enter__()
        left, bottom, right, top = margins
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(self.figure)
        self.figure.patch.set_visible(False)
        box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
        self.axes: Axes = self.figure.add_axes(box)
        self.axes.patch.set_visible(False)
        for side in ("top", "right", "left"):
            self.axes.spines[side].set_visible(False)
        self.axes.spines["bottom"].set_color(MUTED)
        self.axes.tick_params(colors=MUTED, labelcolor=MUTED, length=3, labelsize=10.5, pad=4)
        self.axes.tick_params(axis="y", length=0)

    def __enter__(self) -> SvgCanvas:
        return self

    def __exit__(self, *_: object) -> None:
        self._settings.__exit__(None, None, None)

    def deepen(self, pixels: int) -> None:
        """Add room below the axes, which keep their size."""
        if not pixels:
            return
        width, height = (72 * inches for inches in self.figure.get_size_inches())
        box = self.axes.get_position()
        taller = height + pixels
        self.figure.set_size_inches(width / 72, taller / 72)
        self.axes.set_position((box.x0, (box.y0 * height + pixels) / taller, box.width, box.height * height / taller))

    def percent_axis(self, low: float = 0.0) -> None:
        """Fractions from `low` to 1 as percentages, with a fine line at each quarter."""
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0] if low == 0.0 else [-0.5, 0.0, 0.5, 1.0]
        self.axes.set_ylim(low - 0.02, 1.03)
        labels = [f"{tick:.0%}" if low == 0.0 else f"{tick:g}".replace("-", "−") for tick in ticks]
        self.axes.set_yticks(ticks, labels)
        self.axes.grid(axis="y", color=LINE, linewidth=0.8)
        self.axes.set_axisbelow(True)

    def coefficient_ticks(self) -> None:
        """Label the axis of fractions as 0 to 1 instead of percentages."""
        self.axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.50", "0.75", "1"])

    def percent_rows(self, names: Sequence[str]) -> None:
        """One row per name, from the top, and percentages along the horizontal axis."""
        self.axes.set_yticks(range(len(names)), names, color=INK)
        self.axes.set_ylim(len(names) - 0.5, -0.5)
        self.axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])

    def svg(self, title: str, description: str, identity: str) -> str:
        """The drawing as an SVG element that a screen reader can name.

        Args:
            title: its accessible name.
            description: what it shows, in a sentence.
            identity: unique on the page; prefixes every id inside.
        """
        sink = io.BytesIO()
        self.figure.savefig(sink, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        return _inline(sink.getvalue().decode(), title, description, identity)


def _inline(text: str, title: str, description: str, identity: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # A hundredth of a pixel is enough, and half the bytes.
    text = re.sub(r'="[^"]*"', lambda found: re.sub(r"(\d\.\d\d)\d+", r"\1", found[0]), text)
    for part in ('id="', 'href="#', "url(#"):
        text = text.replace(part, part + identity + "-")
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    text = text.replace("'DejaVu Sans'", "var(--sans)")
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    head = (
        f'<svg {box.group()} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'aria-labelledby="{identity}-title {identity}-desc">'
        f'<title id="{identity}-title">{html.escape(title)}</title>'
        f'<desc id="{identity}-desc">{html.escape(description)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: head, text, count=1).strip()


def spread_labels(heights: Sequence[float], gap: float, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Move labels apart by at least `gap`, in their order, near their place and, if they fit, between low and high.

    >>> spread_labels([0.5, 0.5], 0.2)
    [0.4, 0.6]
    """
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    clusters: list[list[int]] = []
    centres: list[float] = []
    for index in order:
        clusters.append([index])
        centres.append(max(low, min(high, heights[index])))
        # Two clusters that touch become one around their common mean; the new one may touch the cluster below.
        while len(clusters) > 1 and centres[-1] - centres[-2] < gap * (len(clusters[-1]) + len(clusters[-2])) / 2:
            upper = clusters.pop()
            centres.pop()
            clusters[-1] += upper
            mean = sum(heights[member] for member in clusters[-1]) / len(clusters[-1])
            half = gap * (len(clusters[-1]) - 1) / 2
            centres[-1] = max(low + half, min(high - half, mean))
    placed = [0.0] * len(heights)
    for members, centre in zip(clusters, centres, strict=True):
        for rank, member in enumerate(members):
            placed[member] = centre + gap * (rank - (len(members) - 1) / 2)
    return placed


def wrap(name: str, width: int = 25) -> str:
    r"""A name in at most two lines; only what does not fit into them is cut.

    >>> wrap("robust accuracy of proliferative")
    'robust accuracy of\nproliferative'
    """
    lines = textwrap.wrap(name, width) or [""]
    return "\n".join([lines[0], *([shorten(" ".join(lines[1:]), width)] if lines[1:] else [])])


def shorten(name: str, limit: int = 22) -> str:
    """A name that fits into a drawing."""
    return name if len(name) <= limit else name[: limit - 1] + "…"

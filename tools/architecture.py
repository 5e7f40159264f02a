"""Draw the architecture from the imports: `python tools/architecture.py` writes docs/explanation/architecture.svg.

Packages are boxes in the layers of the import contracts of pyproject.toml; each box says what the package is, by the
first line of its docstring, and which other packages it imports. A test keeps the drawing fresh.
"""

from __future__ import annotations

import ast
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from import_graph import PLACES, ROOT, Graph, read

DRAWING = ROOT / "docs" / "explanation" / "architecture.svg"
PACKAGE = "palpate"

WIDTH, MARGIN, GAP, PAD, LINE, INNER = 1000, 16, 8, 9, 16, 6
"""Of the drawing, its edge, the space between boxes and inside them, a line of text, and between inner boxes."""
BESIDE = 4
"""The largest number of boxes in a row."""
NAME_SIZE, TEXT_SIZE = 13.5, 12
LETTER = 0.57
"""Width of a letter as a share of its size: more than the mean of any common font, so that lines fit in all."""
STYLE = """\
svg { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
.page { fill: #ffffff; } .box { fill: #eef3f8; stroke: #8ba3ba; } .inner { fill: #ffffff; stroke: #b4c3d1; }
.name { fill: #12263a; font-weight: 600; } .text { fill: #33475b; } .uses { fill: #1f5f99; }
@media (prefers-color-scheme: dark) {
  .page { fill: #11161c; } .box { fill: #1b242e; stroke: #4c6278; } .inner { fill: #243140; stroke: #4c6278; }
  .name { fill: #f0f5fa; } .text { fill: #c3d0dc; } .uses { fill: #8cc4f5; }
}"""

Layers = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Part:
    """One package or module: what it is, which others it imports (below and above it), and its layers."""

    name: str
    text: str
    uses: tuple[str, ...]
    above: tuple[str, ...] = ()
    rows: tuple[tuple[Part, ...], ...] = ()


def contracts(pyproject: Path = ROOT / "pyproject.toml") -> dict[str, Layers]:
    """The layers of each package that a contract of import-linter orders, the highest first."""
    found = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    return {
        container: [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
        for contract in found
        if contract["type"] == "layers"
        for container in contract["containers"]
    }


def rows_of(container: str, graph: Graph, layers: Mapping[str, Layers]) -> tuple[tuple[Part, ...], ...]:
    """The layers of a package as rows of parts. Only packages directly below `palpate` are opened.

    Neighbouring layers of which the upper imports nothing from the lower share a row.
    """
    ordered = layers.get(container, []) if container.count(".") <= 1 else []
    known = [name for layer in ordered for name in layer]
    rows: list[list[Part]] = []
    for layer in ordered:
        if not rows or any(name in part.uses for part in rows[-1] for name in layer):
            rows.append([])
        rows[-1] += [_part(f"{container}.{name}", name, known, graph, layers) for name in layer]
    return tuple(line for row in rows for line in _folded(row))


def _folded(row: Sequence[Part]) -> Iterator[tuple[Part, ...]]:
    """A row in lines of few boxes; the opened boxes are high, so each has a separate line."""
    if opened := tuple(part for part in row if part.rows):
        yield opened
    closed = [part for part in row if not part.rows]
    count = math.ceil(len(closed) / BESIDE)
    for number in range(count):
        yield tuple(closed[number * len(closed) // count : (number + 1) * len(closed) // count])


def _part(full: str, name: str, known: Sequence[str], graph: Graph, layers: Mapping[str, Layers]) -> Part:
    inside = [module for module in graph if module == full or module.startswith(f"{full}.")]
    container = full.rpartition(".")[0]
    used = {
        target.removeprefix(f"{container}.").partition(".")[0]
        for module in inside
        for target in graph[module].imports
        if target.startswith(f"{container}.")
    }
    docstring = ast.get_docstring(ast.parse(graph[full].path.read_text(encoding="utf-8"))) or ""
    place = known.index(name)
    above, uses = ([other for other in some if other in used] for some in (known[:place], known[place + 1 :]))
    text = docstring.partition("\n")[0].replace("`", "")
    return Part(name, text, tuple(uses), tuple(above), rows_of(full, graph, layers))


def wrapped(text: str, width: float, size: float) -> list[str]:
    """A text in lines that are no wider than `width`."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(f"{lines[-1]} {word}") * size * LETTER <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def lines_of(part: Part, width: float) -> list[tuple[str, str]]:
    """The lines of a box below its name, each with its class in the style."""
    inside = width - 2 * PAD
    uses = " ".join(f"{sign} {', '.join(names)}" for sign, names in (("→", part.uses), ("↑", part.above)) if names)
    return [("text", line) for line in wrapped(part.text, inside, TEXT_SIZE)] + [
        ("uses", line) for line in wrapped(uses, inside, TEXT_SIZE)
    ]


def widths(row: Sequence[Part], width: float, gap: float) -> list[float]:
    """The widths of the boxes of a row: boxes that contain more boxes in a row are wider."""
    shares = [1 + max((len(inner) for inner in part.rows), default=0) for part in row]
    free = width - gap * (len(row) - 1)
    return [free * share / sum(shares) for share in shares]


def height_of(part: Part, width: float) -> float:
    """The height that a box needs."""
    own = 2 * PAD + LINE * (1 + len(lines_of(part, width)))
    return own + sum(_row_height(row, width - 2 * PAD, INNER) + INNER for row in part.rows)


def _row_height(row: Sequence[Part], width: float, gap: float) -> float:
    return max(height_of(part, one) for part, one in zip(row, widths(row, width, gap), strict=True))


def drawn_row(row: Sequence[Part], x: float, y: float, width: float, gap: float, style: str) -> Iterator[str]:
    """The boxes of a row, all as high as the highest."""
    height = _row_height(row, width, gap)
    for part, one in zip(row, widths(row, width, gap), strict=True):
        yield from _drawn(part, x, y, one, height, style)
        x += one + gap


def _drawn(part: Part, x: float, y: float, width: float, height: float, style: str) -> Iterator[str]:
    yield f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5"/>'
    line = y + PAD + LINE * 0.75
    yield _text("name", part.name, x + PAD, line, NAME_SIZE)
    for kind, text in lines_of(part, width):
        line += LINE
        yield _text(kind, text, x + PAD, line, TEXT_SIZE)
    below = (
        y + height_of(part, width) - PAD - sum(_row_height(row, width - 2 * PAD, INNER) + INNER for row in part.rows)
    )
    for row in part.rows:
        yield from drawn_row(row, x + PAD, below + INNER, width - 2 * PAD, INNER, "inner")
        below += INNER + _row_height(row, width - 2 * PAD, INNER)


def _text(kind: str, text: str, x: float, y: float, size: float) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" font-size="{size}">{escape(text)}</text>'


def _exceptions(rows: Sequence[Sequence[Part]]) -> str:
    parts = [part for row in rows for part in row]
    parts += [inner for part in parts for row in part.rows for inner in row]
    return " ↑: an exception that the contracts allow." if any(part.above for part in parts) else ""


def drawing(graph: Graph | None = None, layers: Mapping[str, Layers] | None = None) -> str:
    """The whole drawing as SVG."""
    rows = rows_of(PACKAGE, graph or read(PLACES[:1]), layers or contracts())
    inside = WIDTH - 2 * MARGIN
    title = "A package imports (→) packages below it." + _exceptions(rows)
    shapes = [_text("text", title, MARGIN, MARGIN + TEXT_SIZE, NAME_SIZE)]
    y: float = MARGIN + 2 * LINE
    for row in rows:
        shapes += drawn_row(row, MARGIN, y, inside, GAP, "box")
        y += _row_height(row, inside, GAP) + GAP
    height = y - GAP + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
            "<!-- Written by tools/architecture.py from the imports; edit the code. -->",
            "<title>The packages of palpate in the layers of their imports</title>",
            f"<style>\n{STYLE}\n</style>",
            f'<rect class="page" width="{WIDTH}" height="{height:.0f}" rx="8"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def write() -> None:
    """Write the drawing into the documentation."""
    DRAWING.write_text(drawing(), encoding="utf-8")


if __name__ == "__main__":
    write()

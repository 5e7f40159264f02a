"""The drawing of the architecture shows the imports as they are, and can be read."""

import re
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import architecture  # noqa: E402
from import_graph import Module, read  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


def made(root: Path, files: dict[str, tuple[str, list[str]]]):
    """A graph of modules with these docstrings and imports."""
    graph = {}
    for name, (text, imports) in files.items():
        path = root / f"{name}.py"
        path.write_text(f'"""{text}"""')
        graph[name] = Module(name, path, dict.fromkeys(imports, 1))
    return graph


def boxes(text: str):
    """Name -> (x, y, width, height) of each box, and the lines of text in it: x, y, size, words."""
    found, name = {}, ""
    for shape in ElementTree.fromstring(text):
        if shape.tag == f"{SVG}rect" and shape.get("class") != "page":
            frame = tuple(float(shape.get(key)) for key in ("x", "y", "width", "height"))
        elif shape.tag == f"{SVG}text" and shape.get("class") == "name":
            name = f"{shape.text} {frame}"
            found[name] = (frame, [])
        if shape.tag == f"{SVG}text" and name:
            found[name][1].append((float(shape.get("x")), float(shape.get("y")), float(shape.get("font-size")), shape))
    return found


@pytest.fixture(scope="module")
def text():
    return architecture.drawing()


def test_drawing_is_fresh(text):
    assert architecture.DRAWING.read_text(encoding="utf-8") == text, "run: python tools/architecture.py"


def test_every_package_of_the_contracts_has_a_box(text):
    names = [name.partition(" (")[0] for name in boxes(text)]
    for container in ("palpate", "palpate.audit", "palpate.report", "palpate.data"):
        assert {name for layer in architecture.contracts()[container] for name in layer} <= set(names)
    top = {path.stem for path in (ROOT / "src" / "palpate").iterdir() if not path.name.startswith(("_", "py."))}
    assert top <= set(names)


def test_boxes_do_not_overlap_and_hold_their_text(text):
    found = boxes(text)
    assert len(found) > 30
    page = float(re.search(r'viewBox="0 0 1000 (\d+)"', text)[1])
    for (x, y, width, height), lines in found.values():
        assert x >= 0
        assert x + width <= 1000
        assert y + height <= page
        for left, base, size, shape in lines:
            # DejaVu Sans is wider than the fonts that the drawing asks for.
            bold = "bold" if shape.get("class") == "name" else "normal"
            extent = TextPath((0, 0), shape.text, size=size, prop=FontProperties(family="DejaVu Sans", weight=bold))
            assert x < left
            assert left + extent.get_extents().width <= x + width, shape.text
            assert y < base - size * 0.8
            assert base + size * 0.25 <= y + height
    for (one, _), (other, _) in combinations(found.values(), 2):
        apart = (
            one[0] + one[2] <= other[0] + 0.2
            or other[0] + other[2] <= one[0] + 0.2
            or one[1] + one[3] <= other[1] + 0.2
            or other[1] + other[3] <= one[1] + 0.2
        )
        inside = one[0] < other[0] and one[1] < other[1] and one[1] + one[3] > other[1] + other[3]
        assert apart or inside, (one, other)


def test_a_box_names_what_its_package_imports(tmp_path):
    graph = made(
        tmp_path,
        {
            "palpate.high": ("Uses `both`.", ["palpate.low", "palpate.middle.inner", "os"]),
            "palpate.middle": ("In between.", []),
            "palpate.middle.inner": ("Inside.", ["palpate.low"]),
            "palpate.beside": ("Alone.", []),
            "palpate.low": ("Below.\n\nMore.", ["palpate.middle"]),
        },
    )
    rows = architecture.rows_of("palpate", graph, {"palpate": [["high"], ["beside", "middle"], ["low"]]})
    assert [[part.name for part in row] for row in rows] == [["high"], ["beside", "middle"], ["low"]]
    (high,), (beside, middle), (low,) = rows
    assert (high.text, high.uses, high.above) == ("Uses both.", ("middle", "low"), ())
    assert (beside.uses, middle.uses) == ((), ("low",))
    assert (low.text, low.above) == ("Below.", ("middle",))
    drawn = architecture.drawing(graph, {"palpate": [["high"], ["beside", "middle"], ["low"]]})
    assert "→ middle, low</text>" in drawn
    assert "↑ middle</text>" in drawn
    assert "↑: an exception" in drawn


def test_layers_that_do_not_import_each_other_share_a_row(tmp_path):
    graph = made(
        tmp_path,
        {f"palpate.{name}": (name, []) for name in "abcde"} | {"palpate.a": ("a", ["palpate.d"])},
    )
    rows = architecture.rows_of("palpate", graph, {"palpate": [[name] for name in "abcde"]})
    assert [[part.name for part in row] for row in rows] == [["a", "b", "c"], ["d", "e"]]


def test_drawing_follows_the_colours_of_the_reader(text):
    light, _, dark = text.partition("prefers-color-scheme: dark")
    for name in ("page", "box", "inner", "name", "text", "uses"):
        assert f".{name} {{ fill: " in light
        assert f".{name} {{ fill: " in dark.partition("</style>")[0]


def test_graph_of_the_repository_is_what_is_drawn(text):
    inside = [module for name, module in read().items() if name.startswith("palpate.attacks")]
    used = {target.split(".")[1] for module in inside for target in module.imports if target.startswith("palpate.")}
    (lines,) = (lines for name, (_, lines) in boxes(text).items() if name.startswith("attacks "))
    said = " ".join(shape.text for *_, shape in lines if shape.get("class") == "uses")
    assert set(said.removeprefix("→ ").split(", ")) == used - {"attacks", "_moved"}

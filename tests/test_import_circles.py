"""No module imports itself through others, not even for types, and the tool finds a circle that is planted."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import import_circles  # noqa: E402
from import_graph import read  # noqa: E402


def tree(root: Path, files: dict[str, str]) -> Path:
    """A package `made` with these modules."""
    package = root / "made"
    for name, text in {"__init__": "", **files}.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(dedent(text))
    return package


def test_the_repository_has_no_circle():
    graph = read()
    assert {"palpate.audit.plan.plan", "benchmarks.measure", "import_circles"} <= graph.keys()
    assert import_circles.circles(graph) == []


@pytest.mark.parametrize(
    "back",
    [
        "from made.first import thing",
        "from made import first",
        "from .first import thing",
        "from . import first",
        "import made.first",
        """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from made.first import thing
        """,
        """
        def late():
            from made.first import thing
        """,
        """
        class Late:
            def thing(self):
                if True:
                    try:
                        import made.first
                    except ImportError:
                        pass
        """,
    ],
)
def test_a_planted_circle_is_found(tmp_path, back, capsys):
    package = tree(tmp_path, {"first": "from made.second import other\nthing = 1", "second": back})
    graph = read([package])
    assert import_circles.circles(graph) == [["made.first", "made.second", "made.first"]]
    assert import_circles.main([str(package)]) == 1
    printed = capsys.readouterr().out
    line = next(line for line, text in enumerate(dedent(back).splitlines(), 1) if "import" in text and "first" in text)
    assert "made.first imports made.second" in printed
    assert f"second.py:{line})" in printed
    assert "1 import circles in 3 modules" in printed


def test_a_circle_of_three_is_one_and_two_circles_are_two(tmp_path):
    package = tree(
        tmp_path,
        {
            "one": "from made.inner import two",
            "inner/two": "from .. import three",
            "three": "def late():\n    from made.one import x",
            "four": "import made.five\nimport made.one",
            "five": "import made.four",
        },
    )
    assert import_circles.circles(read([package])) == [
        ["made.five", "made.four", "made.five"],
        ["made.inner.two", "made.three", "made.one", "made.inner.two"],
    ]


def test_imports_in_one_direction_are_no_circle(tmp_path, capsys):
    package = tree(
        tmp_path,
        {
            "low": "import os\nfrom typing import Any",
            "middle": "from made.low import Any",
            "high": "from made import low, middle\nfrom made.middle import low as again",
        },
    )
    graph = read([package])
    assert graph["made.high"].imports == {"made.low": 1, "made.middle": 1}
    assert import_circles.main([str(package)]) == 0
    assert "0 import circles in 4 modules" in capsys.readouterr().out


def test_scripts_beside_each_other_import_by_their_own_names(tmp_path):
    (tmp_path / "first.py").write_text("import second")
    (tmp_path / "second.py").write_text("from first import thing")
    assert import_circles.circles(read([tmp_path])) == [["first", "second", "first"]]


def test_lint_runs_the_tool():
    assert "tools/import_circles.py" in (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]

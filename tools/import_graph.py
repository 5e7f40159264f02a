"""Which module imports which, read from the sources without running them."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = (ROOT / "src" / "palpate", ROOT / "benchmarks", ROOT / "tools")
"""The folders whose modules are read."""


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its path, and the line of each import of another of the modules."""

    name: str
    path: Path
    imports: dict[str, int]


Graph = dict[str, Module]


def read(places: Sequence[Path] = PLACES) -> Graph:
    """All modules of some folders, by their names.

    Imports under `TYPE_CHECKING` and inside functions count like any other. A folder that is a package gives its name
    to its modules; the modules of another folder are imported by their own names, as scripts in `tools` are.
    """
    found = {name: (path, package) for place in places for name, path, package in _files(place)}
    graph = {}
    for name, (path, package) in found.items():
        lines: dict[str, int] = {}
        for line, target in _imports(ast.parse(path.read_text(encoding="utf-8")), name, package, found.keys()):
            if target != name:
                lines.setdefault(target, line)
        graph[name] = Module(name, path, lines)
    return graph


def _files(place: Path) -> Iterator[tuple[str, Path, bool]]:
    """The name and path of each module, and whether it is the `__init__.py` of a package."""
    base = place.parent if (place / "__init__.py").exists() else place
    for path in sorted(place.rglob("*.py")):
        *parents, stem = path.relative_to(base).with_suffix("").parts
        package = stem == "__init__"
        yield ".".join(parents if package else [*parents, stem]), path, package


def _imports(tree: ast.Module, name: str, package: bool, known: Container[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, one.name) for one in node.names if one.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, name, package)
            for one in node.names:
                # `from package import module` imports the module; any other name comes from the package itself.
                target = f"{base}.{one.name}" if f"{base}.{one.name}" in known else base
                if target in known:
                    yield node.lineno, target


def _base(node: ast.ImportFrom, name: str, package: bool) -> str:
    """The absolute name of the package or module after `from`."""
    if not node.level:
        return node.module or ""
    above = name.split(".")
    above = above[: len(above) - node.level + package]
    return ".".join([*above, *([node.module] if node.module else [])])

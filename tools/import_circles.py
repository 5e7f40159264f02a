"""Count circles of imports: `python tools/import_circles.py [FOLDER ...]`; exits with 1 if there is any.

Imports under `TYPE_CHECKING` and inside functions count too. Python runs with such circles, but none of their modules
can be understood or moved without the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from import_graph import PLACES, Graph, read


def circles(graph: Graph) -> list[list[str]]:
    """For each group of modules that reach each other, a shortest circle: `[a, b, a]`."""
    reached = {name: set(_chains(graph, name)) for name in graph}
    seen: set[str] = set()
    found = []
    for name in sorted(graph):
        if name in reached[name] and name not in seen:
            seen |= {other for other in reached[name] if name in reached[other]}
            found.append(_chains(graph, name)[name])
    return found


def _chains(graph: Graph, start: str) -> dict[str, list[str]]:
    """A shortest chain from a module to each module that it reaches, itself only if it is on a circle."""
    chains: dict[str, list[str]] = {}
    ends = [[start]]
    while ends:
        further = []
        for chain in ends:
            for target in sorted(graph[chain[-1]].imports):
                if target not in chains:
                    chains[target] = [*chain, target]
                    further.append(chains[target])
        ends = further
    return chains


def lines(graph: Graph, circle: list[str]) -> Iterator[str]:
    """A circle as text, one import per line, with the place of each."""
    yield f"A circle of {len(circle) - 1} modules:"
    for name, target in pairwise(circle):
        yield f"  {name} imports {target} ({os.path.relpath(graph[name].path)}:{graph[name].imports[target]})"


def main(places: list[str]) -> int:
    """Print every circle and their number; the exit status."""
    graph = read([Path(place) for place in places] or PLACES)
    found = circles(graph)
    for circle in found:
        print("\n".join(lines(graph, circle)))
    print(f"{len(found)} import circles in {len(graph)} modules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Images that a table names without their folders: HAM10000 and NIH come in several parts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from palpate.data.formats.registry import SUFFIXES


def scattered(images: Path, cells: Iterable[str]) -> dict[str, str]:
    """The image below a folder for each name without a folder, with or without an ending.

    Names that fit no image or several, and names with a folder in them, are left out.

    Args:
        images: the folder; hidden files and folders are not searched.
        cells: the names in a table.
    """
    wanted = {cell for cell in cells if cell and "/" not in cell and "\\" not in cell}
    found: dict[str, list[str]] = {}
    for folder, below, names in os.walk(images) if wanted else ():
        below[:] = sorted(name for name in below if not name.startswith((".", "__")))
        for name in names:
            for key in _keys(name) & wanted:
                found.setdefault(key, []).append((Path(folder) / name).relative_to(images).as_posix())
    return {key: paths[0] for key, paths in found.items() if len(paths) == 1}


def _keys(name: str) -> set[str]:
    ending = next((ending for ending in SUFFIXES if name.lower().endswith(ending)), None)
    return set() if ending is None else {name, name[: -len(ending)]}


def scattered_share(images: Path, cells: Sequence[str]) -> float:
    """The share of some names without a folder that fit exactly one image below a folder."""
    return len(scattered(images, cells)) / len(set(cells)) if cells else 0.0

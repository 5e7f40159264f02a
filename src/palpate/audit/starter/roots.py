"""`data.roots` of a first plan: the folders that the images lie in, where that is not the plan's own."""

from __future__ import annotations

import os
from pathlib import Path

from palpate.audit.plan.toml_words import texts
from palpate.data.places import Places
from palpate.data.rows import Rows


def with_roots(data: str, place: Path, table: Rows, start: Path) -> str:
    """The text of `[data]` with `roots` where a file of the table lies outside of the plan's folder.

    Args:
        data: the section as it is.
        place: the plan's own folder.
        table: the images, masks and regions.
        start: where the layout begins: a table, a JSON, an archive, or a folder.
    """
    files = [start, *(file for row in range(len(table)) for file in table.files(row))]
    places = Places(place)
    if not (strange := places.outside(files)):
        return data
    first = start if os.path.isdir(start) else start.parent
    roots = places.roots_for([first]) if places.outside([first]) else []
    if rest := Places(place, tuple(roots)).outside(strange):
        roots += places.roots_for(rest)
    head, *lines = data.splitlines()
    return "\n".join([head, f"roots = {texts(roots)}  # these folders lie outside of the plan's own", *lines]) + "\n"

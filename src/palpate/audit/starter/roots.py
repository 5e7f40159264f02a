"""`data.roots` of a first plan: the folders of the images, if they are outside of the plan's own folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from palpate.audit.plan.toml_words import texts
from palpate.data.places import Places
from palpate.data.rows import Rows


def with_roots(data: str, place: Path, table: Rows, start: Path, named: Sequence[Path] = ()) -> str:
    """The text of `[data]`, with `roots` if a file of the table is outside of the plan's folder.

    Args:
        data: the section without roots.
        place: the plan's own folder.
        table: the images, masks and regions.
        start: the file or folder of the layout: a table, a JSON, an archive, or a folder.
        named: further files that the section names.
    """
    files = [start, *named, *(file for row in range(len(table)) for file in table.files(row))]
    places = Places(place)
    if not (strange := places.outside(files)):
        return data
    first = start if os.path.isdir(start) else start.parent
    roots = places.roots_for([first]) if places.outside([first]) else []
    if rest := Places(place, tuple(roots)).outside(strange):
        roots += places.roots_for(rest)
    head, *lines = data.splitlines()
    return "\n".join([head, f"roots = {texts(roots)}  # these folders are outside of the plan's own", *lines]) + "\n"

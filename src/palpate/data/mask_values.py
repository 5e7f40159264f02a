"""What a few of many masks store: for a first plan that is written from a look at a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from palpate.data.cases import Case
from palpate.data.seen import reading
from palpate.data.source import Folder

__all__ = ["stored_values"]


def stored_values(root: Path, names: Sequence[str]) -> tuple[int, ...]:
    """Values other than 0 of some masks, sorted; none where a value is not whole, as in pictures.

    Args:
        root: the folder that paths start from.
        names: paths of masks.

    Raises:
        UnreadError: a file cannot be read.
    """
    held: set[float] = set()
    for name in names:
        with reading():
            held |= set(np.unique(Folder(root).read(Case(name, -1, name, 0))).tolist())
    whole = all(value == int(value) and value >= 0 for value in held)
    return tuple(sorted(int(value) for value in held if value)) if whole else ()

"""`splits_final.json` of nnU-Net: which cases each fold of a cross-validation was validated on."""

from __future__ import annotations

import re
from pathlib import Path

from palpate.data.json_file import entry, read_json
from palpate.errors import InputError

__all__ = ["fold_of", "validation_cases"]

_FOLD = re.compile(r"fold (\d+)")


def fold_of(split: str | None) -> int:
    """The number of a fold, as a plan writes it.

    Raises:
        InputError: it is not written so.
    """
    found = _FOLD.fullmatch(split or "")
    if found is None:
        raise InputError(
            f'data.split: with data.splits it is "fold 0", "fold 1" ..., and here {split!r}. Name the fold whose '
            "validation cases are audited."
        )
    return int(found[1])


def validation_cases(path: Path, fold: int) -> tuple[str, ...]:
    """The cases that a fold was validated on, so that its network was not trained on them; in the order of the file.

    Raises:
        InputError: the file is missing or no list of folds, or it has no such fold.
    """
    document = read_json(path)
    if not isinstance(document, list) or not document:
        raise InputError(f"{path} is not a list of folds. Give the splits_final.json of nnU-Net.")
    if fold >= len(document):
        raise InputError(f"{path} holds {len(document)} folds, counted from 0, and data.split names fold {fold}.")
    cases = entry(path, f"fold {fold}", document[fold], "val", list)
    if not cases or not all(isinstance(name, str) for name in cases):
        raise InputError(f"{path}, fold {fold}: 'val' must name cases. Give the splits_final.json of nnU-Net.")
    return tuple(cases)

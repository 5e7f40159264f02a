"""Classes with one column for each, and a 1 for the class of the image: one-hot tables, as in ISIC."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.data.cases import checked_classes, listed
from palpate.data.sheets import Line, Sheet
from palpate.errors import InputError

_VALUES = {0.0: 0, 1.0: 1}
_WORDS = {"true": 1, "false": 0, "yes": 1, "no": 0}


def one_hot_names(columns: Sequence[str], classes: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the classes: as given, or the columns.

    Raises:
        InputError: there are not as many as columns.
    """
    if classes is None:
        return checked_classes(columns, "label")
    names = checked_classes(classes, "classes")
    if len(names) != len(columns):
        raise InputError(
            f"data.label: {len(columns)} columns for {len(names)} classes. Name one column per class, in their order."
        )
    return names


def one_hot(sheet: Sheet, line: Line, columns: Sequence[str]) -> int:
    """The class of a line, from 0.

    Raises:
        InputError: a cell is neither 0 nor 1, or not exactly one cell is 1.
    """
    values = [_value(sheet, line, column) for column in columns]
    if sum(values) != 1:
        ones = [column for column, value in zip(columns, values, strict=True) if value]
        held = f"{len(ones)} columns ({listed(ones)}) hold 1" if ones else "no column holds 1"
        raise InputError(
            f"{sheet.path}, {line.place}: {held} of {listed(columns)}. One image has one class: correct the line. "
            'If an image may show several, use task.kind = "multilabel".'
        )
    return values.index(1)


def _value(sheet: Sheet, line: Line, column: str) -> int:
    try:
        value = _VALUES.get(float(line.cells[column]))
    except ValueError:
        value = _WORDS.get(line.cells[column].lower())
    if value is None:
        raise InputError(
            f"{sheet.path}, {line.place}: column '{column}' holds '{line.cells[column]}'. Write 1 for the class of the "
            "image and 0 for the others."
        )
    return value

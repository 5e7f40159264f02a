"""`threat.region`: where the values of one image may change, from words such as `inside body` and `outside text`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from palpate.data.annotations.annotation import IGNORE
from palpate.data.rows import Rows
from palpate.errors import InputError, nearest

Mask = npt.NDArray[np.bool_]
SIDES = ("inside", "outside")
BODY, TEXT, COLUMN = "body", "text", "column"


def regions(given: Sequence[str], table: Rows, row: int, structures: Sequence[str] = ()) -> Mask:
    """Where one image may change: the places where all given regions hold.

    Args:
        given: each `inside` or `outside`, then `body`, `text`, `column`, or the name of an annotated structure.
        table: reads the image, its annotation, and the mask that its column of regions names.
        row: the image.
        structures: names of the annotated structures, in the order of the labels.

    Returns:
        (1, *spatial) bool, with at least one place where values may change.

    Raises:
        InputError: there is no such region, the image lacks the annotation or the mask that it needs, the mask is on
            another grid, or no place of the image is left.
    """
    shape = table.shape_of(row)[1:]
    allowed = np.ones(shape, dtype=bool)
    for words in given:
        side, name = parted(words, structures)
        mask = _place(name, table, row, structures)
        if mask.shape != shape:
            raise InputError(
                f"threat.region: '{words}' of {table[row].name} is a mask of {mask.shape}, and the image is {shape}. "
                "Give masks on the grid of the images."
            )
        allowed &= mask if side == "inside" else ~mask
        if side == "outside" and name in structures:
            # Pixels that the reader left undecided may belong to the structure.
            allowed &= ~_ignored(table, row)
    if not allowed.any():
        raise InputError(
            f"threat.region: no pixel of {table[row].name} is {' and '.join(given)}, so no attack can change it. "
            "Leave the image out, or name another region."
        )
    return allowed[None]


def parted(words: str, structures: Sequence[str]) -> tuple[str, str]:
    """`inside left lung` as `inside` and `left lung`.

    Raises:
        InputError: it begins with neither inside nor outside, or the name is unknown.
    """
    side, _, name = words.strip().partition(" ")
    name = name.strip()
    if side not in SIDES:
        raise InputError(f"'{words}' must begin with inside or outside. For example: \"inside body\".")
    if name not in (BODY, TEXT, COLUMN, *structures):
        raise InputError(f"'{words}': there is no region '{name}'. {nearest(name, (BODY, TEXT, COLUMN, *structures))}")
    return side, name


def _place(name: str, table: Rows, row: int, structures: Sequence[str]) -> Mask:
    return _PLACES[name](table, row) if name in _PLACES else _structure(name, table, row, structures)


def _body(table: Rows, row: int) -> Mask:
    from palpate.data.annotations.regions import body  # imports scipy, which no plan needs

    header = table.header(row)
    return body(table.image(row), unit=header.unit, inverted=header.inverted)


def _text(table: Rows, row: int) -> Mask:
    from palpate.data.annotations.regions import burnt_in_text

    return burnt_in_text(table.image(row))


def _column(table: Rows, row: int) -> Mask:
    mask = table.region(row)
    if mask is None:
        raise InputError(
            f"threat.region: the table names no mask for {table[row].name}. Fill its cell in the column of "
            "data.region, or leave the image out."
        )
    return mask


_PLACES: dict[str, Callable[[Rows, int], Mask]] = {BODY: _body, TEXT: _text, COLUMN: _column}


def _structure(name: str, table: Rows, row: int, structures: Sequence[str]) -> Mask:
    annotation = table.annotation(row)
    if annotation.labels is None:
        raise InputError(f"threat.region: {table[row].name} has no mask of '{name}'. Name another region.")
    number = tuple(structures).index(name)
    drawn: Mask = annotation.labels[number] == 1 if annotation.overlapping else annotation.labels == number + 1
    return drawn


def _ignored(table: Rows, row: int) -> Mask:
    annotation = table.annotation(row)
    assert annotation.labels is not None
    ignored: Mask = annotation.labels == IGNORE
    return np.logical_or.reduce(ignored) if annotation.overlapping else ignored

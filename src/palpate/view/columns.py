"""Columns of a table as compact JSON: texts by number, and numbers as the bytes of float32."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from palpate.report.model.typed import visible

Array = npt.NDArray[Any]
NOTHING = ""
"""The text of a cell that does not apply."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table.

    Attributes:
        key: its name in addresses.
        title: its name for people.
        values: one per record, or one per image.
        by_image: whether there is one value per image.
        part: index of the structure, finding or class that it is about; None for the whole image.
        shown: whether it is shown until the reader chooses.
        about: what it means, in a sentence.
        few: whether numbers are a few choices, such as budgets.
        order: texts in the order in which they are listed and sorted; others follow by the alphabet.
    """

    key: str
    title: str
    values: Array
    by_image: bool = False
    part: int | None = None
    shown: bool = False
    about: str = ""
    few: bool = False
    order: Sequence[str] = ()

    def packed(self) -> dict[str, Any]:
        """As JSON; a text of a file is made visible, and may hold any other letter."""
        found = {"key": self.key, "title": self.title, "about": self.about, "shown": self.shown}
        found |= {"part": self.part, "byImage": self.by_image}
        numbers = self.values.dtype.kind == "f" and not self.few
        return found | (_numbers(self.values) if numbers else coded(self.values, self.order))


def _numbers(values: Array) -> dict[str, Any]:
    return {"kind": "number", "data": _text(values.astype("<f4"))}


def coded(values: Array, order: Sequence[str] = ()) -> dict[str, Any]:
    """Values that repeat: each distinct one once, in the given or rising order, and their places."""
    numeric = values.dtype.kind in "iuf"
    names, codes = np.unique(values if numeric else values.astype(str), return_inverse=True)
    if not numeric and order:
        rank = {name: place for place, name in enumerate([NOTHING, *order])}
        found = names.tolist()
        places = sorted(range(len(found)), key=lambda one: (rank.get(found[one], len(rank)), found[one]))
        names, codes = names[places], np.argsort(places)[codes]
    width = 1 if len(names) < 2**8 else 2 if len(names) < 2**16 else 4
    shown = names.tolist() if numeric else [plain(name) for name in names.tolist()]
    return {"kind": "choice", "width": width, "names": shown, "data": _text(codes.astype(f"<u{width}"))}


def plain(text: str) -> str:
    """A text in one line, without letters that control a page."""
    return visible(text).replace("\n", " ").replace("\t", " ")


def named(values: Array, names: Sequence[str]) -> Array:
    """Classes by their names; nothing for -1 and for classes that have no name."""
    found = [NOTHING, *names]
    places = np.where((values >= 0) & (values < len(names)), values + 1, 0)
    return np.array(found, dtype=object)[places]


def chosen(conditions: Sequence[tuple[Array, str]], otherwise: str) -> Array:
    """Of each record the text of the first condition that holds."""
    return np.select([one for one, _ in conditions], [text for _, text in conditions], otherwise).astype(object)


def _text(values: Array) -> str:
    return base64.b64encode(values.tobytes()).decode()

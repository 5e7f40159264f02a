"""The kinds of inputs besides the image, as `[model.inputs]` names them, and how the cells of a table are read.

Torch is not imported: whatever reads a plan reads this too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from palpate.errors import InputError

Cells = Mapping[str, str]
"""What the line of an image holds, by column."""

_FORMS = (
    '"column" for a number, ["a", "b"] for several, {column = "sex", values = {F = 0, M = 1}} for words, '
    '{image = "column"} for another image, {box = ["x1", "y1", "x2", "y2"]} or {points = ["x", "y"]} for a prompt; '
    'what a point marks is an input of its own, labels = ["label"]'
)


@dataclass(frozen=True)
class Numbers:
    """Columns of numbers.

    Attributes:
        columns: their names.
        alone: one column by itself, which the model gets as (B,); a list of n columns is (B, n).
    """

    columns: tuple[str, ...]
    alone: bool = False
    moves: ClassVar[bool] = False

    def read(self, cells: Cells) -> tuple[float, ...]:
        """The numbers of one image; raises InputError if a cell holds none."""
        return tuple(_number(cells[column], column) for column in self.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what the model gets for one image."""
        return () if self.alone else (len(self.columns),)


@dataclass(frozen=True)
class Words:
    """A column of words, each of which stands for a number; the model gets (B,).

    Attributes:
        columns: its name.
        values: word -> number.
    """

    columns: tuple[str, ...]
    values: Mapping[str, float]
    moves: ClassVar[bool] = False
    shape: ClassVar[tuple[int, ...]] = ()

    def read(self, cells: Cells) -> tuple[float, ...]:
        """The number of one image; raises InputError if its cell holds none of the words."""
        (column,) = self.columns
        word = cells[column]
        if word not in self.values:
            known = ", ".join(self.values)
            raise InputError(f"{_holds(word, column)}, and values has {known}. Correct the cell, or add the word.")
        return (self.values[word],)


@dataclass(frozen=True)
class View:
    """A column with the path of another image, such as the lateral view; the model gets (B, C, *spatial).

    Attributes:
        columns: its name.
    """

    columns: tuple[str, ...]
    moves: ClassVar[bool] = True


@dataclass(frozen=True)
class Prompt:
    """Places in the image in pixels, x before y, from its top left corner.

    Attributes:
        columns: x and y of each corner of a box, or of each point, in turn.
        box: two corners of a box, which the model gets as (B, 4); n points are (B, n, 2).
    """

    columns: tuple[str, ...]
    box: bool
    moves: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what the model gets for one image."""
        return (4,) if self.box else (len(self.columns) // 2, 2)

    def read(self, cells: Cells) -> tuple[float, ...]:
        """The numbers of one image; raises InputError if a cell holds none."""
        return tuple(_number(cells[column], column) for column in self.columns)

    def require_inside(self, numbers: Sequence[float], width: int, height: int) -> None:
        """Refuse a prompt outside the image or in fractions of it, and a box without an area; raises InputError."""
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        shown = ", ".join(f"{value:g}" for value in numbers)
        what = "the box" if self.box else "the prompt"
        if any(not (0 <= x <= width and 0 <= y <= height) for x, y in pairs):
            raise InputError(
                f"{what} ({shown}) is outside the image, which is {width} x {height} (width x height). Give pixels of "
                "the image as it is stored."
            )
        if all(value <= 1 for value in numbers) and not all(value.is_integer() for value in map(float, numbers)):
            raise InputError(
                f"{what} ({shown}) looks like fractions of the image, and prompts are pixels. Multiply x by {width} "
                f"and y by {height}."
            )
        if self.box and not (numbers[0] < numbers[2] and numbers[1] < numbers[3]):
            raise InputError(f"the box ({shown}) has no area. Give left, top, right, bottom.")


def is_number(cell: str) -> bool:
    """Whether a cell holds a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


Input = Numbers | Words | View | Prompt


@dataclass(frozen=True)
class Columns:
    """The columns that inputs need: those whose cells are read, and those with paths of images."""

    cells: tuple[str, ...] = ()
    views: tuple[str, ...] = ()


def columns_of(inputs: Mapping[str, Input]) -> Columns:
    """The columns of some inputs, each once, in their order."""
    cells = [name for one in inputs.values() if not isinstance(one, View) for name in one.columns]
    views = [name for one in inputs.values() if isinstance(one, View) for name in one.columns]
    return Columns(tuple(dict.fromkeys(cells)), tuple(dict.fromkeys(views)))


def inputs_of(written: Mapping[str, Any]) -> dict[str, Input]:
    """The inputs that a plan names: keyword of the model -> where it comes from.

    Raises:
        InputError: one is not of a known form; the sentence begins with its name.
    """
    return {name: _input(name, value) for name, value in written.items()}


def faults(written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with the inputs that a plan names: name and sentence."""
    for name, value in written.items():
        try:
            _input(name, value)
        except InputError as error:
            yield name, str(error).removeprefix(f"model.inputs.{name}: ")


def _input(name: str, written: Any) -> Input:
    if not name.isidentifier() or name == "images":
        raise InputError(f"model.inputs.{name}: it is the keyword that the model is called with, such as age.")
    if isinstance(written, str):
        return Numbers((written,), alone=True)
    if _names(written):
        return Numbers(tuple(written))
    if isinstance(written, Mapping):
        keys = set(written)
        if keys == {"column", "values"} and isinstance(written["column"], str) and _mapping(written["values"]):
            return Words((written["column"],), dict(written["values"]))
        if keys == {"image"} and isinstance(written["image"], str):
            return View((written["image"],))
        if keys == {"box"} and _names(written["box"]) and len(written["box"]) == 4:
            return Prompt(tuple(written["box"]), box=True)
        if keys == {"points"} and _names(written["points"]) and len(written["points"]) % 2 == 0:
            return Prompt(tuple(written["points"]), box=False)
    raise InputError(f"model.inputs.{name}: {_shown(written)} is not one of the allowed forms. Write {_FORMS}.")


def _shown(written: Any) -> str:
    """As a plan says it: a plan's lists were made tuples."""
    if isinstance(written, Mapping):
        return "{" + ", ".join(f"{name} = {_shown(value)}" for name, value in written.items()) + "}"
    if isinstance(written, (list, tuple)):
        return "[" + ", ".join(map(_shown, written)) + "]"
    return f'"{written}"' if isinstance(written, str) else str(written)


def _names(written: Any) -> bool:
    return isinstance(written, (list, tuple)) and bool(written) and all(isinstance(one, str) for one in written)


def _mapping(written: Any) -> bool:
    plain = isinstance(written, Mapping) and bool(written)
    return plain and all(isinstance(v, (int, float)) and math.isfinite(v) for v in written.values())


def _number(cell: str, column: str) -> float:
    if not is_number(cell):
        fix = "Fill it in" if not cell else "Correct it"
        raise InputError(f"{_holds(cell, column)}, and palpate expects a number. {fix}, or leave the image out.")
    return float(cell)


def _holds(cell: str, column: str) -> str:
    return f"the column '{column}' holds '{cell}'" if cell else f"the column '{column}' is empty"

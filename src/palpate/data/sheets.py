"""Sheets of text: a CSV, or a JSON file that was unfolded, with one line an image, a box or a mask."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from palpate.data.cases import listed
from palpate.errors import InputError, nearest


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number in the file, its stripped cells by column, and what the file calls a line.

    Attributes:
        number: from 1 in a CSV; the number of an item, or an id, elsewhere.
        cells: texts by column; empty where the file says nothing.
        word: what the number counts.
    """

    number: int
    cells: dict[str, str]
    word: str = "line"

    @property
    def place(self) -> str:
        """For messages: `line 7`."""
        return f"{self.word} {self.number}"


class Sheet(NamedTuple):
    """Lines under columns.

    Attributes:
        path: the file, for messages.
        header: names of the columns.
        lines: the lines, in order.
    """

    path: Path
    header: list[str]
    lines: list[Line]

    def require(self, columns: Iterable[str]) -> None:
        """Refuse a sheet that lacks a column, and propose the nearest.

        Raises:
            InputError: a column is not there.
        """
        for column in columns:
            if column not in self.header:
                raise InputError(f"{self.path} has no column '{column}'. {nearest(column, self.header)}")

    def filtered(self, where: Mapping[str, object]) -> list[tuple[int, Line]]:
        """The lines whose columns have these values, each with its position from 0; InputError where none is left."""
        kept = list(enumerate(self.lines))
        for column, wanted in where.items():
            held = sorted({line.cells[column] for _, line in kept})
            kept = [(origin, line) for origin, line in kept if line.cells[column] == str(wanted)]
            if not kept:
                raise InputError(
                    f"{self.path}: no line has {column} = '{wanted}', so nothing is left. "
                    f"The column '{column}' holds {listed(held)}."
                )
        return kept


def read_csv(table: Path) -> Sheet:
    """Header and lines of a CSV; the delimiter (comma, semicolon, tab) is the header's most frequent one.

    Raises:
        InputError: the file is missing, empty, not UTF-8, or a line does not fit the header.
    """
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{table} does not exist. Correct the path of the table.") from error
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error.strerror}. Give a CSV file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{table} is not UTF-8 text (byte {error.start}). Save it as CSV in UTF-8.") from error
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{table}, line {reader.line_num}: {error}. Save the table again as CSV.") from error
    if len(rows) < 2:
        raise InputError(f"{table} has no line below its header. Give a table with one line an image.")
    header = [cell.strip() for cell in rows[0][1]]
    if doubled := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"{table}: the column '{doubled[0]}' stands there twice. Rename one of them.")
    return Sheet(table, header, [_line(table, header, number, row) for number, row in rows[1:]])


def _line(table: Path, header: list[str], number: int, row: list[str]) -> Line:
    if len(row) != len(header):
        raise InputError(
            f"{table}, line {number}: {len(row)} cells under {len(header)} columns. Quote cells that hold a comma."
        )
    return Line(number, dict(zip(header, (cell.strip() for cell in row), strict=True)))

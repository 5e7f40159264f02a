"""Sheets of text: a CSV, or the entries of a JSON file, with one line per image, box or mask."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from palpate.data.cases import listed
from palpate.data.texts import decoded, read_bytes
from palpate.errors import InputError, nearest

MAX_COLUMNS = 5_000
"""Tables of more columns are refused: columns are compared with one another and checked one by one."""

_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number in the file, its stripped cells by column, and the file's word for a line.

    Attributes:
        number: from 1 in a CSV; the number of an item, or an id, elsewhere.
        cells: texts by column; empty if the file has none.
        word: the kind of thing that is numbered.
    """

    number: int
    cells: dict[str, str]
    word: str = "line"

    @property
    def place(self) -> str:
        """For messages: `line 7`."""
        return f"{self.word} {self.number}"


class Sheet(NamedTuple):
    """Lines with columns.

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
            InputError: a column is missing.
        """
        for column in columns:
            if column not in self.header:
                raise InputError(f"{self.path} has no column '{column}'. {nearest(column, self.header)}")

    def filtered(self, where: Mapping[str, object]) -> list[tuple[int, Line]]:
        """The lines whose columns have these values, each with its position from 0; InputError if none is left."""
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

    Columns without a name, empty lines, and empty cells beyond the header are skipped.

    Raises:
        InputError: the file is missing, empty, not UTF-8, has far too many columns, or a line does not fit the header.
    """
    delimiter, text = _delimited(decoded(table, read_bytes(table, "CSV"), "CSV"))
    rows = _filled_rows(table, text, delimiter)
    names = next((row for _, row in rows), [])
    header = [name.strip() for name in names]
    _check_header(table, header)
    lines = [_line(table, header, number, row) for number, row in rows]
    if not lines:
        raise InputError(f"{table} has no line below its header. Give a table with one line per image.")
    return Sheet(table, [name for name in header if name], lines)


def first_cells(table: Path) -> list[str]:
    """The cells of the first line of a table that `read_csv` refuses; none if it is not text."""
    try:
        delimiter, text = _delimited(decoded(table, read_bytes(table, "CSV"), "CSV"))
    except InputError:
        return []
    return [cell.strip().strip('"') for cell in _END.split(text.lstrip(), 1)[0].split(delimiter)]


def _delimited(text: str) -> tuple[str, str]:
    """What separates cells, and the text of the table; Excel may name it in a line before the header."""
    first = _END.split(text, 1)[0]
    if said := re.fullmatch(r"sep=([,;\t])", first.strip('"').strip(" "), re.IGNORECASE):
        return said[1], "\n" + _END.split(text, 1)[-1]
    return max(",;\t", key=first.count), text


def _filled_rows(table: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with its line."""
    reader, start = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
            start = reader.line_num + 1
    except csv.Error as error:
        # After a quote that is not closed, the rest of the table is one cell, up to the largest cell.
        swallowed = reader.line_num > start or "end of data" in str(error)
        hint = f" A quote that opens in line {start} may not be closed." if swallowed else ""
        where = start if swallowed else reader.line_num
        raise InputError(f"{table}, line {where}: {error}.{hint} Correct it, and save the table again.") from error


def _check_header(table: Path, header: list[str]) -> None:
    if len(header) > MAX_COLUMNS:
        raise InputError(
            f"{table} has {len(header):,} columns, and palpate reads up to {MAX_COLUMNS:,}. "
            "Give a table with one line per image; are lines and columns swapped?"
        )
    counted = Counter(name for name in header if name)
    if doubled := sorted(name for name, count in counted.items() if count > 1):
        raise InputError(f"{table}: the column '{doubled[0]}' appears twice. Rename one of them.")


def _line(table: Path, header: list[str], number: int, row: list[str]) -> Line:
    while len(row) > len(header) and not row[-1].strip():
        row.pop()
    if len(row) != len(header):
        raise InputError(
            f"{table}, line {number}: {len(row)} cells under {len(header)} columns. Quote cells that hold a comma."
        )
    return Line(number, {name: cell.strip() for name, cell in zip(header, row, strict=True) if name})

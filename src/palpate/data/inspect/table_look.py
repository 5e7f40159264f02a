"""Inspect a table of text next to images: its column of images, and the meaning of its other columns."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from pathlib import Path

from palpate.data.inspect.columns import (
    GROUP_NAMES,
    SCANNER_NAMES,
    SITE_NAMES,
    file_column,
    is_split,
    named,
    sorted_splits,
    spread,
)
from palpate.data.inspect.label_columns import has_boxes
from palpate.data.inspect.seen import OtherKindError, Seen, UnreadError, look_at
from palpate.data.inspect.table_faults import is_image_name, why_no_images, without_header
from palpate.data.listing import places_of
from palpate.data.sheets import first_cells, read_csv
from palpate.errors import InputError

TABLE_SUFFIXES = (".csv", ".tsv")
OTHER_TABLES = {
    ".xlsx": "Save it as CSV in UTF-8.",
    ".xls": "Save it as CSV in UTF-8.",
    ".ods": "Save it as CSV in UTF-8.",
    ".parquet": 'Write it as CSV, such as by pandas.read_parquet("x.parquet").to_csv("x.csv", index=False).',
    ".feather": "Write it as CSV.",
}
"""Tables that palpate does not read, and the fix."""


_LONGEST_LINE = 4096
_MOST_READ = 2**16
_BETWEEN = re.compile(r"[,;\t\r\n/\\]")


class TableLook:
    """A table with one column that names images, one line for each.

    Attributes:
        path: the table.
        header: names of its columns.
        lines: its lines.
        file: its column of images.
        images: folder that their paths start from.
        values: how often each text occurs in each other column.
        split: column of splits.
        splits: names of the splits and their lines, the one to audit first.
        group: column of patients.
        site: column that says where images were taken.
        scanner: column of scanners.
    """

    def __init__(self, path: Path) -> None:
        """Read the table.

        Raises:
            UnreadError: it is damaged, or its images do not exist, or (`OtherKindError`) it is not a table of images.
        """
        self.path = path
        try:
            _, self.header, self.lines = read_csv(path)
        except InputError as error:
            if (headless := without_header(path, first_cells(path))) is not None:
                raise headless from error
            raise (UnreadError if _names_what_is_beside(path) else OtherKindError)(str(error)) from error
        if has_boxes(self.header):
            raise OtherKindError(f"{path} holds boxes.")
        if (headless := without_header(path, self.header)) is not None:
            raise headless
        found = file_column(path, self.header, self.lines)
        if found is None:
            raise why_no_images(path, self.header, self.lines)
        self.file, self.images = found
        self.values = {
            column: Counter(line.cells[column] for line in self.lines) for column in self.header if column != self.file
        }
        self.split = next((column for column, held in self.values.items() if is_split(held)), None)
        self.splits = sorted_splits(self.values[self.split]) if self.split else ()
        self.group = named(GROUP_NAMES, [c for c, held in self.values.items() if "" not in held and len(held) > 1])
        self.site, self.scanner = (named(names, list(self.values)) for names in (SITE_NAMES, SCANNER_NAMES))

    @cached_property
    def candidates(self) -> dict[str, Counter[str]]:
        """The columns that could be labels: those without another meaning."""
        # A cell `1` finds an image 1.png too: only a text that looks like a path is one.
        taken = {self.split, self.group, self.site, self.scanner, *self._paths()}
        return {column: held for column, held in self.values.items() if column not in taken}

    def _paths(self) -> list[str]:
        return [column for column, held in self.values.items() if any(is_image_name(text) for text in held)]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Further columns of images, which are not audited themselves, in words."""
        said = "names images too: they are not attacked, and only [model.inputs] gives them to the model"
        return tuple(f"column '{name}' {said}" for name in self._paths())

    def look(self) -> Seen:
        """The headers of a few of its images; raises UnreadError if one cannot be read."""
        places = places_of(self.images, [line.cells[self.file] for line in spread(self.lines)])
        return look_at([self.images / name for name in places.values() if name is not None])

    @property
    def found(self) -> str:
        """Which images identifiers without an ending mean, in words; empty if cells are paths."""
        first = self.lines[0].cells[self.file]
        name = places_of(self.images, [first])[first]
        return f"'{first}' means {name}" if name is not None and name != first else ""


def other_table(path: Path) -> OtherKindError | None:
    """Why a table of another program is not read, or None if the file is not such a table."""
    if path.suffix.lower() == ".txt" and _lists_images(path):
        return OtherKindError(f"{path} lists images in plain text. Save it as CSV with a header, such as file,label.")
    fix = OTHER_TABLES.get(path.suffix.lower())
    return None if fix is None else OtherKindError(f"{path} is not a CSV file, and palpate reads CSV. {fix}")


def _names_what_is_beside(path: Path) -> bool:
    """Whether a damaged table still shows that it is about the images and folders next to it."""
    with path.open("rb") as file:
        text = file.read(_MOST_READ).decode(errors="replace")
    words = {word.strip().strip('"') for word in _BETWEEN.split(text)}
    beside = {one.name for one in path.parent.iterdir() if one.is_dir()}
    return bool(words & beside) or any(is_image_name(word) for word in words)


def _lists_images(path: Path) -> bool:
    """Whether the first line of a text names an image."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE).decode(errors="replace")
    return any(is_image_name(word) for word in line.replace(",", " ").split())

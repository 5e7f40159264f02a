"""Findings: a CSV with one line an image and one column a finding, of which several may be present, or unknown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from palpate.data.annotations.annotation import UNKNOWN, Annotation
from palpate.data.cases import Case, checked_classes
from palpate.data.listing import About, Cases, listed_lines
from palpate.data.sheets import Line, Sheet
from palpate.errors import InputError, nearest

__all__ = ["FindingLists", "Findings", "finding", "finding_cases", "is_no_finding", "separated"]

_NOTHING = re.compile(r"no ?findings?|none|normal|healthy|no abnormality|unremarkable|nothing", re.IGNORECASE)
_UNKNOWN = ("", "u", "uncertain", "unknown", "nan")
_VALUES = {0.0: 0, 1.0: 1, -1.0: UNKNOWN}
_WORDS = {"true": 1, "false": 0, "yes": 1, "no": 0}


@dataclass(frozen=True)
class Findings:
    """Findings of each case.

    Attributes:
        values: 1, 0 or `UNKNOWN` of each finding, by the case's name.
    """

    values: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False, repr=False)

    def read(self, case: Case) -> Annotation:
        """The findings of one case."""
        return Annotation(findings=np.array(self.values[case.path], dtype=np.int64))

    def files(self, case: Case) -> tuple[Path, ...]:
        """None: all findings stand in the table."""
        return ()

    def content(self, case: Case) -> bytes:
        """The findings as numbers."""
        return json.dumps(self.values[case.path]).encode()


@dataclass(frozen=True, slots=True)
class FindingLists:
    """A column whose cells list the findings of an image.

    Attributes:
        column: its name.
        separator: what separates the findings of a cell, such as `|`.
        ignored: words that stand for no finding of the model, such as `No Finding`; `""` allows empty cells.
    """

    column: str
    separator: str
    ignored: tuple[str, ...] = ()

    def read(self, table: Path, line: Line, names: Sequence[str]) -> tuple[int, ...]:
        """1 for each finding that the cell of a line lists, 0 for the others.

        Raises:
            InputError: it lists what is no finding, or is empty.
        """
        cell = line.cells[self.column]
        if not cell and "" not in self.ignored:
            raise InputError(
                f"{table}, {line.place}: column '{self.column}' is empty. Fill it in, or add \"\" to data.ignored if "
                "it means that there is no finding."
            )
        words = separated(cell, self.separator)
        for word in words:
            if word not in names and word not in self.ignored:
                raise InputError(
                    f"{table}, {line.place}: column '{self.column}' holds '{word}', which is none of the findings. "
                    f"{nearest(word, names)} List it in task.findings, or in data.ignored if the model has no output "
                    "for it."
                )
        return tuple(int(name in words) for name in names)


def finding_cases(
    sheet: Sheet,
    images: Path,
    file: str,
    findings: Sequence[str],
    about: About,
    where: Mapping[str, object],
    lists: FindingLists | None = None,
) -> tuple[Cases, Findings]:
    """The cases and findings of a sheet; see `palpate.data.table.Table.from_findings`."""
    names = checked_classes(findings, "findings")
    if not names:
        raise InputError("findings: none is named. Name their columns, in the order of the model's outputs.")
    sheet.require((file, *((lists.column,) if lists else names), *about.columns, *where))
    kept = listed_lines(sheet, images, file, about, where)

    def read(line: Line) -> tuple[int, ...]:
        return lists.read(sheet.path, line, names) if lists else tuple(_value(sheet.path, line, name) for name in names)

    values = {case.name: read(line) for line, case in kept}
    return (tuple(case for _, case in kept), names), Findings(values)


def separated(cell: str, separator: str) -> list[str]:
    """The words of a cell that lists findings: `Mass|Nodule`, or the text of a list, `['mass', 'nodule']`."""
    inner = cell[1:-1] if cell.startswith("[") and cell.endswith("]") else cell
    return [word for part in inner.split(separator) if (word := part.strip().strip("'\"").strip())]


def is_no_finding(name: str) -> bool:
    """Whether a name says that there is nothing to find: `No Finding`, `normal`, `healthy`."""
    return bool(_NOTHING.fullmatch(name.strip().replace("_", " ").replace("-", " ")))


def finding(cell: str) -> int | None:
    """What a cell says of a finding: 1 present, 0 absent, `UNKNOWN` not judged, or None: no such word."""
    if cell.lower() in _UNKNOWN:
        return UNKNOWN
    if cell.lower() in _WORDS:
        return _WORDS[cell.lower()]
    try:
        return _VALUES.get(float(cell))
    except ValueError:
        return None


def _value(table: Path, line: Line, column: str) -> int:
    value = finding(line.cells[column])
    if value is None:
        raise InputError(
            f"{table}, {line.place}: column '{column}' holds '{line.cells[column]}'. Write 1 (present), 0 "
            "(absent), or -1, u or nothing (not judged)."
        )
    return value

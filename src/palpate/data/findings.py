"""Findings: a CSV with one line an image and one column a finding, of which several may be present, or unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from palpate.data.annotation import UNKNOWN, Annotation
from palpate.data.cases import Case, checked_classes
from palpate.data.listing import About, Cases, listed_lines
from palpate.data.sheets import Line, Sheet
from palpate.errors import InputError

__all__ = ["Findings", "finding", "finding_cases"]

_UNKNOWN = ("", "u", "uncertain", "unknown", "nan")
_VALUES = {0.0: 0, 1.0: 1, -1.0: UNKNOWN}


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


def finding_cases(
    sheet: Sheet, images: Path, file: str, findings: Sequence[str], about: About, where: Mapping[str, object]
) -> tuple[Cases, Findings]:
    """The cases and findings of a sheet; see `palpate.data.table.Table.from_findings`."""
    names = checked_classes(findings, "findings")
    if not names:
        raise InputError("findings: none is named. Name their columns, in the order of the model's outputs.")
    sheet.require((file, *names, *about.columns, *where))
    kept = listed_lines(sheet, images, file, about, where)
    values = {case.name: tuple(_value(sheet.path, line, name) for name in names) for line, case in kept}
    return (tuple(case for _, case in kept), names), Findings(values)


def finding(cell: str) -> int | None:
    """What a cell says of a finding: 1 present, 0 absent, `UNKNOWN` not judged, or None: no such word."""
    if cell.lower() in _UNKNOWN:
        return UNKNOWN
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

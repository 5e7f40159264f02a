"""Findings: a CSV with one line an image and one column a finding, of which several may be present, or unknown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from palpate.data.annotations.annotation import UNKNOWN, Annotation
from palpate.data.annotations.labels import FindingLabels
from palpate.data.cases import Case, checked_classes
from palpate.data.listing import Cases, Listing
from palpate.data.sheets import Line
from palpate.errors import InputError, nearest

__all__ = ["Findings", "finding", "finding_cases", "is_no_finding", "separated"]

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
        """None: all findings are in the table."""
        return ()

    def content(self, case: Case) -> bytes:
        """The findings as numbers."""
        return json.dumps(self.values[case.path]).encode()


def finding_cases(listing: Listing, labels: FindingLabels) -> tuple[Cases, Findings]:
    """The cases and findings of a listing.

    Raises:
        InputError: a column, a file or a cell is not there or not what it should be, or no line is left.
    """
    names = checked_classes(labels.names or (), "findings")
    if not names:
        raise InputError("findings: none is named. Name their columns, in the order of the model's outputs.")
    path, separator = listing.sheet.path, labels.separator
    listing.require(*(names if separator is None else (labels.label,)))

    def read(line: Line) -> tuple[int, ...]:
        if separator is not None:
            return _listed_values(path, line, labels, names)
        return tuple(_value(path, line, name) for name in names)

    kept = listing.lines()
    values = {case.name: read(line) for line, case in kept}
    return (tuple(case for _, case in kept), names), Findings(values)


def _listed_values(table: Path, line: Line, labels: FindingLabels, names: Sequence[str]) -> tuple[int, ...]:
    """1 for each finding that the cell of a line lists, 0 for the others.

    Raises:
        InputError: it lists what is not a finding, or is empty.
    """
    cell = line.cells[labels.label]
    if not cell and "" not in labels.ignored:
        raise InputError(
            f"{table}, {line.place}: column '{labels.label}' is empty. Fill it in, or add \"\" to data.ignored if "
            "it means that there is no finding."
        )
    words = separated(cell, str(labels.separator))
    for word in words:
        if word not in names and word not in labels.ignored:
            raise InputError(
                f"{table}, {line.place}: column '{labels.label}' holds '{word}', which is not one of the findings. "
                f"{nearest(word, names)} List it in task.findings, or in data.ignored if the model has no output "
                "for it."
            )
    return tuple(int(name in words) for name in names)


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

"""Findings with a level, and the validity grade that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["pass", "note", "warning", "failure"]
Letter = Literal["A", "B", "C"]


@dataclass(frozen=True)
class HealthFinding:
    """The result of one check."""

    level: Level
    """`pass`, `note` (good to know), `warning` (read the figures with care) or `failure` (do not rely on them)."""
    name: str
    """What was checked."""
    text: str
    """One or two sentences: what was seen, what it means, what to do."""


@dataclass(frozen=True)
class Grade:
    """How far the figures of a run can be trusted. This is not about how robust the model is."""

    letter: Letter
    """A: nothing speaks against them. B: read with care. C: do not rely on them."""
    reason: str


def grade(findings: Sequence[HealthFinding], finished: bool = True) -> Grade:
    """The validity grade of a run: C after any failure, B after any warning, else A; an unfinished run gets C."""
    failures = [finding for finding in findings if finding.level == "failure"]
    warnings = [finding for finding in findings if finding.level == "warning"]
    if not finished:
        return Grade("C", "The run is unfinished, so attacks or images are missing from every figure.")
    if failures:
        return Grade("C", f"{_checks(failures)} failed: {_names(failures)}. Fix this before you rely on the figures.")
    if warnings:
        return Grade("B", f"{_checks(warnings)} raised a warning: {_names(warnings)}. Read the figures with care.")
    return Grade("A", "Every check passed: the records give no reason to doubt the figures.")


def _checks(findings: Sequence[HealthFinding]) -> str:
    count = len({finding.name for finding in findings})
    return "One check" if count == 1 else f"{count} checks"


def _names(findings: Sequence[HealthFinding]) -> str:
    return ", ".join(dict.fromkeys(finding.name for finding in findings))

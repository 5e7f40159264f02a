"""What the hardening measured itself: `checks.json` and `harden.json` in the run folder after hardening."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from palpate.errors import InputError
from palpate.report.compute.hardening.verdict import FLOOR
from palpate.report.model.typed import JsonObject, Number, Text

CHECKS, HARDEN = "checks.json", "harden.json"
ONE_START, MANY_STARTS = "one start", "several starts"
WHITE_BOX, NO_GRADIENTS, OLD_IMAGES = "white box", "no gradients", "images against the old model"
FAR, OTHER_NORM = "four times the budget", "another norm"


class GivenMeasurement(JsonObject):
    """Images that a model withstands under one attack."""

    name: Text
    """`one start`, `several starts`, `white box`, `no gradients`, `images against the old model`, `four times the
    budget`, or `another norm`; others are ignored."""
    before: Number = Field(default=None, ge=0, le=1)
    """Share of the images that the old model gets right in spite of it; null if it was not measured."""
    after: Number = Field(default=None, ge=0, le=1)
    """The same for the hardened model."""
    images: int = Field(gt=0)


class GivenChecks(JsonObject):
    """All of `checks.json`."""

    version: int = Field(default=1, le=1)
    eps: Number = None
    """The budget of the training in values."""
    lose_at_most: Number = None
    """The clean floor: the largest loss of clean accuracy that was allowed."""
    measurements: list[GivenMeasurement] = Field(default_factory=list)


@dataclass(frozen=True)
class Given:
    """What is known besides the records.

    Attributes:
        eps: the budget of the training in values; None if it is not known.
        floor: the largest allowed loss of clean accuracy.
        measurements: by their names.
    """

    eps: float | None = None
    floor: float = FLOOR
    measurements: Mapping[str, GivenMeasurement] | None = None

    def pair(self, first: str, second: str) -> tuple[GivenMeasurement, GivenMeasurement] | None:
        """Two measurements of the hardened model; None if one is missing."""
        one, two = self.one(first), self.one(second)
        return None if one is None or two is None else (one, two)

    def one(self, name: str) -> GivenMeasurement | None:
        """A measurement of the hardened model; None if it is missing."""
        found = (self.measurements or {}).get(name)
        return None if found is None or found.after is None else found


def given(checks: Mapping[str, Any] | None, after: Path) -> Given:
    """What was measured besides the records: as given, or else from the files in the run folder after hardening.

    Raises:
        InputError: a file cannot be read, or a field is wrong.
    """
    stored = _file(after / CHECKS) if checks is None else dict(checks)
    harden = _file(after / HARDEN) or {}
    try:
        found = GivenChecks.model_validate(stored or {})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "it"
        where = str(after / CHECKS) if checks is None else "checks"
        raise InputError(f"{where}: {field}: {first['msg']}. Write it again with `palpate harden`.") from error
    return Given(
        eps=_first(found.eps, _number(harden.get("eps"))),
        floor=_first(found.lose_at_most, _number(harden.get("settings"), "lose_at_most"), FLOOR) or 0.0,
        measurements={one.name: one for one in found.measurements},
    )


def is_hardened(run: Path) -> bool:
    """Whether a run folder says that its model was hardened."""
    return (run / HARDEN).is_file()


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _number(value: Any, key: str = "value") -> float | None:
    if isinstance(value, Mapping):
        value = value.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _file(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({error}). Write it again with `palpate harden`.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not an object of JSON. Write it again with `palpate harden`.")
    return found

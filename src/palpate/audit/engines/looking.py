"""The first look at all clean images, in jobs for workers: each image is checked before anything is attacked."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from palpate.audit.engines.contracts import Job, Outcome
from palpate.audit.plan.identity import digest
from palpate.audit.subject.subject import Subject
from palpate.errors import InputError

_IMAGES = 256
"""Images of a job: a pass of the model takes a moment, and each job is a message."""


def look_identity(subject: Subject, rows: Sequence[int]) -> str:
    """The identity of a look: that of the model and of the images."""
    return digest(subject.identity(rows))


def looks(subject: Subject) -> Iterator[Job]:
    """The jobs that look at all images."""
    count = len(subject.table)
    for start in range(0, count, _IMAGES):
        rows = tuple(range(start, min(start + _IMAGES, count)))
        yield Job(look_identity(subject, rows), "", rows, f"images {rows[0] + 1} to {rows[-1] + 1}", part="look")


class Seen:
    """What the looks of one start have found so far."""

    def __init__(self) -> None:
        self._rows: dict[str, list[int]] = defaultdict(list)

    def add(self, outcome: Outcome) -> None:
        """Add an outcome; in any order.

        Raises:
            InputError: an image or the model's output for it cannot be audited.
        """
        if outcome.failed:
            raise InputError(outcome.failed)
        for identity, rows in json.loads(outcome.records).items():
            self._rows[identity] += rows

    def rows(self, identity: str) -> list[int]:
        """The rows that an attack can win, rising."""
        return sorted(self._rows[identity])

"""Images and patients of the audit are never trained on: both tables are compared before anything is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from palpate.data.formats.dicom import patient_key
from palpate.data.source import Folder
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.units import counted


def patients(table: Table, dicom: bool) -> dict[int, str]:
    """The patient of each row, comparable between tables; rows whose patient is not known are left out.

    Args:
        table: the images.
        dicom: patients are read from DICOM files; otherwise from the table's groups.
    """
    if dicom and isinstance(table.source, Folder):
        keys = {row: patient_key(table.paths(row)[0]) for row in range(len(table))}
        return {row: key for row, key in keys.items() if key is not None}
    return {row: case.group for row, case in enumerate(table) if case.group != case.name}


def pixels_of(table: Table, row: int) -> str:
    """SHA-256 of the pixels of one image: equal for copies under other names and in other lossless formats."""
    values = table.image(row)
    head = f"{values.shape}".encode()
    return hashlib.sha256(head + values.astype("<f4").tobytes()).hexdigest()


@dataclass(frozen=True)
class Known:
    """What identifies the images of a table.

    Attributes:
        table: the images.
        patients: the patient of each row; rows whose patient is not known are left out.
        pixels: `pixels_of` each row.
    """

    table: Table
    patients: Mapping[int, str]
    pixels: Mapping[int, str]

    @classmethod
    def of(cls, table: Table, dicom: bool) -> Known:
        """Read every image of a table once.

        Raises:
            InputError: an image cannot be read.
        """
        return cls(table, patients(table, dicom), {row: pixels_of(table, row) for row in range(len(table))})

    @property
    def persons(self) -> dict[int, str]:
        """The patient of each row; of rows without one, the pixels: copies of an image are one patient."""
        return {row: self.patients.get(row, f"\0{pixels}") for row, pixels in self.pixels.items()}


class Shared(NamedTuple):
    """Rows of one table that share a patient or an image with rows of another.

    Attributes:
        patients: (row there, row here) for each row there of a patient who is here too.
        images: the same for equal pixels.
    """

    patients: tuple[tuple[int, int], ...]
    images: tuple[tuple[int, int], ...]


def shared(here: Known, there: Known) -> Shared:
    """What two tables share."""
    return Shared(_pairs(here.patients, there.patients), _pairs(here.pixels, there.pixels))


def overlapping(here: Known, there: Known) -> frozenset[int]:
    """Rows of `here` whose patient or pixels are in `there` too."""
    people, images = set(there.patients.values()), set(there.pixels.values())
    rows = {row for row, person in here.patients.items() if person in people}
    return frozenset(rows | {row for row, pixels in here.pixels.items() if pixels in images})


def require_apart(here: Known, there: Known, field: str, other: str = "the audit") -> None:
    """Refuse tables that share a patient or an image.

    Args:
        here: the images of `field`.
        there: the images that must stay unseen.
        field: the plan's field, `harden.data` or `harden.validation`, for the message.
        other: what the second table is, for the message.

    Raises:
        InputError: they share a patient or an image; both images are named.
    """
    found = shared(here, there)
    ours = "validation images" if field == "harden.validation" else "training images"
    fix = 'Or write overlap = "leave out" in [harden], which leaves them out of the training.'
    if found.patients:
        there_row, here_row = found.patients[0]
        raise InputError(
            f"{field}: {_count(found.patients)} of {other} {_are(found.patients)} of patients who have {ours} too, "
            f"such as {there.table[there_row].name} and {here.table[here_row].name}. Give other patients, for example "
            f"with where in [{field}], which chooses the lines of a table. {fix}"
        )
    if found.images:
        there_row, here_row = found.images[0]
        raise InputError(
            f"{field}: {_count(found.images)} of {other} {_are(found.images)} also among the {ours}, such as "
            f"{there.table[there_row].name}, which has the pixels of {here.table[here_row].name}. Leave them out. {fix}"
        )


def require_named(here: Known, there: Known) -> None:
    """Refuse training images that the plan does not name, if images of the audit would be trained on.

    Raises:
        InputError: `here` is the audit's own table, because `[harden.data]` says nothing else.
    """
    lost, every = len(overlapping(there, here)), len(there.table)
    if not lost:
        return
    which = f"all {every} images" if lost == every else f"{lost} of the {every} images"
    raise InputError(
        f"harden.data: it names no images of its own, so the training images are those of [data], and {which} of the "
        "audit are among them or of their patients. Name other images; one of these is enough:\n"
        '  [harden.data]\n  where = {split = "train"}\n  \n  [harden.data]\n  table = "training.csv"'
    )


def _pairs(here: Mapping[int, str], there: Mapping[int, str]) -> tuple[tuple[int, int], ...]:
    known = {key: row for row, key in here.items()}
    return tuple((row, known[key]) for row, key in there.items() if key in known)


def _count(pairs: Sequence[object]) -> str:
    return counted(len(pairs), "image")


def _are(pairs: Sequence[object]) -> str:
    return "is" if len(pairs) == 1 else "are"

"""Images and patients of the audit are never trained on: both tables are compared before anything is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from palpate.data.formats.dicom import patient_key
from palpate.data.source import Folder
from palpate.data.table import Table
from palpate.errors import InputError


def patients(table: Table, dicom: bool) -> dict[int, str]:
    """The patient of each row, comparable between tables; rows whose patient is not known are left out.

    Args:
        table: the images.
        dicom: patients are read from DICOM files; otherwise from the table's groups.
    """
    if dicom and isinstance(table.source, Folder):
        keys = {row: patient_key(table.source.path(case)) for row, case in enumerate(table)}
        return {row: key for row, key in keys.items() if key is not None}
    return {row: case.group for row, case in enumerate(table) if case.group != case.name}


def pixels_of(table: Table, row: int) -> str:
    """SHA-256 of the pixels of one image: equal for copies under other names and in other lossless formats."""
    values = table.image(row)
    head = f"{values.shape}".encode()
    return hashlib.sha256(head + values.astype("<f4").tobytes()).hexdigest()


def require_apart(training: Table, audited: Table, field: str, *, dicom: bool, other: str = "the audit") -> None:
    """Refuse tables that share a patient or an image.

    Args:
        training: the images of `field`.
        audited: the images that must stay unseen.
        field: the plan's field, for the message.
        dicom: patients are read from DICOM files.
        other: what the second table is, for the message.

    Raises:
        InputError: they share a patient or an image; both images are named.
    """
    named = [patients(table, dicom) for table in (training, audited)]
    _refuse(
        training,
        audited,
        named[0].get,
        named[1].get,
        f"{field}: {{count}} of {other} {{verb}} of patients whose "
        f"images are trained on, such as {{there}} and {{here}}. Give other patients, for example with "
        'where = {{split = "train"}}.',
    )
    seen = [_digests(table) for table in (training, audited)]
    _refuse(
        training,
        audited,
        seen[0].get,
        seen[1].get,
        f"{field}: {{count}} of {other} {{verb}} also among the "
        f"training images, such as {{there}}, which has the pixels of {{here}}. Leave them out of the training.",
    )


def _digests(table: Table) -> dict[int, str]:
    return {row: pixels_of(table, row) for row in range(len(table))}


def _refuse(
    training: Table, audited: Table, ours: Callable[[int], str | None], theirs: Callable[[int], str | None], text: str
) -> None:
    known = {key: row for row in range(len(training)) if (key := ours(row)) is not None}
    shared = [(row, known[key]) for row in range(len(audited)) if (key := theirs(row)) in known and key is not None]
    if shared:
        there, here = shared[0]
        count = "1 image" if len(shared) == 1 else f"{len(shared)} images"
        verb = "is" if len(shared) == 1 else "are"
        raise InputError(text.format(count=count, verb=verb, there=audited[there].name, here=training[here].name))

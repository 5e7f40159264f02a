"""Groups of images of one patient, from DICOM files, without keeping who the patient is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from palpate.data.cases import Case
from palpate.data.source import Folder
from palpate.errors import InputError


def by_patient(cases: Iterable[Case], folder: Folder) -> tuple[Case, ...]:
    """Cases whose groups are `patient 1`, `patient 2` and so on, in the order in which patients first appear.

    An image that names no patient stays a separate group. No identifier leaves this function.

    Raises:
        InputError: a file is not a readable DICOM file.
    """
    from palpate.data.formats.dicom import patient_key

    numbers: dict[str, int] = {}
    grouped = []
    for case in cases:
        try:
            key = patient_key(folder.path(case))
        except InputError as error:
            raise InputError(f'data.group: "dicom" reads the patient from the files. {error}') from error
        group = case.name if key is None else f"patient {numbers.setdefault(key, len(numbers) + 1)}"
        grouped.append(replace(case, group=group))
    return tuple(grouped)

"""Groups of images of one patient by what DICOM files say, without keeping who the patient is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from palpate.data.cases import Case
from palpate.data.source import Folder
from palpate.errors import InputError


def by_patient(cases: Iterable[Case], folder: Folder) -> tuple[Case, ...]:
    """Cases whose groups are `patient 1`, `patient 2` and so on, in the order in which patients first appear.

    An image that names no patient stays a group of its own. No identifier leaves this function.

    Raises:
        InputError: a file is no readable DICOM file.
    """
    from palpate.data.formats.dicom import patient_key

    numbers: dict[str, int] = {}
    grouped = []
    for case in cases:
        try:
            key = patient_key(folder.path(case))
        except InputError as error:
            raise InputError(f'data.group: "dicom" asks the files who the patient is. {error}') from error
        group = case.name if key is None else f"patient {numbers.setdefault(key, len(numbers) + 1)}"
        grouped.append(replace(case, group=group))
    return tuple(grouped)

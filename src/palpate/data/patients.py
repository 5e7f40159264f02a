"""Groups of images of one patient by what DICOM files say, without keeping who the patient is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from palpate.data.cases import Case
from palpate.data.source import Folder


def by_patient(cases: Iterable[Case], folder: Folder) -> tuple[Case, ...]:
    """Cases whose groups are `patient 1`, `patient 2` and so on, in the order in which patients first appear.

    An image that names no patient stays a group of its own. No identifier leaves this function.

    Raises:
        InputError: a file is no readable DICOM file.
    """
    from palpate.data.dicom import patient_key

    numbers: dict[str, int] = {}
    grouped = []
    for case in cases:
        key = patient_key(folder.path(case))
        group = case.name if key is None else f"patient {numbers.setdefault(key, len(numbers) + 1)}"
        grouped.append(replace(case, group=group))
    return tuple(grouped)

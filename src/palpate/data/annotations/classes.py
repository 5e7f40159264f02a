"""Classes: a listing whose lines hold one class per image, in a column of labels or in one column per class."""

from __future__ import annotations

from dataclasses import replace

from palpate.data.annotations.labels import ClassLabels
from palpate.data.cases import label_of, listed
from palpate.data.listing import Cases, Listing, class_names
from palpate.data.one_hot import one_hot, one_hot_names
from palpate.errors import InputError

__all__ = ["class_cases"]


def class_cases(listing: Listing, labels: ClassLabels) -> Cases:
    """The cases of a listing whose lines hold a class.

    Raises:
        InputError: a column, a file or a label is not there or not what it should be, or no line is left.
    """
    sheet, label = listing.sheet, labels.label
    columns = (label,) if isinstance(label, str) else tuple(label)
    listing.require(*columns)
    if isinstance(label, str):
        names = class_names(sheet, label, sheet.lines, labels.names)
    else:
        names = one_hot_names(columns, labels.names)
    cases = []
    for line, case in listing.lines():
        number = label_of(line.cells[label], names) if isinstance(label, str) else one_hot(sheet, line, columns)
        if number is None:
            raise InputError(
                f"{sheet.path}, {line.place}: column '{label}' holds '{line.cells[columns[0]]}', which is not one of "
                "the "
                f"classes {listed(names)}. Correct the label, or list it among the classes."
            )
        cases.append(replace(case, label=number))
    return tuple(cases), names

"""One labelled image, and the classes of labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from palpate.errors import InputError

MAX_UNNAMED = 1000
"""The largest class number that is accepted without a list of classes; larger numbers are something else."""

_WHOLE = re.compile(r"([0-9]{1,9})(\.0*)?")


@dataclass(frozen=True, slots=True)
class Case:
    """What a table says about one image without reading it.

    Attributes:
        name: path relative to the table's images, with forward slashes, or `archive.npz[17]`.
        label: true class, from 0.
        group: unit of resampling (a patient); the name if the table has none.
        site: where it was taken; empty if no column says so.
        scanner: manufacturer and model; empty if neither a column nor the file says so.
        region: path of a mask that `threat.region` may name, from the table's images; empty if there is none.
        origin: position in the file or folder that it was listed in, from 0; a filter does not change it.
        upright: whether the pixels are turned as the file's orientation says.
        file: path of the file from the table's images, if that is not the name; otherwise empty.
        cells: what the columns that the model is given too hold, in their order.
        views: paths of further images that the model is given too, from the table's images.
    """

    name: str
    label: int
    group: str
    origin: int
    site: str = ""
    scanner: str = ""
    region: str = ""
    file: str = ""
    upright: bool = False
    cells: tuple[str, ...] = ()
    views: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Path of the file from the table's images; annotations and channels are looked up by it."""
        return self.file or self.name


def class_number(text: str) -> int | None:
    """The whole number of a label (`2`, or `2.0` as some programs export it), or None."""
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def checked_classes(classes: Iterable[object], where: str) -> tuple[str, ...]:
    """Names of the classes in the model's order.

    Raises:
        InputError: one is empty, or given twice.
    """
    names = tuple(str(name).strip() for name in classes)
    for name in names:
        if not name or names.count(name) > 1:
            what = f"'{name}' appears twice" if name else "one of them is empty"
            raise InputError(f"{where}: {', '.join(names)}: {what}. Name each class once, in the model's order.")
    return names


def unnamed_classes(labels: Sequence[str], where: str) -> tuple[str, ...]:
    """Classes `0` to the largest number, if they have no names. Labels that are not numbers are skipped.

    Args:
        labels: every label of the file, also of other splits, so that all splits have the same classes.
        where: the file and column, for messages.

    Raises:
        InputError: the labels are names, do not start at 0, or are far too many.
    """
    numbers = {number for label in labels if (number := class_number(label)) is not None}
    if not numbers:
        found = sorted({label for label in labels if label})[:12]
        listed = ", ".join(f'"{name}"' for name in found)
        raise InputError(
            f"{where} holds names, not class numbers. Give them in the model's order: classes = [{listed}]."
        )
    if max(numbers) >= MAX_UNNAMED:
        raise InputError(
            f"{where} holds {max(numbers)}, which is not a class number. Name the label column, or the classes."
        )
    if 0 not in numbers:
        listed = ", ".join(f'"{number}"' for number in sorted(numbers)[:12])
        raise InputError(
            f"{where} counts from {min(numbers)}, and palpate counts classes from 0. Give the classes as names, in the "
            f"model's order: classes = [{listed}]."
        )
    return tuple(str(number) for number in range(max(numbers) + 1))


def label_of(text: str, classes: Sequence[str]) -> int | None:
    """The class of a label, from 0, or None.

    A label is the name of a class, or its number, unless the names are numbers themselves.
    """
    if text in classes:
        return list(classes).index(text)
    number = class_number(text)
    if number is None:
        return None
    if str(number) in classes:
        return list(classes).index(str(number))
    named_by_numbers = any(class_number(name) is not None for name in classes)
    return None if named_by_numbers or number >= len(classes) else number


def listed(values: Iterable[object], limit: int = 12) -> str:
    """The first few values for a message: `0, 1, 2 and 4 more`."""
    texts = [str(value) for value in values]
    head = ", ".join(texts[:limit])
    return f"{head} and {len(texts) - limit} more" if len(texts) > limit else head

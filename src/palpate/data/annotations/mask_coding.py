"""How files store masks: which value stands for which structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palpate.data.annotations.annotation import IGNORE
from palpate.data.annotations.labels import MaskLabels
from palpate.data.annotations.mask_images import COLOURS
from palpate.data.cases import checked_classes, listed
from palpate.errors import InputError

__all__ = ["Coding", "checked_spacing", "coded", "structure_names"]


@dataclass(frozen=True)
class Coding:
    """How files store masks.

    Attributes:
        columns: the column of masks, or one a structure.
        separate: whether each structure has a column of its own.
        values: stored value of each structure; 0 is background.
        field: column of field-of-view masks, or None.
        ignore_value: stored value of pixels that count for nothing, or None.
        regions: all stored values of each structure, where one value may stand for several; empty elsewhere.
        exclusive: whether each pixel is given one structure at most.
        structures: names of the structures, which the segments of DICOM SEG files are matched by; empty where
            `values` are numbers of segments.
        threshold: a structure is where the stored number is at least this, whatever `values` say; None: as they say.
    """

    columns: tuple[str, ...]
    separate: bool
    values: tuple[int, ...]
    field: str | None = None
    ignore_value: int | None = None
    regions: tuple[tuple[int, ...], ...] = ()
    exclusive: bool = True
    structures: tuple[str, ...] = ()
    threshold: float | None = None

    @property
    def coloured(self) -> bool:
        """Whether the stored values are colours, 0xRRGGBB."""
        return any(value >= COLOURS for value in self.known)

    @property
    def known(self) -> tuple[int, ...]:
        """Every stored value that stands for a structure."""
        return tuple(sorted({value for region in self.regions for value in region})) or self.values


def coded(labels: MaskLabels) -> Coding:
    """How files store masks, from what a caller names; 1 to S, or 1 in each file, where no values are given.

    Raises:
        InputError: a value is 0, appears twice, or is the ignored one; values and structures differ in number; one
            threshold is given for several structures of one file.
    """
    mask, values, structures = labels.mask, labels.values, labels.names
    columns = (mask,) if isinstance(mask, str) else tuple(mask)
    if not columns or len(set(columns)) < len(columns):
        raise InputError(f"mask: {listed(columns) or 'nothing'}. Name one column of masks, or one for each structure.")
    separate = not isinstance(mask, str)
    matched = tuple(structures or ()) if not values else ()
    if not values:
        count = len(structures) if structures is not None else 1
        values = (1,) * len(columns) if separate else tuple(range(1, count + 1))
    elif separate and len(values) == 1:
        values = tuple(values) * len(columns)
    _check_values(tuple(values), labels.ignore_value, separate)
    if separate and len(values) != len(columns):
        raise InputError(f"values: {len(values)} values for {len(columns)} columns of masks. Give one per column.")
    if labels.threshold is not None and not separate and len(values) > 1:
        raise InputError(
            f"threshold: one number cannot tell {len(values)} structures of one file apart. Give values, or a column "
            "of masks for each structure."
        )
    return Coding(
        columns,
        separate,
        tuple(values),
        labels.field,
        labels.ignore_value,
        exclusive=labels.exclusive is not False and not separate,
        structures=matched,
        threshold=labels.threshold,
    )


def structure_names(coding: Coding, structures: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the structures, or numbers, or columns, where none are given; InputError where they do not fit."""
    count = len(coding.regions or coding.values)
    if structures is None:
        numbered = count > 1 and not coding.separate
        return tuple(str(number) for number in range(1, count + 1)) if numbered else coding.columns
    names = checked_classes(structures, "structures")
    if len(names) != count:
        what = f"{len(coding.columns)} columns of masks" if coding.separate else f"{count} values"
        raise InputError(f"structures: {len(names)} names for {what}. Name each structure once, in their order.")
    return names


def checked_spacing(spacing: Sequence[float]) -> tuple[float, ...]:
    """Sizes of a pixel in mm along each axis; raises InputError where one is not above 0."""
    sizes = tuple(float(size) for size in spacing)
    if not all(np.isfinite(size) and size > 0 for size in sizes):
        raise InputError(f"spacing: {sizes} must be above 0. Give mm along each axis, rows before columns.")
    return sizes


def _check_values(values: tuple[int, ...], ignore_value: int | None, separate: bool) -> None:
    if 0 in values or ignore_value == 0:
        raise InputError("values: 0 is background. Give the stored values of structures, and ignore_value, above 0.")
    if ignore_value in values:
        raise InputError(f"ignore_value: {ignore_value} is among values, a structure's. Remove it from one of them.")
    if not separate and len(set(values)) < len(values):
        raise InputError(f"values: {listed(values)} hold a value twice. Give each structure its own.")
    if not 1 <= len(values) < IGNORE:
        raise InputError(f"values: {len(values)} structures. Give 1 to {IGNORE - 1}.")

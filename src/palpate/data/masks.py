"""Masks: one file of labels an image, or one file a structure where structures may overlap. 2D and volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from palpate.data.annotation import IGNORE, Annotation, Labels
from palpate.data.cases import Case, checked_classes, listed
from palpate.data.forms import Array
from palpate.data.images import read_form, read_image
from palpate.data.listing import Cases, Line, listed_lines, locate, read_csv, require_columns
from palpate.data.volumes import is_volume, read_volume, read_volume_header, same_grid
from palpate.errors import InputError

__all__ = ["Coding", "MaskFiles", "checked_spacing", "coded", "mask_cases"]


@dataclass(frozen=True)
class Coding:
    """How files store masks.

    Attributes:
        columns: the column of masks, or one a structure.
        separate: whether each structure has a column of its own.
        values: stored value of each structure; 0 is background.
        field: column of field-of-view masks, or None.
        ignore_value: stored value of pixels that count for nothing, or None.
    """

    columns: tuple[str, ...]
    separate: bool
    values: tuple[int, ...]
    field: str | None = None
    ignore_value: int | None = None


@dataclass(frozen=True)
class MaskFiles:
    """Mask files under the folder of the images.

    Attributes:
        root: the folder that all paths start from.
        coding: how the files store masks.
        spacing: mm of a pixel along each axis where the files do not say.
        files: paths of the masks of each case, in the order of `coding.columns`.
        fields: path of the field of view of the cases that have one.
    """

    root: Path
    coding: Coding
    spacing: tuple[float, ...] | None = None
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False, repr=False)
    fields: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)

    def read(self, case: Case) -> Annotation:
        """The mask of one case, checked against the header of its image.

        Raises:
            InputError: a file cannot be read, has another size or lies elsewhere in space than its image, or holds a
                value that stands for no structure.
        """
        spatial, spacing = self._image(case)
        coding = self.coding
        if coding.separate:
            stored = zip(self.files[case.name], coding.values, strict=True)
            labels = np.stack([self._labels(case, name, (value,), spatial) for name, value in stored])
        else:
            labels = self._labels(case, self.files[case.name][0], coding.values, spatial)
        if case.name in self.fields:
            labels[..., self._stored(case, self.fields[case.name], spatial) == 0] = IGNORE
        return Annotation(labels=labels, overlapping=coding.separate, spacing=spacing)

    def content(self, case: Case) -> bytes:
        """The files as they are, and how they are read."""
        names = (*self.files[case.name], *([self.fields[case.name]] if case.name in self.fields else ()))
        coding = [self.coding.separate, self.coding.values, self.coding.ignore_value, case.name in self.fields]
        parts = [json.dumps([coding, self.spacing]).encode()]
        for name in names:
            try:
                parts.append((self.root / name).read_bytes())
            except OSError as error:
                raise InputError(f"{self.root / name} cannot be read: {error.strerror}. Put the file back.") from error
        return b"".join(len(part).to_bytes(8, "big") + part for part in parts)

    def _image(self, case: Case) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
        path = self.root / case.name
        if not is_volume(path):
            return self._given(case, read_form(path).shape[1:], None)
        header = read_volume_header(path)
        return self._given(case, header.shape, header.spacing)

    def _given(
        self, case: Case, spatial: tuple[int, ...], stored: tuple[float, ...] | None
    ) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
        given = self.spacing
        if given is None:
            return spatial, stored
        if len(given) != len(spatial):
            raise InputError(
                f"spacing: {len(given)} numbers {given} for {case.name}, which has {len(spatial)} axes. "
                "Give mm along each axis, rows before columns."
            )
        if stored is not None and not np.allclose(given, stored, rtol=0.01):
            raise InputError(f"spacing: {given} is given, and {case.name} stores {stored}. Leave it out of the plan.")
        return spatial, given

    def _labels(self, case: Case, name: str, values: Sequence[int], spatial: tuple[int, ...]) -> Labels:
        stored = self._stored(case, name, spatial)
        codes = {0: 0} | {value: number for number, value in enumerate(values, start=1)}
        if self.coding.ignore_value is not None:
            codes[self.coding.ignore_value] = IGNORE
        known = np.array(sorted(codes))
        place = np.searchsorted(known, stored).clip(max=len(known) - 1)
        if (strange := known[place] != stored).any():
            found = listed([f"{value:g}" for value in np.unique(stored[strange]).tolist()], 3)
            hint = " JPEG changes values: save masks as PNG." if name.lower().endswith((".jpg", ".jpeg")) else ""
            raise InputError(
                f"{self.root / name} holds {found} in {int(strange.sum())} pixels; structures are stored as "
                f"{listed(values)}, and background as 0. Correct the mask, or values.{hint}"
            )
        labels: Labels = np.array([codes[value] for value in known.tolist()], dtype=np.int64)[place]
        return labels

    def _stored(self, case: Case, name: str, spatial: tuple[int, ...]) -> Array:
        """The stored values (*spatial) of a mask file of the size and place of its image."""
        path, image = self.root / name, self.root / case.name
        stored = read_volume(path).array[0] if is_volume(path) else _grey(path)
        if stored.shape != spatial:
            raise InputError(
                f"{path} has the size {_times(stored.shape)}, and its image {case.name} {_times(spatial)}. "
                "Give each image the mask that was drawn on it."
            )
        if is_volume(path) and is_volume(image) and not same_grid(read_volume_header(image), read_volume_header(path)):
            raise InputError(
                f"{path} lies elsewhere in space than its image {case.name}, or has another spacing. Resample the mask "
                "to the image, or correct the header."
            )
        return stored


def mask_cases(
    table: Path,
    images: Path,
    file: str,
    coding: Coding,
    structures: Sequence[str] | None,
    spacing: Sequence[float] | None,
    group: str | None,
    where: Mapping[str, object],
) -> tuple[Cases, MaskFiles]:
    """The cases and masks of a CSV; see `palpate.data.table.Table.from_masks`."""
    names = _structures(coding, structures)
    header, lines = read_csv(table)
    view = [coding.field] if coding.field else []
    require_columns(table, header, (file, *coding.columns, *view, *([group] if group else []), *where))
    kept = listed_lines(table, images, lines, file, group, where)
    files = {case.name: tuple(_mask(table, images, line, name) for name in coding.columns) for line, case in kept}
    # A field of view that is not named is the whole image: sets of several cameras have it for some only.
    fields = {case.name: _mask(table, images, line, coding.field) for line, case in kept if _has(line, coding.field)}
    given = None if spacing is None else checked_spacing(spacing)
    return (tuple(case for _, case in kept), names), MaskFiles(images, coding, given, files, fields)


def coded(
    mask: str | Sequence[str],
    values: Sequence[int] | None,
    structures: Sequence[str] | None,
    field: str | None,
    ignore_value: int | None,
) -> Coding:
    """How files store masks, from what a caller names; 1 to S, or 1 in each file, where no values are given.

    Raises:
        InputError: a value is 0, stands there twice, or is the ignored one; values and structures differ in number.
    """
    columns = (mask,) if isinstance(mask, str) else tuple(mask)
    if not columns or len(set(columns)) < len(columns):
        raise InputError(f"mask: {listed(columns) or 'nothing'}. Name one column of masks, or each structure's once.")
    separate = not isinstance(mask, str)
    if not values:
        count = len(structures) if structures is not None else 1
        values = (1,) * len(columns) if separate else tuple(range(1, count + 1))
    elif separate and len(values) == 1:
        values = tuple(values) * len(columns)
    _check_values(tuple(values), ignore_value, separate)
    if separate and len(values) != len(columns):
        raise InputError(f"values: {len(values)} values for {len(columns)} columns of masks. Give one a column.")
    return Coding(columns, separate, tuple(values), field, ignore_value)


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


def _structures(coding: Coding, structures: Sequence[str] | None) -> tuple[str, ...]:
    count = len(coding.values)
    if structures is None:
        numbered = count > 1 and not coding.separate
        return tuple(str(number) for number in range(1, count + 1)) if numbered else coding.columns
    names = checked_classes(structures, "structures")
    if len(names) != count:
        what = f"{len(coding.columns)} columns of masks" if coding.separate else f"{count} values"
        raise InputError(f"structures: {len(names)} names for {what}. Name each structure once, in their order.")
    return names


def _has(line: Line, column: str | None) -> bool:
    return column is not None and bool(line.cells[column])


def _mask(table: Path, images: Path, line: Line, column: str | None) -> str:
    assert column is not None
    cell = line.cells[column]
    name = locate(images, cell)
    if name is None:
        what = f"'{cell}', which does not exist under {images}" if cell else "nothing"
        raise InputError(
            f"{table}, line {line.number}: column '{column}' holds {what}. Correct it, or take the line out; "
            "an image without structures needs a mask of zeros."
        )
    return name


def _grey(path: Path) -> Array:
    stored = read_image(path)
    if (stored != stored[:1]).any():
        raise InputError(f"{path} stores colours. Save the mask as grey, each structure by its value.")
    grey: Array = stored[0]
    return grey


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))

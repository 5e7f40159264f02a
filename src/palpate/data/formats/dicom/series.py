"""A folder of slices of one DICOM series as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from palpate.data.formats.copies import require_fit
from palpate.data.formats.dicom.files import is_image_file, one_sentence, open_pixels
from palpate.data.formats.dicom.frames import Groups, Plane, numbers, stacked
from palpate.data.formats.dicom.header import Described, describe
from palpate.data.formats.dicom.pixels import PIXEL_TAGS, decoded
from palpate.data.formats.dicom.strays import require_no_copies, require_no_strays
from palpate.data.formats.dicom.writing import derived, replaced_folder, require_range
from palpate.data.formats.forms import Array
from palpate.data.formats.scan import Header, Note, Scan
from palpate.data.formats.volumes import MAX_VOXELS
from palpate.errors import InputError
from palpate.storage.writing import write_atomically

MAX_SLICES = 2**14
"""Folders of more DICOM files are refused before they are read."""

_LOOKED_AT = 256
"""Entries of a folder that are checked before it counts as not a series: folders of pictures may be huge."""


@dataclass(frozen=True)
class DicomSeries:
    """A folder of single-slice files of one series: (C, slices, rows, columns), sorted along the normal.

    Files that are not DICOM, hidden files, folders and DICOMDIR are skipped. Slices with different rescales (PET, some
    MR) have no common lattice: they are read as values, and a copy has the nearest values that each slice can store.
    """

    name: str = "DICOM series"
    suffix: str = ""

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the path is a folder with a DICOM file."""
        return not head and path.is_dir() and any(is_image_file(entry) for entry in sorted(path.iterdir())[:_LOOKED_AT])

    def header(self, path: Path) -> Header:
        """What the slices say, without decoding them.

        Raises:
            InputError: a slice cannot be read, or the slices are not one volume with even spacing.
        """
        return slices_of(path)[0]

    def read(self, path: Path) -> Scan:
        """The volume; raises InputError as in `header`, or if the pixels of a slice are damaged."""
        header, slices = slices_of(path)
        stored = np.empty(header.shape, header.dtype)
        for place, each in enumerate(slices):
            with one_sentence(each.path):
                numbers = decoded(each.path, open_pixels(each.path, PIXEL_TAGS), each.header, each.order)
            stored[:, place] = numbers if header.lattice else numbers * each.header.slope + each.header.intercept
        return Scan(header, stored)

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """A folder of derived slices, `0001.dcm` first along the normal, of one new study and series.

        Raises:
            InputError: the numbers do not fit the source.
            StorageError: the disk is full or cannot be written, or the target is a folder with other contents.
        """
        header, slices = slices_of(source)
        require_fit(source, header, stored, target)
        if header.lattice is not None:
            require_range(source, header, stored)
        with replaced_folder(target) as folder:
            for place, each in enumerate(slices):
                numbers = stored[:, place] if header.lattice else _nearest(each.header, stored[:, place])
                write_atomically(folder / f"{place + 1:04d}.dcm", derived(each, numbers, note, place))


def slices_of(folder: Path) -> tuple[Header, list[Described]]:
    """The header of a series and its slices in their order along the normal.

    Raises:
        InputError: as in `DicomSeries.header`.
    """
    slices = [describe(path) for path in _files(folder)]
    require_no_strays(folder, slices)
    _require_one_series(folder, slices)
    for each in slices[1:]:
        _require_alike(folder, slices[0], each)
    planes = [_plane(folder, each) for each in slices]
    require_no_copies(folder, slices, planes)
    order, distance = stacked(folder, planes, [each.path.name for each in slices])
    slices = [slices[place] for place in order]
    first = slices[0].header
    shape = (first.shape[0], len(slices), *first.shape[1:])
    if int(np.prod(shape[1:], dtype=np.int64)) > MAX_VOXELS:
        raise InputError(f"{folder} holds {shape[1:]} voxels, and palpate reads up to {MAX_VOXELS:,}. Crop the series.")
    header = replace(first, format="DICOM series", shape=shape, spacing=_spacing(slices[0], distance))
    if len({(each.header.slope, each.header.intercept) for each in slices}) > 1:
        _require_rescales(folder, slices)
        header = replace(header, dtype="float64", lattice=None, slope=1.0, intercept=0.0, lossless=False)
    return header, slices


def _require_rescales(folder: Path, slices: Sequence[Described]) -> None:
    """Refuse a series in which only some slices say how numbers become values."""
    silent = [each.path.name for each in slices if each.dataset.get("RescaleSlope") in (None, "")]
    if silent and len(silent) < len(slices):
        raise InputError(
            f"{folder}: {silent[0]} has no RescaleSlope, and other slices have one ({len(silent)} of {len(slices)} "
            "lack it). Its numbers then have no known value. Write the slope into the file, or export the series again."
        )


def _nearest(header: Header, values: Array) -> Array:
    """The numbers of one slice for the nearest values that it can store."""
    low, high = header.lattice or (0, 0)
    numbers = np.rint((values - header.intercept) / header.slope).clip(low, high)
    return np.asarray(numbers.astype(header.dtype))


def _files(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be opened: {error.strerror}. Give the folder of a series.") from error
    files = [entry for entry in entries if is_image_file(entry)]
    if not files:
        raise InputError(f"{folder} holds no DICOM file. Give the folder with the slices of one series.")
    if len(files) > MAX_SLICES:
        raise InputError(f"{folder} holds {len(files)} DICOM files. Put the slices of one volume into a folder.")
    return files


def _require_one_series(folder: Path, slices: Sequence[Described]) -> None:
    names: dict[str, list[str]] = {}
    for each in slices:
        names.setdefault(str(each.dataset.get("SeriesInstanceUID") or ""), []).append(each.path.name)
    if len(names) > 1:
        parts = [f"{len(files)} such as {files[0]}" for files in list(names.values())[:4]]
        raise InputError(
            f"{folder} holds slices of {len(names)} series: {'; '.join(parts)}. Put each series into its own folder."
        )


def _require_alike(folder: Path, first: Described, other: Described) -> None:
    one, two = first.header, other.header
    names = f"{first.path.name} and {other.path.name}"
    if len(two.shape) > 3 or one.shape != two.shape:
        raise InputError(
            f"{folder}: {names} have different sizes ({_times(one)} and {_times(two)}). Put one volume into a folder."
        )
    if (one.dtype, one.lattice, one.inverted) != (two.dtype, two.lattice, two.inverted):
        raise InputError(f"{folder}: {names} store their pixels with different bits. Put one volume into a folder.")
    if one.unit != two.unit:
        raise InputError(
            f"{folder}: {names} have values in different units ({one.unit or 'none'} and {two.unit or 'none'}). "
            "Put one volume into a folder."
        )
    if (one.spacing is None) != (two.spacing is None) or (
        one.spacing is not None and two.spacing is not None and not np.allclose(one.spacing, two.spacing, rtol=1e-3)
    ):
        raise InputError(f"{folder}: {names} have pixels of different spacing. Put one volume into a folder.")


def _plane(folder: Path, each: Described) -> Plane:
    if len(each.header.shape) > 3:
        raise InputError(f"{folder}: {each.path.name} holds several frames. Name the file itself, not its folder.")
    with one_sentence(each.path):
        plane = Groups(each.dataset).plane(0)
    if plane is None:
        raise InputError(
            f"{folder}: {each.path.name} does not give its position (ImagePositionPatient, ImageOrientationPatient). "
            "So the order of the slices is not known. Export the series again with positions, convert it to NIfTI, "
            "or name the files as single images."
        )
    return plane


def _spacing(first: Described, distance: float | None) -> tuple[float, ...] | None:
    if distance is None:
        for keyword in ("SpacingBetweenSlices", "SliceThickness"):
            found = numbers(first.dataset.get(keyword), 1)
            if found and found[0] > 0:
                distance = found[0]
                break
    within = first.header.spacing
    return None if within is None or distance is None else (distance, *within)


def _times(header: Header) -> str:
    return " x ".join(map(str, header.shape[1:]))

"""Every image format: which one a path has, by its content, and one way to read and write them all.

Memory: reading takes at most `BYTES_A_NUMBER` bytes for each number of the image that the header declares, the size of
the file, and `OVERHEAD` bytes. Declared sizes are compared with `MAX_PIXELS` and `MAX_VOXELS` before they are used;
packed pixels are unpacked only to the declared size; nothing is ever unpickled.
"""

from __future__ import annotations

import os
from pathlib import Path

from palpate.data.formats.dicom import Dicom, DicomSeries
from palpate.data.formats.finite import with_finite_values
from palpate.data.formats.forms import Array
from palpate.data.formats.images import SUFFIXES as IMAGE_SUFFIXES
from palpate.data.formats.images import first_bytes, looks_like
from palpate.data.formats.metaimage import MetaImage
from palpate.data.formats.nifti import Nifti
from palpate.data.formats.nrrd import Nrrd
from palpate.data.formats.numpy_arrays import Npy, Npz
from palpate.data.formats.raster import Jpeg, Plain, Png, Tiff
from palpate.data.formats.scan import Format, Header, Note, Scan
from palpate.data.formats.volumes import VOLUME_SUFFIXES, is_volume
from palpate.errors import InputError

__all__ = [
    "BYTES_A_NUMBER",
    "FORMATS",
    "IMAGE_SUFFIXES",
    "OVERHEAD",
    "SUFFIXES",
    "format_of",
    "header_of",
    "is_series",
    "read_scan",
    "write_copy",
]

BYTES_A_NUMBER = 32
"""Most bytes of memory that reading takes for each number (pixel and channel, voxel) of an image."""

OVERHEAD = 2**26
"""Most bytes of memory that reading takes in addition to that and the file itself."""

SUFFIXES = (
    *(*IMAGE_SUFFIXES, ".bmp", ".gif", ".webp", ".dcm", ".dicom", ".nrrd", ".mha", ".mhd", ".npy"),
    *VOLUME_SUFFIXES,
)
"""Endings of files that count as images when a folder is searched; the content decides the format."""


FORMATS: tuple[Format, ...] = (
    Dicom(),
    DicomSeries(),
    Png(),
    Jpeg(),
    Tiff(),
    Plain(),
    Plain("GIF"),
    Plain("WEBP"),
    Nifti(),
    Nrrd(),
    MetaImage(),
    Npy(),
    Npz(),
)
"""The formats, in the order in which they check a path."""


def format_of(path: Path) -> Format:
    """The format of a file, or of a folder with a DICOM series, by its content.

    Raises:
        InputError: the path does not exist, cannot be opened, is empty, or has a format that palpate does not read.
    """
    head = b"" if os.path.isdir(path) else first_bytes(path)
    for one in FORMATS:
        if one.claims(path, head):
            return one
    if is_volume(path):
        Nifti().header(path)  # raises the error that fits it
    what = looks_like(head) if head else "contains no DICOM slices"
    raise InputError(
        f"{path} {what}; palpate reads {', '.join(one.name for one in FORMATS)}. "
        "Convert it, or take it out of the table."
    )


def is_series(path: Path) -> bool:
    """Whether a path is a folder that one of the formats reads as an image."""
    return os.path.isdir(path) and any(one.claims(path, b"") for one in FORMATS)


def header_of(path: Path) -> Header:
    """What a file or series says about its image, without decoding pixels; raises InputError as in `Format.header`."""
    return format_of(path).header(path)


def read_scan(path: Path, nan: float | None = None) -> Scan:
    """The image of a file or series.

    Args:
        path: the file, or the folder of a series.
        nan: the value that replaces NaN; without it, NaN is refused.

    Raises:
        InputError: as in `Format.read`, or a value is infinite, or NaN without a value that replaces it.
    """
    return with_finite_values(path, format_of(path).read(path), nan)


def write_copy(source: Path, stored: Array, target: Path, note: Note) -> None:
    """Write stored numbers (C, *spatial) as a copy of `source` in its own format, marked as altered.

    Args:
        source: the original file or series folder.
        stored: numbers in the type and range of `header_of(source)`.
        target: file, or folder for a series; what is there is replaced.
        note: what the copy says about itself.

    Raises:
        InputError: the source cannot be read, or the numbers do not fit it.
        StorageError: the disk is full or cannot be written.
    """
    format_of(source).write(source, stored, target, note)

"""NumPy arrays in `.npy` and `.npz` as images: planes, volumes and channels. Nothing is ever unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from palpate.data.formats.copies import require_fit
from palpate.data.formats.forms import Array, bit_range, require_size
from palpate.data.formats.images import one_sentence
from palpate.data.formats.scan import Header, Note, Scan
from palpate.data.formats.volumes import Axes, axes_of, require_voxels
from palpate.errors import InputError
from palpate.storage.writing import write_atomically

_MAGIC = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_LONGEST_NOTE = 4096
_LONGEST_HEADER = 2**14
_COLOURS = (1, 3)


@dataclass(frozen=True)
class _Array:
    """What a header says."""

    sizes: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]
    axes: Axes


@dataclass(frozen=True)
class Npy:
    """One array of whole or floating-point numbers.

    (H, W) is a plane; (H, W, 1) and (H, W, 3) are a plane with its channels last; any other array of three axes is a
    volume. Of four axes the last one has the channels, or the first one if it is the shortest.
    """

    name: str = "npy"
    suffix: str = ".npy"

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the first bytes are the format's."""
        return head.startswith(_MAGIC)

    def header(self, path: Path) -> Header:
        """Shape and type; raises InputError if the array is not one of numbers, far too large, or damaged."""
        with one_sentence(path), open(path, "rb") as handle:
            return _described(_parsed(path, handle), self.name)

    def read(self, path: Path) -> Scan:
        """The numbers as they are stored; raises InputError as in `header`, or if they are truncated."""
        with one_sentence(path), open(path, "rb") as handle:
            return _scan(path, handle, self.name, _LONGEST_NOTE)

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """Write a marked copy: the note is after the numbers, where readers of NumPy ignore it."""
        require_fit(source, self.header(source), stored, target)
        with one_sentence(source), open(source, "rb") as handle:
            array = _parsed(source, handle)
        words = f"\n{note.text}\n".encode("ascii", "replace")[:_LONGEST_NOTE]
        write_atomically(target, _encoded(array, stored) + words)


@dataclass(frozen=True)
class Npz:
    """An archive of one array, which is read as `Npy` reads it. Archives of several arrays are not an image."""

    name: str = "npz"
    suffix: str = ".npz"

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the file is a zip archive of arrays."""
        if not head.startswith(_ZIP):
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                return all(name.endswith(".npy") for name in archive.namelist())
        except (OSError, ValueError, zipfile.BadZipFile):
            return False

    def header(self, path: Path) -> Header:
        """Shape and type; raises InputError as in `Npy.header`."""
        with one_sentence(path), _opened(path) as handle:
            return _described(_parsed(path, handle), self.name)

    def read(self, path: Path) -> Scan:
        """The numbers as they are stored, unpacked only to the size in the header; raises as `Npy.read`."""
        with one_sentence(path), _opened(path) as handle:
            return _scan(path, handle, self.name, 0)

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """Write a marked copy: the note is the comment of the archive."""
        require_fit(source, self.header(source), stored, target)
        with one_sentence(source), zipfile.ZipFile(source) as archive:
            name = _member(source, archive)
        with one_sentence(source), _opened(source) as handle:
            array = _parsed(source, handle)
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w") as copy:
            # A fixed date: equal input gives equal files.
            copy.writestr(zipfile.ZipInfo(name), _encoded(array, stored), zipfile.ZIP_DEFLATED)
            copy.comment = note.text.encode("ascii", "replace")[:_LONGEST_NOTE]
        write_atomically(target, sink.getvalue())


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The array of an archive, unpacked as it is read."""
    with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive)) as handle:
        yield handle


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    if len(names) != 1:
        held = ", ".join(name.removesuffix(".npy") for name in names[:6]) or "none"
        raise InputError(
            f"{path} holds {len(names)} arrays ({held}), and palpate reads an archive of one array as an image. Save "
            "each array as a separate file, with numpy.save."
        )
    return names[0]


def _encoded(array: _Array, stored: Array) -> bytes:
    numbers = array.axes.restored(stored).reshape(array.sizes).astype(array.dtype)
    sink = io.BytesIO()
    npy.write_array(sink, np.asfortranarray(numbers) if array.fortran else np.ascontiguousarray(numbers))
    return sink.getvalue()


def _scan(path: Path, handle: IO[bytes], name: str, behind: int) -> Scan:
    """The numbers after the header, and at most so many bytes after them."""
    array = _parsed(path, handle)
    size = math.prod(array.sizes) * array.dtype.itemsize
    content = handle.read(size + behind + 1)  # one byte more, so that an archive compares its checksum
    if not size <= len(content) <= size + behind:
        raise InputError(f"{path} does not hold the {size:,} bytes that its header promises. Copy it again.")
    flat = np.frombuffer(content[:size], array.dtype)
    numbers = array.axes.arranged(flat.reshape(array.sizes, order="F" if array.fortran else "C"))
    return Scan(_described(array, name), np.array(numbers, dtype=array.dtype.newbyteorder("="), order="C"))


def _parsed(path: Path, handle: IO[bytes]) -> _Array:
    version = npy.read_magic(handle)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    sizes, fortran, dtype = read(handle, max_header_size=_LONGEST_HEADER)
    if dtype.kind not in "iuf" or dtype.itemsize > 8 or dtype.hasobject:
        raise InputError(
            f"{path} holds an array of type {dtype.name}, and palpate reads whole and floating-point numbers. Convert "
            "it with array.astype."
        )
    if not 2 <= len(sizes) <= 4:
        raise InputError(
            f"{path} holds an array of {' x '.join(map(str, sizes)) or 'no axes'}. Save one image or volume per file: "
            "(H, W), (H, W, 3), (D, H, W), or one of four axes with the channels first or last."
        )
    require_voxels(path, sizes)
    coloured = len(sizes) == 3 and sizes[2] in _COLOURS
    axes = Axes(sizes, (0, 1), 2) if coloured else axes_of(path, sizes)
    if len(axes.space) == 2:
        require_size(path, *axes.spatial)
    return _Array(tuple(sizes), bool(fortran), dtype, axes)


def _described(array: _Array, name: str) -> Header:
    lattice = None if array.dtype.kind == "f" else bit_range(array.dtype)
    return Header(name, (array.axes.channels, *array.axes.spatial), array.dtype.name, lattice)

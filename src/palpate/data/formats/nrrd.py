"""NRRD as a format, its headers through pynrrd: volumes, images and colour images in one file, plain or gzip.

A volume has its axes in the order of the header, fastest first, as in a NIfTI file; an image is height by width.
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from palpate.data.formats.copies import require_fit
from palpate.data.formats.forms import Array, bit_range, require_size
from palpate.data.formats.images import one_sentence
from palpate.data.formats.scan import Header, Note, Scan
from palpate.data.formats.volumes import require_voxels
from palpate.errors import InputError
from palpate.storage.writing import write_atomically

_LONGEST_HEADER = 2**20
_ENDS = (b"\n\n", b"\n\r\n")
_TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_PLACES = ("domain", "space", "none", "???")
_SPACES = (
    "right-anterior-superior",
    "left-anterior-superior",
    "left-posterior-superior",
    "ras",
    "las",
    "lps",
    "scanner-xyz",
    "3d-right-handed",
    "3d-left-handed",
)
_LEVEL = 1
_MILLIMETRES = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "micron": 0.001, "": 1.0}
_KEPT = ("space", "space dimension", "space directions", "space origin", "measurement frame", "kinds", "encoding")
_KEPT_NUMBERS = ("spacings", "thicknesses", "axis mins", "axismins", "axis maxs", "axismaxs")


@dataclass(frozen=True)
class _Parsed:
    """What a header says: how the numbers are ordered in the file, and where they begin."""

    fields: Mapping[str, Any]
    sizes: tuple[int, ...]
    dtype: np.dtype[Any]
    packed: bool
    offset: int

    @property
    def colour(self) -> bool:
        return len(self.sizes) == 3 and self.fields.get("kinds", [""])[0] == "RGB-color"

    @property
    def planar(self) -> bool:
        return self.colour or len(self.sizes) == 2

    def arranged(self, numbers: Array) -> Array:
        """Numbers in the order of the header as (C, *spatial)."""
        turned = numbers.swapaxes(-1, -2) if self.planar else numbers
        return turned if self.colour else turned[None]

    def restored(self, stored: Array) -> Array:
        """The inverse of `arranged`."""
        numbers = stored if self.colour else stored[0]
        return numbers.swapaxes(-1, -2) if self.planar else numbers


@dataclass(frozen=True)
class Nrrd:
    """NRRD with attached data, of one volume, image or colour image of whole or floating-point numbers."""

    name: str = "NRRD"
    suffix: str = ".nrrd"

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the first bytes are the format's."""
        return head.startswith(b"NRRD000")

    def header(self, path: Path) -> Header:
        """Shape, type and spacing.

        Raises:
            InputError: pynrrd is missing, the header is damaged or not plausible, or names data in another file.
        """
        with one_sentence(path):
            return _header(path, _parsed(path))

    def read(self, path: Path) -> Scan:
        """The numbers as they are stored.

        Raises:
            InputError: as in `header`; or the data is truncated, or longer than the header says.
        """
        with one_sentence(path):
            parsed = _parsed(path)
            header = _header(path, parsed)
            numbers = np.frombuffer(_content(path, parsed), parsed.dtype).reshape(parsed.sizes, order="F")
            stored = np.array(parsed.arranged(numbers), dtype=parsed.dtype.newbyteorder("="), order="C")
        return Scan(header, stored)

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """Write a marked copy on the same grid; see `palpate.data.formats.scan.Format.write`.

        Of the header only keys about the positions of the numbers are kept; `palpate` says what the copy is.
        """
        require_fit(source, self.header(source), stored, target)
        with one_sentence(source):
            encoded = _encoded(_parsed(source), stored, note)
        write_atomically(target, encoded)


def _nrrd() -> Any:
    try:
        import nrrd
    except ImportError as error:
        raise InputError("NRRD files need pynrrd. Install it: pip install 'palpate[nrrd]'.") from error
    return nrrd


def _parsed(path: Path) -> _Parsed:
    with open(path, "rb") as handle:
        head = handle.read(_LONGEST_HEADER)
    ends = [place + len(end) for end in _ENDS if (place := head.find(end)) >= 0]
    if not ends and b"data file" not in head and b"datafile" not in head:
        raise InputError(f"{path} has no end of its header in the first {_LONGEST_HEADER:,} bytes. Copy it again.")
    fields = _nrrd().read_header(io.BytesIO(head[: min(ends, default=None)]))
    if "data file" in fields or "datafile" in fields:
        raise InputError(f"{path} is a header that names another file for its data. Save both as one .nrrd file.")
    if any(fields.get(name, 0) for name in ("byte skip", "byteskip", "line skip", "lineskip")):
        raise InputError(f"{path} skips bytes or lines before its data. Save it again as a plain .nrrd file.")
    encoding = str(fields["encoding"]).lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise InputError(f"{path} stores its data as {encoding}, and palpate reads raw and gzip. Save it as gzip.")
    return _Parsed(fields, _sizes(path, fields), _dtype(path, fields), encoding != "raw", min(ends))


def _sizes(path: Path, fields: Mapping[str, Any]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in fields["sizes"])
    colour = fields.get("kinds", [""])[0] == "RGB-color"
    words = " x ".join(map(str, sizes))
    if len(sizes) != fields["dimension"] or (colour and (len(sizes), sizes[0]) != (3, 3)):
        raise InputError(f"{path}: its header contradicts itself about its {words} numbers. Copy it again.")
    if len(sizes) not in (2, 3):
        raise InputError(f"{path} has {len(sizes)} axes ({words}). Save each image or volume as a file.")
    if str(fields.get("space", _SPACES[0])).lower() not in _SPACES:
        raise InputError(f"{path} names the space '{fields['space']}', which NRRD does not know. Correct its header.")
    kinds = [kind for kind in fields.get("kinds", []) if kind not in _PLACES]
    if kinds and not colour:
        raise InputError(f"{path} has an axis of the kind {kinds[0]}. Save each image or volume as a file.")
    if len(sizes) == 2 or colour:
        require_size(path, sizes[-1], sizes[-2])
    else:
        require_voxels(path, sizes)
    return sizes


def _dtype(path: Path, fields: Mapping[str, Any]) -> np.dtype[Any]:
    written = str(fields["type"])
    name = next((name for name, synonyms in _TYPES.items() if written in synonyms), None)
    if name is None:
        raise InputError(f"{path} stores numbers of type {written}. Save it with 8, 16 or 32 bit, or as float.")
    kind = np.dtype(name)
    if kind.itemsize == 1:
        return kind
    if (endian := fields.get("endian")) not in ("little", "big"):
        raise InputError(f"{path} does not say whether its numbers are little- or big-endian. Copy it again.")
    return kind.newbyteorder("<" if endian == "little" else ">")


def _header(path: Path, parsed: _Parsed) -> Header:
    sizes = parsed.sizes[::-1] if parsed.planar else parsed.sizes
    shape = (3, *sizes[:2]) if parsed.colour else (1, *sizes)
    lattice = None if parsed.dtype.kind == "f" else bit_range(parsed.dtype)
    return Header("NRRD", shape, parsed.dtype.name, lattice, spacing=_spacing(path, parsed))


def _spacing(path: Path, parsed: _Parsed) -> tuple[float, ...] | None:
    fields, first = parsed.fields, 1 if parsed.colour else 0
    if (directions := fields.get("space directions")) is not None:
        rows = [np.asarray(row, dtype=np.float64) for row in list(directions)[first:]]
        lengths, units = [float(np.linalg.norm(row)) for row in rows], list(fields.get("space units", ()))
    elif (spacings := fields.get("spacings")) is not None:
        lengths, units = [float(length) for length in list(spacings)[first:]], list(fields.get("units", ()))[first:]
    else:
        return None
    factors = [_MILLIMETRES.get(unit.lower()) for unit in units] or [1.0]
    if not any(units) and "space" not in fields and set(lengths) == {1.0}:
        return None
    if len(lengths) != len(parsed.sizes) - first or not all(0 < length < math.inf for length in lengths):
        raise InputError(f"{path}: its axes have the spacing {lengths}. Write their size in mm into the header.")
    if None in factors or len(set(factors)) != 1:
        return None
    placed = tuple(length * float(factors[0] or 1.0) for length in lengths)
    return placed[::-1] if parsed.planar else placed


def _content(path: Path, parsed: _Parsed) -> bytes:
    size = math.prod(parsed.sizes) * parsed.dtype.itemsize
    with open(path, "rb") as handle:
        handle.seek(parsed.offset)
        source = gzip.GzipFile(fileobj=handle) if parsed.packed else handle
        content = source.read(size + 1)  # one byte more, so that gzip compares its checksum
    if len(content) != size:
        held = "more" if len(content) > size else f"{len(content):,}"
        raise InputError(f"{path} holds {held} bytes where its header promises {size:,}. Copy it again.")
    return content


def _encoded(parsed: _Parsed, stored: Array, note: Note) -> bytes:
    fields = {name: parsed.fields[name] for name in (*_KEPT, *_KEPT_NUMBERS) if name in parsed.fields}
    for name in ("space units", "units"):
        if all(unit.lower() in _MILLIMETRES for unit in parsed.fields.get(name, ["?"])):
            fields[name] = parsed.fields[name]
    fields["palpate"] = note.text.encode("ascii", "replace").decode()
    sink = io.BytesIO()
    numbers = parsed.restored(stored).astype(parsed.dtype)
    _nrrd().write(sink, numbers, fields, index_order="F", compression_level=_LEVEL)
    head, blank, data = sink.getvalue().partition(b"\n\n")
    # pynrrd writes the time into a comment; equal input gives equal files.
    lines = [line for line in head.split(b"\n") if not line.startswith(b"#")]
    return b"\n".join(lines) + blank + data

"""MetaImage as a format: `.mha` and `.mhd`, and marked copies in one file."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from palpate.data.formats.copies import require_fit
from palpate.data.formats.forms import Array, bit_range
from palpate.data.formats.images import first_bytes, one_sentence
from palpate.data.formats.metaimage_header import MetaHeader, is_meta, meta_header, meta_numbers
from palpate.data.formats.scan import Header, Note, Scan
from palpate.storage.writing import write_atomically

_LEVEL = 1
_NUMBERS = (
    *("TransformMatrix", "Rotation", "Orientation", "Offset", "Position", "Origin", "CenterOfRotation"),
    *("ElementSpacing", "ElementSize", "ElementNumberOfChannels"),
)
"""Lines that are kept if they are numbers."""


@dataclass(frozen=True)
class MetaImage:
    """MetaImage of one plane or volume: numbers in the same file, or in one next to it; plain or compressed.

    A volume has its axes in the order of the header, fastest first, as in NIfTI and NRRD; a plane is height by width.
    """

    name: str = "MetaImage"
    suffix: str = ".mha"

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the first bytes begin a MetaImage header."""
        return is_meta(head)

    def header(self, path: Path) -> Header:
        """Shape, type and spacing; raises InputError as in `palpate.data.formats.metaimage_header.meta_header`."""
        with one_sentence(path):
            return _described(meta_header(path))

    def read(self, path: Path) -> Scan:
        """The numbers as they are stored; raises InputError as in `header`, or if they are truncated or too many."""
        with one_sentence(path):
            meta = meta_header(path)
            stored = meta.arranged(meta_numbers(meta))
            return Scan(_described(meta), np.array(stored, dtype=meta.dtype.newbyteorder("="), order="C"))

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """Write a marked copy on the same grid, in one file; see `palpate.data.formats.scan.Format.write`.

        Of the header only lines about the positions of the numbers are kept; `Comment` says what the copy is.
        """
        require_fit(source, self.header(source), stored, target)
        with one_sentence(source):
            encoded = _encoded(meta_header(source), stored, note)
        write_atomically(target, encoded)


def data_files(path: Path) -> tuple[Path, ...]:
    """The separate file of numbers that a header names; empty if there is none.

    Raises:
        InputError: the file is a damaged MetaImage header.
    """
    if path.suffix.lower() not in (".mhd", ".mha") or not path.is_file() or not is_meta(first_bytes(path)):
        return ()
    data = meta_header(path).data
    return () if data == path else (data,)


def _described(meta: MetaHeader) -> Header:
    lattice = None if meta.dtype.kind == "f" else bit_range(meta.dtype)
    return Header("MetaImage", meta.shape, meta.dtype.name, lattice, spacing=meta.spacing)


def _encoded(meta: MetaHeader, stored: Array, note: Note) -> bytes:
    content = meta.restored(stored).astype(meta.dtype).tobytes()
    content = zlib.compress(content, _LEVEL) if meta.packed else content
    fields = {
        "ObjectType": "Image",
        "Comment": note.text.encode("ascii", "replace").decode(),
        "NDims": str(len(meta.axes.sizes)),
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": str(meta.dtype.newbyteorder("=") != meta.dtype and meta.dtype.itemsize > 1),
        "CompressedData": str(meta.packed),
    }
    if meta.packed:
        fields["CompressedDataSize"] = str(len(content))
    fields |= {key: meta.fields[key] for key in _NUMBERS if re.fullmatch(r"[-+0-9.eE\s]+", meta.fields.get(key, ""))}
    if re.fullmatch("[A-Z?]{2,4}", meta.fields.get("AnatomicalOrientation", "")):
        fields["AnatomicalOrientation"] = meta.fields["AnatomicalOrientation"]
    fields["DimSize"] = " ".join(map(str, meta.axes.sizes))
    fields["ElementType"] = meta.fields["ElementType"]
    fields["ElementDataFile"] = "LOCAL"
    return "".join(f"{key} = {value}\n" for key, value in fields.items()).encode() + content

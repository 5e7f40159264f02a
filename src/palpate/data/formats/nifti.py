"""NIfTI as a format: stored voxels with slope and intercept, and copies on the same grid."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from palpate.data.formats.copies import require_fit
from palpate.data.formats.forms import Array
from palpate.data.formats.scan import Header, Note, Scan
from palpate.data.formats.volumes import axes_of, raw_header, read_stored, read_volume_header
from palpate.storage.writing import write_atomically

_GZIP = b"\x1f\x8b"
_HEADERS = ((348, 344), (540, 4))
_TEXTS = ("data_type", "db_name", "aux_file", "intent_name")
_LONGEST = 79
_LEVEL = 1


@dataclass(frozen=True)
class Nifti:
    """NIfTI-1 and NIfTI-2 in a single file, plain or gzip: volumes and images of one or several channels."""

    name: str = "NIfTI"
    suffix: str = ".nii.gz"

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the first bytes, unpacked if they are gzip, begin a NIfTI header."""
        if head.startswith(_GZIP):
            try:
                head = zlib.decompressobj(wbits=31).decompress(head, 540)
            except zlib.error:
                return False
        return any(
            head[place : place + 2] == b"n+"
            and size in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))
            for size, place in _HEADERS
        )

    def header(self, path: Path) -> Header:
        """Shape, type, scaling and spacing; errors as in `palpate.data.formats.volumes.read_volume_header`."""
        return read_volume_header(path).scan

    def read(self, path: Path) -> Scan:
        """The voxels as they are stored; raises InputError as in `palpate.data.formats.volumes.read_volume`."""
        header = read_volume_header(path)
        return Scan(header.scan, read_stored(path, header))

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """Write a marked copy on the same grid, with the same scaling; see `palpate.data.formats.scan.Format.write`.

        The header stays as it is, bit for bit, except for free texts: `descrip` says what the copy is, the others are
        cleared, and extensions, which may contain a whole DICOM header, are left out. A target named `.gz` is packed.
        """
        require_fit(source, self.header(source), stored, target)
        header = raw_header(source)
        for field in _TEXTS:
            if field in header.template_dtype.names:
                header[field] = b""
        header["descrip"] = _marker(note)
        header["vox_offset"] = header.single_vox_offset
        axes = axes_of(source, header.get_data_shape())
        voxels = axes.restored(stored).astype(header.get_data_dtype())
        # Four bytes are between header and voxels: 0 means that there is no extension.
        whole = b"".join((bytes(header.binaryblock), bytes(header.single_vox_offset - header.sizeof_hdr)))
        content = whole + voxels.tobytes(order="F")
        packed = target.name.lower().endswith(".gz")
        write_atomically(target, gzip.compress(content, _LEVEL, mtime=0) if packed else content)


def _marker(note: Note) -> bytes:
    text = f"Synthetic: palpate {note.attack} {note.eps}; not for diagnosis"
    return text.encode("ascii", "replace")[:_LONGEST]

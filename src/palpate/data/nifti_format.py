"""NIfTI as a format: stored voxels with slope and intercept, and copies on the same grid."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from palpate.data.forms import Array
from palpate.data.scan import Header, Note, Scan
from palpate.data.volumes import read_stored, read_volume_header

_GZIP = b"\x1f\x8b"
_HEADERS = ((348, 344), (540, 4))


@dataclass(frozen=True)
class Nifti:
    """NIfTI-1 and NIfTI-2 in a single file, plain or gzip, of one three-dimensional volume of numbers."""

    name: str = "NIfTI"
    suffix: str = ".nii.gz"

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the first bytes, unpacked where they are gzip, begin a NIfTI header."""
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
        """Shape, type, scaling and spacing; raises InputError as `palpate.data.volumes.read_volume_header`."""
        return read_volume_header(path).scan

    def read(self, path: Path) -> Scan:
        """The voxels as they are stored; raises InputError as `palpate.data.volumes.read_volume`."""
        header = read_volume_header(path)
        return Scan(header.scan, read_stored(path, header))

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """See `palpate.data.scan.Format.write`."""
        raise NotImplementedError

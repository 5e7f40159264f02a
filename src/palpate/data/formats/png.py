"""Writing of PNG: every bit depth and colour that palpate reads, also 16-bit RGB, which Pillow cannot write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from palpate.data.formats.forms import Array

Chunk = tuple[bytes, bytes]
"""Type and data of a part of a PNG."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"cICP", b"pHYs")
_LARGEST = 2**22
_COLOURS = {1: 0, 3: 2}
_UP = 2


def encode_png(stored: Array, chunks: Sequence[Chunk] = ()) -> bytes:
    """Stored numbers (C, H, W), uint8 or uint16 with C of 1 or 3, as a PNG file.

    Each row is stored as its difference from the row above (filter "up" of the PNG specification), modulo 256.

    Args:
        stored: the numbers.
        chunks: further parts, between the header and the pixels.
    """
    channels, height, width = stored.shape
    samples = np.ascontiguousarray(stored.transpose(1, 2, 0), dtype=f">u{stored.itemsize}")
    rows = samples.view(np.uint8).reshape(height, -1)
    lines = np.full((height, rows.shape[1] + 1), _UP, dtype=np.uint8)
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, stored.itemsize * 8, _COLOURS[channels], 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_packed(*part) for part in parts)


def text_chunk(keyword: str, text: str) -> Chunk:
    """A `tEXt` chunk; letters beyond Latin-1 become question marks."""
    return b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1", "replace")


def kept_chunks(path: Path, head: bytes = b"") -> tuple[Chunk, ...]:
    """The chunks of a PNG that say how its numbers are shown: colour profile, gamma, size of a pixel. No text."""
    return tuple((kind, data) for kind, data in _chunks(path, head) if kind in _KEPT)


def orientation_chunk(orientation: int) -> Chunk:
    """An `eXIf` chunk that says how a viewer turns the image, and nothing else."""
    # One directory of TIFF with one short number: tag 0x0112.
    return b"eXIf", b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def exif_of(path: Path, head: bytes = b"") -> bytes:
    """The EXIF data before the pixels of a PNG; empty if there is none."""
    return next((data for kind, data in _chunks(path, head) if kind == b"eXIf"), b"")


def _packed(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _chunks(path: Path, head: bytes) -> Iterator[Chunk]:
    """Those before the pixels, which describe them. If they are in the first bytes, the file is not opened again."""
    found = list(_walked(io.BytesIO(head)))
    if found and found[-1] is None:
        yield from (chunk for chunk in found if chunk is not None)
        return
    with open(path, "rb") as handle:
        yield from (chunk for chunk in _walked(handle) if chunk is not None)


def _walked(handle: IO[bytes]) -> Iterator[Chunk | None]:
    """The chunks before the pixels, and None when the pixels are reached, or a chunk that is far too large."""
    handle.seek(len(_SIGNATURE))
    while len(prefix := handle.read(8)) == 8:
        length, kind = struct.unpack(">I4s", prefix)
        if kind == b"IDAT" or length > _LARGEST:
            yield None
            return
        yield kind, handle.read(length)
        handle.seek(4, 1)

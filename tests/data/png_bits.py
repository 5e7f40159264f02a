"""Grey PNG of few bits, which Pillow cannot write."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def grey_png(stored: np.ndarray, bits: int) -> bytes:
    """Numbers (H, W) below 2**bits as a grey PNG of that depth."""
    height, width = stored.shape
    flags = ((stored[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(height, width * bits).astype(np.uint8)
    rows = np.packbits(flags, axis=1)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", header)
        + part(b"IDAT", zlib.compress(lines.tobytes()))
        + part(b"IEND", b"")
    )

"""Image files written for the tests, independently of the code that reads them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"


def shared(name: str) -> Path:
    """A folder of the team's real images, or a skip with a reason."""
    if not (SHARED / name).is_dir():
        pytest.skip(f"the real images {name} are not beside this checkout")
    return SHARED / name


def png_bytes(pixels: np.ndarray, *, depth: int, colour: int, row_filter: int = 0, extra: bytes = b"") -> bytes:
    """A PNG of samples (H, W, C), encoded here and not by Pillow, with filter 0 (none), 1 (sub) or 2 (up)."""
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels, dtype=f">u{depth // 8}").view(np.uint8).reshape(height, -1).astype(np.int16)
    step = channels * depth // 8
    before = np.zeros_like(rows)
    if row_filter == 1:
        before[:, step:] = rows[:, :-step]
    if row_filter == 2:
        before[1:] = rows[:-1]
    filtered = ((rows - before) % 256).astype(np.uint8)
    raw = b"".join(bytes([row_filter]) + row.tobytes() for row in filtered)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def noise(*shape: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Random stored values over the whole range."""
    top = int(np.iinfo(dtype).max)
    return np.random.default_rng(seed).integers(0, top, size=shape, dtype=dtype, endpoint=True)


def save(path: Path, pixels: np.ndarray | None = None, **options: object) -> Path:
    """Write a picture with Pillow; 8 x 9 of grey noise by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(8, 9) if pixels is None else pixels).save(path, **options)
    return path

"""What is known of an image before its pixels are read: channels, size and stored type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from palpate.errors import InputError

Array = npt.NDArray[Any]
"""Pixels in stored values."""

MAX_PIXELS = 2**26
"""Images of more pixels (8192 x 8192) are refused before they are decoded: a damaged or hostile header, or a slide."""

_COLOURS = {1: "grey", 3: "RGB"}


@dataclass(frozen=True)
class Form:
    """Shape (C, *spatial) and stored type of one image or volume, known from its header.

    Attributes:
        shape: channels (1 grey, 3 RGB), then height and width in pixels, or the three axes of a volume in voxels.
        dtype: name of the NumPy type that the values are read as, such as `uint8`; `float32` for volumes.
    """

    shape: tuple[int, ...]
    dtype: str

    def describe(self) -> str:
        """In words for messages: `RGB, 224 x 224 (height x width), 8 bit`."""
        channels, *spatial = self.shape
        size = " x ".join(map(str, spatial)) + (" (height x width)" if len(spatial) == 2 else " voxels")
        kind = np.dtype(self.dtype)
        depth = f"{kind.itemsize * 8} bit" if kind.kind == "u" else self.dtype
        return f"{_COLOURS.get(channels, f'{channels} channels')}, {size}, {depth}"


def channels_first(pixels: Array) -> Array:
    """Decoded pixels (H, W) or (H, W, C) as (C, H, W): a copy, because decoders may return read-only arrays."""
    return np.array(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1), order="C")


def bit_range(dtype: npt.DTypeLike) -> tuple[int, int]:
    """Lowest and highest value that an integer type can store: (0, 255) for uint8, (0, 65535) for uint16.

    Raises:
        InputError: the type is not an integer type, so only the user knows the bounds.
    """
    kind = np.dtype(dtype)
    if kind.kind not in "ui":
        raise InputError(
            f"bounds: images of type {kind.name} have no natural bounds. Give the lowest and highest value."
        )
    limits = np.iinfo(kind)
    return int(limits.min), int(limits.max)


def require_size(path: Path, height: int, width: int) -> None:
    """Refuse an image whose header declares no pixels or far too many.

    Raises:
        InputError: the size is zero, or above `MAX_PIXELS`.
    """
    if height < 1 or width < 1:
        raise InputError(f"{path}: its header declares {width} x {height} pixels. Copy the file again from its source.")
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{path}: its header declares {width} x {height} pixels, and palpate reads up to {MAX_PIXELS:,}. "
            "Resize the image, cut it into tiles, or copy it again if this is not its size."
        )

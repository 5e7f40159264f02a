"""Pictures of the page: grey values, and a signed difference in two colours, as PNG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from palpate.audit.work.shading import shades

Array = npt.NDArray[Any]

LARGEST = 2048
"""Longest side of a picture in pixels; larger ones are made smaller."""
SYNTHETIC = "Synthetic: an image altered by palpate to test a model. It shows no patient's finding; not for diagnosis."
COPY = "A copy for display of the image as stored, made by palpate beside altered ones; not for diagnosis."
DIFFERENCE = "The change that palpate made to an image, in colours; not for diagnosis."
_RAISED, _LOWERED, _ZERO = (np.array(one, dtype=np.float64) for one in ((255, 140, 40), (70, 170, 255), (12, 12, 14)))


def grey(plane: Array, window: tuple[float, float], text: str) -> bytes:
    """Stored values (C, H, W) as a PNG: colours, or grey between the two ends of the window."""
    pixels = shades(plane, window)
    return png(pixels if pixels.shape[2] == 3 else pixels[..., 0], text)


def difference(change: Array, scale: float) -> bytes:
    """A signed change (C, H, W) as a PNG: orange where values rose, blue where they fell, black where they stayed.

    Of several channels, the one that changed most in a pixel is shown. `scale` is the change of full colour.
    """
    most = np.abs(change).argmax(axis=0)
    signed = np.take_along_axis(change, most[None], axis=0)[0].astype(np.float64)
    share = np.clip(np.abs(signed) / scale if scale > 0 else np.zeros_like(signed), 0, 1)[..., None]
    towards = np.where(signed[..., None] > 0, _RAISED, _LOWERED)
    return png(np.rint(_ZERO + (towards - _ZERO) * share).astype(np.uint8), DIFFERENCE)


def png(pixels: Array, text: str) -> bytes:
    """8-bit pixels (H, W) or (H, W, 3) as a PNG that says what it is."""
    picture = Image.fromarray(pixels)
    if max(picture.size) > LARGEST:
        picture.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    note = PngInfo()
    note.add_text("Description", text)
    note.add_text("Software", "palpate")
    sink = io.BytesIO()
    picture.save(sink, "PNG", pnginfo=note, compress_level=3)
    return sink.getvalue()

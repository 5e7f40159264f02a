"""TIFF files, read by tifffile; the compressions that it leaves to an extra package are read by Pillow.

Which of the two reads a file depends on the file alone, never on what else is installed, so that an image is the
same on every machine.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from palpate.data.forms import Array, Form, channels_first, require_size
from palpate.errors import InputError

_BY_TIFFFILE = (1, 8, 32773, 32946)  # none, deflate (both numbers), PackBits
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_ALPHA = (1, 2)
_PILLOW_MODES = {("uint8", 1): ("L",), ("uint16", 1): ("I;16", "I;16L", "I;16B"), ("uint8", 3): ("RGB", "P")}


def read_tiff(path: Path) -> Array:
    """The pixels (C, H, W) of a one-page TIFF in stored values.

    Raises:
        InputError: as `palpate.data.images.read_image`.
        Exception: whatever the decoder makes of a damaged file; the caller turns it into a sentence.
    """
    with _only_page(path) as page:
        form = _form(path, page)
        _require_whole(path, page)
        if int(page.compression) in _BY_TIFFFILE and int(page.photometric) != _PALETTE:
            return _by_tifffile(path, page)
        return _by_pillow(path, page, form)


def tiff_form(path: Path) -> Form:
    """Shape and stored type from the tags."""
    with _only_page(path) as page:
        return _form(path, page)


@contextmanager
def _only_page(path: Path) -> Iterator[Any]:
    # tifffile logs what it finds odd; whatever matters here is raised.
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            # A stack may be kept behind a single page (ImageJ does so): only the series know how large it is.
            held = sum(series.size for series in file.series)
            count = max(len(file.pages), held // max(1, file.pages[0].size))
            if count != 1:
                raise InputError(
                    f"{path} holds {count} pages, and palpate reads one image a file. Save each as a file."
                )
            yield file.pages[0]
    finally:
        logger.setLevel(level)


def _form(path: Path, page: Any) -> Form:
    require_size(path, page.imagelength, page.imagewidth)
    if page.imagedepth != 1:
        raise InputError(f"{path} is a volume of {page.imagedepth} slices. Save each slice as an image.")
    photometric = int(page.photometric)
    if photometric == _WHITE_IS_ZERO:
        raise InputError(
            f"{path} stores white as 0, which readers invert or not. Save it with black as 0 (MINISBLACK)."
        )
    channels = {_BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 3, _YCBCR: 3}.get(photometric)
    if channels is None or (photometric == _YCBCR and int(page.compression) in _BY_TIFFFILE):
        raise InputError(f"{path} stores {page.photometric.name} colours. Save it as grey or RGB.")
    if photometric == _PALETTE:
        return Form((3, page.imagelength, page.imagewidth), "uint8")
    kind = page.dtype.name if page.dtype is not None else "unknown"
    if kind not in ("uint8", "uint16") or page.bitspersample not in (8, 16):
        raise InputError(
            f"{path} stores {page.bitspersample}-bit values of type {kind}; palpate reads 8 and 16 bit without sign. "
            "Save it as one of these, or as a NumPy archive."
        )
    extra = tuple(int(sample) for sample in page.extrasamples)
    if page.samplesperpixel - len(extra) != channels or len(extra) > 1 or any(s not in _ALPHA for s in extra):
        raise InputError(
            f"{path} stores {page.samplesperpixel} samples a pixel that are not grey or RGB. Save it as such."
        )
    return Form((channels, page.imagelength, page.imagewidth), kind)


def _require_whole(path: Path, page: Any) -> None:
    # Missing strips would come back as zeros: a black part of an image is not an image.
    end = path.stat().st_size
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not parts or any(count == 0 or offset + count > end for offset, count in parts):
        raise InputError(f"{path} is truncated: parts of its pixels are missing. Copy it again from its source.")


def _by_tifffile(path: Path, page: Any) -> Array:
    pixels = np.asarray(page.asarray())
    if page.axes == "SYX":
        pixels = pixels.transpose(1, 2, 0)
    elif page.axes not in ("YX", "YXS"):
        raise InputError(f"{path} has axes {page.axes}, and palpate reads one image of height and width.")
    return _without_alpha(path, channels_first(pixels), len(page.extrasamples))


def _without_alpha(path: Path, pixels: Array, extra: int) -> Array:
    colours = len(pixels) - extra
    if extra and (pixels[colours:] != np.iinfo(pixels.dtype).max).any():
        raise InputError(
            f"{path} has transparent pixels, and what the model sees behind them is not stored. Save it without alpha."
        )
    return pixels[:colours]


def _by_pillow(path: Path, page: Any, form: Form) -> Array:
    with Image.open(path, formats=["TIFF"]) as image:
        turned = image.getexif().get(0x0112, 1) != 1  # Pillow would apply the orientation of a TIFF, and only of a TIFF
        if turned or page.extrasamples or image.mode not in _PILLOW_MODES.get((form.dtype, form.shape[0]), ()):
            raise InputError(
                f"{path} is a {form.words()} TIFF with {page.compression.name} compression, which palpate cannot read "
                "exactly. Save it without compression or with deflate (zip)."
            )
        return channels_first(np.asarray(image.convert("RGB") if image.mode == "P" else image))

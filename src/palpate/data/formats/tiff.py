"""TIFF files, read by tifffile; Pillow reads the compressions for which tifffile needs an extra package.

Which of the two reads a file depends only on the file, never on what else is installed, so an image is the same on
every machine.
"""

from __future__ import annotations

import io
import logging
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from PIL import Image

from palpate.data.formats.forms import MAX_PIXELS, Array, Form, channels_first, require_size
from palpate.errors import InputError

_BY_TIFFFILE = (1, 8, 32773, 32946)  # none, deflate (both numbers), PackBits
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_ALPHA = (1, 2)
_COPIED = ("Orientation", "ResolutionUnit", "InterColorProfile", "XResolution", "YResolution")
_TYPES = ("uint8", "uint16", "int16", "float32")
_PILLOW_MODES = {("uint8", 1): ("L",), ("uint16", 1): ("I;16", "I;16L", "I;16B"), ("uint8", 3): ("RGB", "P")}


def read_tiff(path: Path, data: bytes = b"") -> Array:
    """The pixels (C, H, W) of a one-page TIFF in stored values.

    Args:
        path: the file, which messages name.
        data: all its bytes, if they are known already.

    Raises:
        InputError: as in `palpate.data.formats.images.read_image`.
        Exception: any error of the decoder on a damaged file; the caller turns it into a sentence.
    """
    with _only_page(path, data) as page:
        form = _form(path, page)
        _require_whole(path, page)
        _require_bounded(path, page)
        if int(page.compression) in _BY_TIFFFILE and int(page.photometric) != _PALETTE:
            return _finite(path, _by_tifffile(path, page))
        return _by_pillow(path, data, page, form)


def tiff_form(path: Path) -> Form:
    """Shape and stored type from the tags."""
    with _only_page(path) as page:
        return _form(path, page)


def tiff_mask_size(path: Path) -> tuple[int, int]:
    """Height and width of a mask, of any stored type."""
    with _only_page(path) as page:
        require_size(path, page.imagelength, page.imagewidth)
        return int(page.imagelength), int(page.imagewidth)


def read_tiff_mask(path: Path) -> tuple[Array | None, int]:
    """The samples (C, H, W) of a one-page mask, and its bits per sample; no samples if Pillow must read it.

    Raises:
        InputError: parts are missing, or its numbers have no meaning as labels.
        Exception: any error of the decoder on a damaged file; the caller turns it into a sentence.
    """
    with _only_page(path) as page:
        require_size(path, page.imagelength, page.imagewidth)
        _require_whole(path, page)
        bits, kind = int(page.bitspersample), page.dtype.kind if page.dtype is not None else "?"
        if page.imagedepth != 1 or kind not in "biuf":
            raise InputError(f"{path} is not a mask of one plane of numbers. Save it as grey PNG or TIFF.")
        if int(page.photometric) == _WHITE_IS_ZERO and bits > 1:
            raise InputError(f"{path} stores white as 0, which some readers invert. Save it with black as 0.")
        if bits < 8 or int(page.photometric) not in (_BLACK_IS_ZERO, _RGB) or int(page.compression) not in _BY_TIFFFILE:
            return None, bits
        _require_bounded(path, page)
        return _by_tifffile(path, page), bits


@dataclass(frozen=True)
class TiffTags:
    """What a copy of a TIFF keeps in addition to its pixels.

    Attributes:
        byteorder: `<` or `>`.
        compressed: whether its pixels are packed in any way.
        orientation: 1 to 8, the value of the tag; palpate does not apply it.
        resolution: pixels per unit along columns and rows; None if the file does not say.
        unit: 1 none, 2 inch, 3 centimetre.
        profile: ICC profile of the colours, or None.
    """

    byteorder: Literal["<", ">"]
    compressed: bool
    orientation: int
    resolution: tuple[float, float] | None
    unit: int
    profile: bytes | None


def tiff_tags(path: Path) -> TiffTags:
    """The tags of a one-page TIFF that a copy keeps."""
    with _only_page(path) as page:
        tags = {name: page.tags[name].value for name in _COPIED if name in page.tags}
        profile = tags.get("InterColorProfile")
        return TiffTags(
            page.parent.byteorder,
            int(page.compression) != 1,
            next((turn for turn in range(1, 9) if tags.get("Orientation") == turn), 1),
            _resolution(tags.get("XResolution"), tags.get("YResolution")),
            next((unit for unit in (1, 2, 3) if tags.get("ResolutionUnit") == unit), 2),
            profile if isinstance(profile, bytes) else None,
        )


def _resolution(*fractions: Any) -> tuple[float, float] | None:
    if any(not isinstance(pair, tuple) or len(pair) != 2 or 0 in pair for pair in fractions):
        return None
    (first, second) = (above / below for above, below in fractions)
    return first, second


@contextmanager
def _only_page(path: Path, data: bytes = b"") -> Iterator[Any]:
    # tifffile logs minor problems; those that matter here are raised. A changed level would clear what all loggers
    # remember, for every page.
    logger = logging.getLogger("tifffile")
    silent, logger.disabled = logger.disabled, True
    try:
        # A description in OME-XML may name more files, which are not part of this image.
        with tifffile.TiffFile(io.BytesIO(data) if data else path, is_ome=False) as file:
            count = len(file.pages)  # first, because tifffile never ends on pages that name one another
            if count == 1:
                # A stack may follow a single page (as in ImageJ): only the series show its size.
                held = sum(series.size for series in file.series)
                count = max(1, held // max(1, file.pages[0].size))
            if count != 1:
                raise InputError(
                    f"{path} holds {count} pages, and palpate reads one image per file. Save each as a file."
                )
            yield file.pages[0]
    finally:
        logger.disabled = silent


def _form(path: Path, page: Any) -> Form:
    require_size(path, page.imagelength, page.imagewidth)
    if page.imagedepth != 1:
        raise InputError(f"{path} is a volume of {page.imagedepth} slices. Save each slice as an image.")
    photometric = int(page.photometric)
    if photometric == _WHITE_IS_ZERO:
        raise InputError(f"{path} stores white as 0, which some readers invert. Save it with black as 0 (MINISBLACK).")
    channels = {_BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 3, _YCBCR: 3}.get(photometric)
    if channels is None or (photometric == _YCBCR and int(page.compression) in _BY_TIFFFILE):
        raise InputError(f"{path} stores {page.photometric.name} colours. Save it as grey or RGB.")
    if photometric == _PALETTE:
        return Form((3, page.imagelength, page.imagewidth), "uint8")
    kind = page.dtype.name if page.dtype is not None else "unknown"
    if page.bitspersample < 8:
        raise InputError(f"{path} stores {page.bitspersample} bit, which some readers scale. Save it as 8 bit grey.")
    if kind not in _TYPES or page.bitspersample not in (8, 16, 32):
        raise InputError(
            f"{path} stores {page.bitspersample}-bit values of type {kind}; palpate reads TIFF of {', '.join(_TYPES)}. "
            "Save it as one of these; float32 is exact for all numbers except those of 32 and 64 bits."
        )
    if kind not in ("uint8", "uint16") and int(page.compression) not in _BY_TIFFFILE:
        raise InputError(
            f"{path} stores {kind} with {page.compression.name} compression, which palpate cannot read exactly. "
            "Save it without compression or with deflate (zip)."
        )
    extra = tuple(int(sample) for sample in page.extrasamples)
    if page.samplesperpixel - len(extra) != channels or len(extra) > 1 or any(s not in _ALPHA for s in extra):
        raise InputError(
            f"{path} stores {page.samplesperpixel} samples per pixel that are not grey or RGB. Save it as grey or RGB."
        )
    return Form((channels, page.imagelength, page.imagewidth), kind)


def _require_whole(path: Path, page: Any) -> None:
    # Missing strips would be read as zeros, a black part of the image.
    end = page.parent.filehandle.size
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not parts or any(count == 0 or offset + count > end for offset, count in parts):
        raise InputError(f"{path} is truncated: parts of its pixels are missing. Copy it again from its source.")


def _require_bounded(path: Path, page: Any) -> None:
    # The decoders keep a whole strip or tile in memory, of any declared or unpacked size.
    numbers = math.prod(page.chunks)
    if not 0 < numbers <= MAX_PIXELS * 4:
        raise InputError(f"{path} is cut into tiles of {numbers:,} numbers. Save it again in strips.")
    if int(page.compression) not in _UNPACKED_BY:
        return
    size = numbers * page.dtype.itemsize
    handle = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        handle.seek(offset)
        if _UNPACKED_BY[int(page.compression)](handle.read(count), size) > size:
            raise InputError(
                f"{path} unpacks to more than the {size:,} bytes that a part of it may have. Copy it again."
            )


def _inflated_length(packed: bytes, limit: int) -> int:
    return len(zlib.decompressobj().decompress(packed, limit + 1))


def _packbits_length(packed: bytes, limit: int) -> int:
    place = length = 0
    while place < len(packed) and length <= limit:
        code = packed[place]  # below 128: code + 1 bytes follow; above: the next byte is repeated
        length += code + 1 if code < 128 else 257 - code if code > 128 else 0
        place += code + 2 if code < 128 else 2 if code > 128 else 1
    return length


_UNPACKED_BY = {8: _inflated_length, 32946: _inflated_length, 32773: _packbits_length}


def _by_tifffile(path: Path, page: Any) -> Array:
    pixels = np.asarray(page.asarray())
    if page.axes == "SYX":
        pixels = pixels.transpose(1, 2, 0)
    elif page.axes not in ("YX", "YXS"):
        raise InputError(f"{path} has axes {page.axes}, and palpate reads one image of height and width.")
    return _without_alpha(path, channels_first(pixels), len(page.extrasamples))


def _without_alpha(path: Path, pixels: Array, extra: int) -> Array:
    colours = len(pixels) - extra
    opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1
    if extra and (pixels[colours:] != opaque).any():
        raise InputError(
            f"{path} has transparent pixels, and what the model sees behind them is not stored. Save it without alpha."
        )
    return pixels[:colours]


def _finite(path: Path, pixels: Array) -> Array:
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        count = int((~np.isfinite(pixels)).sum())
        raise InputError(f"{path} holds NaN or infinity in {count} pixels. Replace them with numbers.")
    return pixels.astype(pixels.dtype.newbyteorder("="))


def _by_pillow(path: Path, data: bytes, page: Any, form: Form) -> Array:
    with Image.open(io.BytesIO(data) if data else path, formats=["TIFF"]) as image:
        turned = image.getexif().get(0x0112, 1) != 1  # Pillow applies the orientation of TIFF only
        if turned or page.extrasamples or image.mode not in _PILLOW_MODES.get((form.dtype, form.shape[0]), ()):
            raise InputError(
                f"{path} is a {form.describe()} TIFF with {page.compression.name} compression, which palpate cannot "
                "read exactly. Save it without compression or with deflate (zip)."
            )
        return channels_first(np.asarray(image.convert("RGB") if image.mode == "P" else image))

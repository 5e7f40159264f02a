"""Pixels of a DICOM file: pydicom's decoders with a bound, colours as RGB, and a message for a missing decoder.

Memory: the stored pixels (at most `MAX_SURPLUS` beyond twice the declared ones), and the declared pixels up to three
times, once more in float64 if YBR is converted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from palpate.data.formats.forms import Array
from palpate.data.formats.scan import Header
from palpate.errors import InputError

GREY, PALETTE, COLOUR = "grey", "palette", "colour"

_PHOTOMETRIC = {
    "MONOCHROME1": GREY,
    "MONOCHROME2": GREY,
    "PALETTE COLOR": PALETTE,
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"), COLOUR),
}
_UNREAD = ("HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB")
_JPEG2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", *(f"1.2.840.10008.1.2.4.20{n}" for n in (1, 2, 3)))
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_RLE = "1.2.840.10008.1.2.5"
_SLACK = 2**16
_MAX_RLE = 2**30


_PALETTES = tuple(
    f"{prefix}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for prefix, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
)
PIXEL_TAGS: tuple[str | int, ...] = (
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData", *_PALETTES),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *(group << 16 | element for group in range(0x6000, 0x6020, 2) for element in (0x0102, 0x3000)),
)
"""The attributes that decoding needs."""


def require_photometric(path: Path, dataset: Any) -> str:
    """`GREY`, `PALETTE` or `COLOUR`.

    Raises:
        InputError: the file stores colours of another kind, or their number of samples does not fit.
    """
    written = str(dataset.get("PhotometricInterpretation") or "")
    kind = _PHOTOMETRIC.get(written)
    if kind is None:
        what = written if written in _UNREAD else "unnamed"
        raise InputError(
            f"{path} stores {what} colours, and palpate reads MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB and YBR. "
            "Convert it to RGB."
        )
    if dataset.get("SamplesPerPixel", 1) != (3 if kind == COLOUR else 1):
        raise InputError(f"{path} stores another number of samples per pixel than {written} has. Correct the file.")
    return kind


def require_decoder(path: Path, dataset: Any) -> None:
    """Refuse a file whose pixels no installed decoder reads.

    Raises:
        InputError: it names the transfer syntax and what to install.
    """
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise InputError(f"{path} does not name its transfer syntax. Copy it again from its source.")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        # A name that DICOM does not define is a text of the file, and no message repeats those.
        what = syntax.name if syntax.name != str(syntax) else "an unknown transfer syntax"
        raise InputError(
            f"{path} is stored as {what}, which palpate does not read. Convert it to Explicit VR Little Endian."
        ) from error
    # Pillow decodes the extended process up to 8 bits only, but pydicom counts it as a decoder for all.
    extended = syntax == _JPEG_EXTENDED and dataset.get("BitsStored") != 8
    if decoder.is_native or set(decoder.available_plugins) - ({"pillow"} if extended else set()):
        return
    if syntax in _JPEG2000:
        fix = "pip install 'palpate[jpeg2000]'"
    else:
        fix = "pip install pyjpegls" if syntax in _JPEG_LS else "pip install python-gdcm"
    raise InputError(f"{path} is stored as {syntax.name}, and no decoder for it is installed. Install one: {fix}")


def decoded(path: Path, dataset: Any, header: Header, order: tuple[int, ...]) -> Array:
    """Stored numbers (C, *spatial) of a whole dataset: colours as RGB, frames in the order of the volume.

    Raises:
        InputError: an encoded frame is larger than its header says, or pixels exceed the bits stored.
    """
    from pydicom.pixels.processing import apply_color_lut

    kind = require_photometric(path, dataset)
    pixels = bounded_pixels(path, dataset, masked=kind == GREY and _embedded_overlays(dataset))
    if kind == PALETTE:
        pixels = apply_color_lut(pixels, dataset)
    pixels = pixels.reshape(-1, *pixels.shape[-(2 if kind == GREY else 3) :])
    if kind == GREY:
        stored = pixels[None] if len(header.shape) == 4 else pixels
    else:
        stored = pixels.transpose(3, 0, 1, 2) if len(header.shape) == 4 else pixels[0].transpose(2, 0, 1)
    if order != tuple(range(len(order))):
        stored = stored[:, list(order)]
    stored = np.array(stored, dtype=stored.dtype.newbyteorder("="), order="C", copy=True)
    _require_fit(path, stored, header)
    return stored


def bounded_pixels(path: Path, dataset: Any, masked: bool = False) -> Array:
    """The pixels of a whole dataset as pydicom returns them.

    Args:
        path: the file, for messages.
        dataset: with its pixels.
        masked: set the bits above those stored to zero, or to the sign.

    Raises:
        InputError: an encoded frame is larger than the header says.
    """
    from pydicom.pixels.utils import pixel_array

    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _require_bounded(path, dataset)
    return pixel_array(dataset, allow_excess_frames=False, correct_unused_bits=masked)


def _require_fit(path: Path, stored: Array, header: Header) -> None:
    if stored.shape != header.shape or stored.dtype.name != header.dtype:
        raise InputError(
            f"{path}: its pixels are {stored.dtype.name} of {stored.shape}, and its header says {header.dtype} of "
            f"{header.shape}. Copy the file again from its source."
        )
    low, high = header.lattice or (0, 0)
    if stored.min() < low or stored.max() > high:
        raise InputError(
            f"{path} stores numbers from {stored.min()} to {stored.max()}, and its bits stored allow {low} to {high}: "
            "readers disagree on such pixels. Correct BitsStored in the file."
        )


def _embedded_overlays(dataset: Any) -> bool:
    # Old files keep an overlay in the unused high bits of the pixels; only then readers must mask them.
    for group in range(0x6000, 0x6020, 2):
        position = dataset.get((group, 0x0102))
        if position is not None and position.value and (group, 0x3000) not in dataset:
            return True
    return False


def _require_bounded(path: Path, dataset: Any) -> None:
    # The codestream, not the header, decides the size of a decoded frame: a few KB may declare gigabytes.
    from pydicom.encaps import generate_frames

    syntax, rows, columns = dataset.file_meta.TransferSyntaxUID, int(dataset.Rows), int(dataset.Columns)
    frames = int(dataset.get("NumberOfFrames") or 1)
    for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
        if syntax == _RLE:
            raw = rows * columns * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated) // 8
            good = len(frame) <= 2 * raw + _SLACK and len(frame) * 64 <= max(_MAX_RLE, 64 * raw)
        else:
            good = _codestream_size(frame) == (rows, columns)
        if not good:
            raise InputError(
                f"{path}: an encoded frame has another size than {rows} x {columns}, which the header declares. "
                "Copy the file again from its source."
            )


def _codestream_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 codestream declares."""
    start = frame[:4096].find(b"\xff\x4f\xff\x51")
    if start >= 0:
        siz = [int.from_bytes(frame[at : at + 4], "big") for at in range(start + 8, start + 24, 4)]
        return siz[1] - siz[3], siz[0] - siz[2]
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return int.from_bytes(frame[at + 5 : at + 7], "big"), int.from_bytes(frame[at + 7 : at + 9], "big")
        at += 1 if marker == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None

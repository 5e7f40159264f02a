"""Images as they are stored: PNG, JPEG, TIFF, BMP, GIF and WebP, grey and RGB. Never rescaled, never truncated.

The first bytes of a file decide its format, not its name. Stored order is kept: an EXIF orientation is not applied
here, because a deployed network sees the pixels in the order in which its own reader returns them. A plan can apply it
(`data.orientation`). Colour profiles and gamma are not applied either.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import numpy as np
from PIL import Image, ImageFile

from palpate.data.formats.forms import Array, Form, bit_range, channels_first, require_size
from palpate.data.formats.orientation import TAG, UPRIGHT
from palpate.data.formats.png import exif_of
from palpate.data.formats.tiff import read_tiff, tiff_form, tiff_tags
from palpate.errors import InputError

__all__ = ["SUFFIXES", "bit_range", "first_bytes", "kind_of", "looks_like", "read_form", "read_image"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Endings of files that count as images when a folder is searched."""

Kind = Literal["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"]
"""Formats of plain images."""

HEAD = 1024
"""Number of bytes that are read to find the format of a file."""

MAX_SCANS = 200
"""A progressive JPEG has about ten scans, each of which costs as much time as a whole image."""

_SIGNATURES: dict[bytes, Kind] = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"GIF8": "GIF",
}
_OTHERS = {
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\x1f\x8b": "gzip (NIfTI?)",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}
_PNG_GREY, _PNG_RGB, _PNG_PALETTE, _PNG_GREY_ALPHA, _PNG_RGB_ALPHA = 0, 2, 3, 4, 6


def read_image(path: Path, data: bytes = b"") -> Array:
    """The pixels (C, H, W) of an image file in stored values, uint8 or uint16; C is 1 (grey) or 3 (RGB).

    Palette images become RGB. An alpha channel is left out if every pixel is opaque, because it then has no meaning;
    any transparency is refused, because the values that the model should see behind it are not known.

    Args:
        path: the file, which messages name.
        data: all its bytes, if they are known already; the file is then not opened.

    Raises:
        InputError: the file is missing, empty, truncated or damaged, of another format, too large, has several
            pages or frames, is transparent, or stores what cannot be read without changing its values.
    """
    kind, head = _recognise(path, data[:HEAD])
    with one_sentence(path):
        if kind == "TIFF":
            return read_tiff(path, data)
        with io.BytesIO(data) if data else open(path, "rb") as handle:
            if kind == "PNG":
                return channels_first(_read_png(path, handle, head))
            return channels_first(_read_jpeg(path, handle) if kind == "JPEG" else _read_plain(path, handle, kind))


def read_form(path: Path, head: bytes = b"") -> Form:
    """Shape and stored type of an image file from its header, without decoding its pixels.

    Args:
        path: the file.
        head: its first bytes, if they are known already.

    Raises:
        InputError: as in `read_image`, as far as the header shows it.
    """
    kind, head = _recognise(path, head)
    with one_sentence(path):
        if kind == "TIFF":
            return tiff_form(path)
        if kind == "PNG":
            return _png_form(path, head)
        with open(path, "rb") as handle, opened(path, handle, kind) as image:
            return _jpeg_form(path, image) if kind == "JPEG" else _plain_form(path, image)


def first_bytes(path: Path) -> bytes:
    """The first `HEAD` bytes of a file, which show its format; raises InputError as `all_bytes`."""
    return _bytes(path, HEAD)


def all_bytes(path: Path) -> bytes:
    """The contents of a file.

    Raises:
        InputError: it does not exist, cannot be opened, is empty, or is a pipe or a device, which may never end.
    """
    return _bytes(path, -1)


def _bytes(path: Path, count: int) -> bytes:
    try:
        kind = os.stat(path).st_mode
        endless = not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
        if not endless:
            with open(path, "rb") as handle:
                found = handle.read(count)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Correct its name in the table, or put the file there.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be opened: {reason}. Give a readable image file.") from error
    if endless:
        raise InputError(f"{path} is a pipe or a device. Give an image file.")
    if not found:
        raise InputError(f"{path} is empty (0 bytes). Copy it again from its source, or take it out of the table.")
    return found


def kind_of(head: bytes) -> Kind | None:
    """The format by the first bytes of a file; None for anything that is not a plain image."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)


def orientation_of(path: Path, head: bytes = b"") -> int:
    """How a viewer turns an image, 1 to 8 as in EXIF; 1 if the file does not say, or if its value is not valid."""
    kind, head = _recognise(path, head)
    try:
        if kind == "TIFF":
            return tiff_tags(path).orientation
        exif = Image.Exif()
        if kind == "PNG":
            if not (found := exif_of(path, head)):
                return UPRIGHT
            exif.load(found)
        else:
            with open(path, "rb") as handle, opened(path, handle, kind) as image:
                exif = image.getexif()
        turn = exif.get(TAG, UPRIGHT)
    except Exception:  # reading the pixels reports their errors; invalid EXIF is not a reason to refuse them
        return UPRIGHT
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else UPRIGHT


def is_jpeg(path: Path) -> bool:
    """Whether a file is JPEG by its first bytes, for any name."""
    if not path.is_file():
        return False
    with open(path, "rb") as handle:
        return kind_of(handle.read(HEAD)) == "JPEG"


def looks_like(head: bytes) -> str:
    """What a file that palpate does not read seems to be: the end of a sentence."""
    other = "DICOM" if head[128:132] == b"DICM" else next((n for s, n in _OTHERS.items() if head.startswith(s)), None)
    return f"looks like {other}" if other else "is not an image that palpate knows"


def _recognise(path: Path, head: bytes) -> tuple[Kind, bytes]:
    head = head or first_bytes(path)
    if kind := kind_of(head):
        return kind, head
    raise InputError(
        f"{path} {looks_like(head)}; palpate reads PNG, JPEG, TIFF, BMP, GIF and WebP. Save it as PNG, or take it out "
        "of the table."
    )


@contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Turn any error of a decoder on a damaged file into one InputError that names the file."""
    # Decoders fail in many ways (OSError, SyntaxError, struct.error, zlib.error, IndexError ...): all mean the same.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders also warn about what they raise
            yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{path} is truncated or damaged ({reason}). Copy it again from its source, or take it out of the table."
        ) from error


@contextmanager
def opened(path: Path, handle: IO[bytes], kind: str) -> Iterator[Image.Image]:
    """An image that Pillow has opened strictly, its size checked; raises InputError if it is far too large."""
    # Other libraries switch this on for the whole process; it then fills missing parts with grey without an error.
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            handle.seek(0)
            image = Image.open(handle, formats=[kind])
        with image:
            require_size(path, image.height, image.width)
            yield image
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path}: its header declares too many pixels ({error}). Resize it or copy it again."
        ) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _png_form(path: Path, head: bytes) -> Form:
    width, height, depth, colour = struct.unpack_from(">IIBB", head, 16)
    require_size(path, height, width)
    if depth < 8 and colour == _PNG_GREY:
        raise InputError(
            f"{path} stores {depth}-bit grey, which readers rescale to 8 bit in different ways. "
            "Save it with 8 or 16 bit."
        )
    if depth == 16 and colour in (_PNG_GREY_ALPHA, _PNG_RGB_ALPHA):
        raise InputError(f"{path} stores 16 bit with an alpha channel. Save it without alpha.")
    channels = 1 if colour in (_PNG_GREY, _PNG_GREY_ALPHA) else 3
    return Form((channels, height, width), "uint16" if depth == 16 else "uint8")


def _read_png(path: Path, handle: IO[bytes], head: bytes) -> Array:
    form = _png_form(path, head)
    with opened(path, handle, "PNG") as image:
        if getattr(image, "n_frames", 1) > 1:
            raise InputError(f"{path} is an animation of {image.n_frames} frames. Save each frame as an image.")  # type: ignore[attr-defined]
        if form.dtype == "uint8":
            return np.asarray(_without_alpha(path, image))
        if "transparency" in image.info:
            raise InputError(f"{path} stores 16 bit with a transparent colour. Save it without transparency.")
        if form.shape[0] == 1:
            return np.asarray(image).astype(np.uint16)
    return _read_png_48(path, handle)


def _read_png_48(path: Path, handle: IO[bytes]) -> Array:
    # Pillow has no mode for 48-bit colour: it keeps the high bytes and drops the low ones without a warning. If the
    # samples are declared as little-endian, which they are not, it keeps the low bytes; both together are exact.
    halves = []
    for raw_mode in ("RGB;16B", "RGB;16L"):
        with opened(path, handle, "PNG") as image:
            (tile,) = image.tile  # type: ignore[attr-defined]
            if image.mode != "RGB" or tile[3] != "RGB;16B":
                raise InputError(
                    f"{path} is a 16-bit RGB PNG, and palpate does not know how the installed Pillow reads it. "
                    "Save it as a 16-bit TIFF."
                )
            image.tile = [(*tile[:3], raw_mode)]  # type: ignore[attr-defined]
            halves.append(np.asarray(image).astype(np.uint16))
    high, low = halves
    return high << 8 | low


def _jpeg_form(path: Path, image: Image.Image) -> Form:
    if image.mode not in ("L", "RGB"):
        raise InputError(f"{path} is a JPEG with {image.mode} colours. Save it as grey or RGB.")
    return Form((1 if image.mode == "L" else 3, image.height, image.width), "uint8")


def _read_jpeg(path: Path, handle: IO[bytes]) -> Array:
    scans = _scans(handle)
    if scans > MAX_SCANS:
        raise InputError(f"{path} has {scans} scans, which take too long to decode. Save it as a plain JPEG.")
    with opened(path, handle, "JPEG") as image:
        _jpeg_form(path, image)
        return np.asarray(image)


def _plain_form(path: Path, image: Image.Image) -> Form:
    if getattr(image, "n_frames", 1) > 1:
        raise InputError(f"{path} is an animation of {image.n_frames} frames. Save each frame as an image.")  # type: ignore[attr-defined]
    if image.mode == "1":
        raise InputError(f"{path} stores 1 bit, which readers take for 1 or for 255. Save it as PNG with 8 bit.")
    return Form((1 if image.mode in ("L", "LA") else 3, image.height, image.width), "uint8")


def _read_plain(path: Path, handle: IO[bytes], kind: str) -> Array:
    require_end(path, handle, kind)
    with opened(path, handle, kind) as image:
        _plain_form(path, image)
        return np.asarray(_without_alpha(path, image))


def require_end(path: Path, handle: IO[bytes], kind: str) -> None:
    """Refuse a truncated WebP, because its decoder fills the missing part; raises InputError."""
    handle.seek(0)
    head = handle.read(8)
    if kind == "WEBP" and int.from_bytes(head[4:8], "little") + 8 > handle.seek(0, io.SEEK_END):
        raise InputError(f"{path} is truncated: its end is missing. Copy it again from its source.")


def _scans(handle: IO[bytes]) -> int:
    # Inside compressed data 0xFF is never followed by a marker's code, so counting needs no parser.
    handle.seek(0)
    return handle.read().count(b"\xff\xda")


def _without_alpha(path: Path, image: Image.Image) -> Image.Image:
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise InputError(
            f"{path} has transparent pixels, and what the model sees behind them is not stored. Save it without alpha."
        )
    wanted = "L" if image.mode in ("L", "LA") else "RGB"
    image.load()  # a decoder may change the mode
    return image if image.mode == wanted else image.convert(wanted)

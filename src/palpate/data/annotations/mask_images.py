"""Masks as image files: the number of each pixel, in every format that Pillow or tifffile reads.

A mask is never written back, so more formats are read than for images. What counts as the stored number:

- grey of any depth: the sample itself, also of 2 and 4 bit;
- one bit: present or absent, for any names of the two;
- a palette: its index (Pascal VOC, labelme); if the whole palette is grey, as some programs save grey images, the
grey level;
- three equal channels: that number; colours: 0xRRGGBB, so that a plan may have values = [0xff0000, 0x00ff00].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from palpate.data.cases import listed
from palpate.data.formats.forms import Array
from palpate.data.formats.images import first_bytes, kind_of, one_sentence, opened, read_image, require_end
from palpate.data.formats.tiff import read_tiff_mask, tiff_mask_size
from palpate.errors import InputError

COLOURS = 2**16
"""Stored values from here are colours, 0xRRGGBB: grey values are smaller."""

_ORIENTATION = 0x0112
_MOST_COLOURS = 24
_COLOUR_STEP = 40
_OTHERS = {b"P4": "PPM", b"P5": "PPM", b"P6": "PPM"}


def is_mask_image(path: Path) -> bool:
    """Whether a file is an image from which masks are read here; volumes and DICOM have other readers.

    Raises:
        InputError: it cannot be opened, or is empty.
    """
    return not path.is_dir() and _kind(first_bytes(path)) is not None


def mask_size(path: Path) -> tuple[int, int]:
    """Height and width, from the header; raises InputError if it cannot be read."""
    kind = _kind(first_bytes(path))
    with one_sentence(path):
        if kind == "TIFF":
            return tiff_mask_size(path)
        with open(path, "rb") as handle, opened(path, handle, str(kind)) as image:
            return image.height, image.width


def read_mask_image(path: Path, *, coloured: bool = False, lossy: bool = False) -> Array:
    """The stored numbers (H, W) of a mask; bool if it has one bit.

    Args:
        path: the file.
        coloured: numbers of RGB files are 0xRRGGBB even if all pixels are grey.
        lossy: RGB files whose channels are nearly equal, as after JPEG, count as grey.

    Raises:
        InputError: the file is damaged, has several frames, has transparent pixels that are not black, or is in
            colour although no colours are expected.
    """
    head = first_bytes(path)
    kind = _kind(head)
    with one_sentence(path):
        samples, depth = read_tiff_mask(path) if kind == "TIFF" else (None, _depth(kind, head))
        if samples is not None:
            return _grey(path, samples, None, coloured, lossy)
        if kind == "PNG" and head[24] == 16:
            return _grey(path, read_image(path), None, coloured, lossy)
        with open(path, "rb") as handle:
            require_end(path, handle, str(kind))
        with open(path, "rb") as handle, opened(path, handle, str(kind)) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise InputError(f"{path} is an animation. Save each of its frames as a mask.")
            if kind == "TIFF" and image.getexif().get(_ORIENTATION, 1) != 1:
                raise InputError(f"{path} has an orientation tag that turns it. Save it without an orientation.")
            samples, palette = pillow_samples(path, image)
            if depth in (2, 4) and palette is None and samples.dtype != bool:
                samples = samples // (255 // (2**depth - 1))  # Pillow scales them to 8 bit
            return _grey(path, samples, palette, coloured, lossy)


def pillow_samples(path: Path, image: Image.Image) -> tuple[Array, Array | None]:
    """The samples (C, H, W) of an image that Pillow opened, and its palette (N, 3); transparency is checked.

    Raises:
        InputError: the image has colours of another kind, or transparent pixels that are not black.
    """
    if image.mode == "P":
        entries = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
        return np.array(image)[None], entries
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        pixels = np.array(image.convert("RGBA")).transpose(2, 0, 1)
        if ((pixels[3] != 255) & (pixels[:3] != 0).any(axis=0)).any() or not np.isin(pixels[3], (0, 255)).all():
            raise InputError(
                f"{path} has transparent pixels that are not black, so their meaning is not clear. Save "
                "the mask without alpha: background 0, each structure by its value."
            )
        return pixels[:3] if image.mode.startswith("RGB") else pixels[:1], None
    if image.mode in ("1", "L", "I;16", "I;16L", "I;16B", "I", "F"):
        return np.array(image)[None], None
    if image.mode == "RGB":
        return np.array(image).transpose(2, 0, 1), None
    raise InputError(f"{path} stores {image.mode} colours. Save the mask as grey, each structure by its value.")


def _kind(head: bytes) -> str | None:
    if kind := kind_of(head):
        return kind
    return next((name for signature, name in _OTHERS.items() if head.startswith(signature)), None)


def _depth(kind: str | None, head: bytes) -> int:
    """Bits per sample of a grey PNG; 8 for depths that Pillow returns as they are stored."""
    return head[24] if kind == "PNG" and head[25] == 0 else 8


def _grey(path: Path, samples: Array, palette: Array | None, coloured: bool, lossy: bool) -> Array:
    """One number per pixel (H, W)."""
    if palette is not None:
        if (palette == palette[:, :1]).all():
            levels = np.zeros(256, dtype=np.uint8)
            levels[: len(palette)] = palette[:, 0]
            samples = levels[samples]
        samples = samples[:1]
    if len(samples) == 1:
        return np.asarray(samples[0])
    if lossy and int((samples.max(axis=0).astype(int) - samples.min(axis=0)).max()) <= _COLOUR_STEP:
        return np.asarray(np.rint(samples.mean(axis=0)).astype(samples.dtype))
    if not coloured and (samples == samples[:1]).all():
        return np.asarray(samples[0])
    if samples.dtype != np.uint8:
        raise InputError(f"{path} stores colours of {samples.dtype}. Save the mask as grey, or with 8 bits per colour.")
    packed = (samples.astype(np.int64) * np.array([65536, 256, 1]).reshape(3, 1, 1)).sum(axis=0)
    if not coloured:
        raise InputError(f"{path} stores colours. {_advice(packed)}")
    return np.asarray(packed)


def _advice(packed: Array) -> str:
    found, counts = np.unique(packed[packed != 0], return_counts=True)
    if len(found) > _MOST_COLOURS:
        return (
            f"It has {len(found)} of them, so it is a picture, or a mask that was scaled or saved as JPEG. Save the "
            "mask as grey PNG, each structure by its value, with background 0."
        )
    order = np.argsort(-counts, kind="stable")
    colours = [f"0x{int(found[place]):06x}" for place in order]
    return (
        "If each colour is a structure on black, write the colours in the order of task.structures: "
        f"data.values = [{listed(colours)}]. Otherwise save the mask as grey, each structure by its value."
    )

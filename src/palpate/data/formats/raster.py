"""PNG, JPEG and TIFF as formats: what they say about an image, and how an altered copy is written.

Copies keep the metadata about how the numbers are shown: bit depth, colour profile, orientation, size of a pixel. They
keep no other metadata, because texts and EXIF tags may name a patient. A comment says what they are.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, JpegImagePlugin

from palpate.data.formats.copies import SOFTWARE, require_fit, require_form
from palpate.data.formats.forms import Array, bit_range
from palpate.data.formats.images import (
    HEAD,
    Kind,
    all_bytes,
    first_bytes,
    kind_of,
    one_sentence,
    opened,
    orientation_of,
    read_form,
    read_image,
)
from palpate.data.formats.orientation import TAG, UPRIGHT
from palpate.data.formats.png import encode_png, kept_chunks, orientation_chunk, text_chunk
from palpate.data.formats.scan import Header, Note, Scan
from palpate.data.formats.tiff import TiffTags, tiff_tags
from palpate.storage.writing import write_atomically


@dataclass(frozen=True)
class Original:
    """A picture of which copies are made in memory: its file is read once for all of them.

    Attributes:
        kind: the format.
        source: the file.
        header: what it says about its image.
        kept: what a copy keeps in addition to its numbers.
    """

    kind: Raster
    source: Path
    header: Header
    kept: Any

    def copy(self, stored: Array, note: Note) -> bytes:
        """The whole file of a marked copy of stored numbers (C, H, W).

        Raises:
            InputError: the numbers do not have the shape and type of the file.
        """
        require_form(self.source, self.header, stored)
        with one_sentence(self.source):
            return self.kind.encoded(self, stored, note)

    def read_back(self, copy: bytes) -> Array:
        """The values that a copy has for its ordinary reader; raises InputError if that refuses it."""
        return self.header.values(read_image(self.source, copy))


@dataclass(frozen=True)
class Raster(ABC):
    """What the formats of pictures have in common."""

    name: Kind
    suffix: str
    lossless: bool = True

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the first bytes are this format's."""
        return kind_of(head) == self.name

    def header(self, path: Path) -> Header:
        """Shape and bit depth; raises InputError as in `palpate.data.formats.images.read_form`."""
        return self._header(path, first_bytes(path))

    def _header(self, path: Path, head: bytes) -> Header:
        form = read_form(path, head)
        return Header(
            self.name, form.shape, form.dtype, _lattice(form.dtype), lossless=self.lossless,
            orientation=orientation_of(path, head),
        )  # fmt: skip

    def read(self, path: Path) -> Scan:
        """The pixels as they are stored; raises InputError as in `palpate.data.formats.images.read_image`."""
        data = all_bytes(path)
        return Scan(self._header(path, data[:HEAD]), read_image(path, data))

    def original(self, source: Path) -> Original:
        """The picture, for copies of it; raises InputError as `header`."""
        head = first_bytes(source)
        header = self._header(source, head)
        with one_sentence(source):
            return Original(self, source, header, self._kept(source, head))

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """Write a marked copy; see `palpate.data.formats.scan.Format.write`."""
        original = self.original(source)
        require_fit(source, original.header, stored, target)
        write_atomically(target, original.copy(stored, note))

    @abstractmethod
    def encoded(self, original: Original, stored: Array, note: Note) -> bytes:
        """The whole file of a marked copy; numbers have the form of the original."""

    @abstractmethod
    def _kept(self, source: Path, head: bytes) -> Any:
        """What copies of a file keep in addition to its numbers."""


@dataclass(frozen=True)
class Png(Raster):
    """PNG: 8 and 16 bit, grey and RGB. Copies of palette images are RGB; an opaque alpha channel is left out."""

    name: Kind = "PNG"
    suffix: str = ".png"

    def encoded(self, original: Original, stored: Array, note: Note) -> bytes:
        """The whole file."""
        return _png(original, stored, note)

    def _kept(self, source: Path, head: bytes) -> Any:
        return kept_chunks(source, head)


@dataclass(frozen=True)
class Jpeg(Raster):
    """JPEG: 8 bit, grey and RGB. Copies are compressed like their source, so their numbers are not the given ones."""

    name: Kind = "JPEG"
    suffix: str = ".jpg"
    lossless: bool = False

    def encoded(self, original: Original, stored: Array, note: Note) -> bytes:
        """The whole file."""
        sink = io.BytesIO()
        Image.fromarray(_channels_last(stored)).save(sink, "JPEG", comment=note.text, **original.kept)
        return sink.getvalue()

    def _kept(self, source: Path, head: bytes) -> Any:
        with open(source, "rb") as handle, opened(source, handle, "JPEG") as image:
            return _compression(image)


@dataclass(frozen=True)
class Tiff(Raster):
    """TIFF of one page: 8 and 16 bit and float32, grey and RGB. Copies are deflated if the source was packed."""

    name: Kind = "TIFF"
    suffix: str = ".tif"

    def encoded(self, original: Original, stored: Array, note: Note) -> bytes:
        """The whole file."""
        tags, sink = original.kept, io.BytesIO()
        tifffile.imwrite(
            sink,
            _channels_last(stored),
            byteorder=tags.byteorder,
            photometric="rgb" if len(stored) == 3 else "minisblack",
            planarconfig="contig" if len(stored) == 3 else None,
            compression="zlib" if tags.compressed else None,
            description=note.text.encode("ascii", "replace").decode(),
            software=SOFTWARE,
            metadata=None,
            iccprofile=tags.profile,
            **_placed(tags),
        )
        return sink.getvalue()

    def _kept(self, source: Path, head: bytes) -> Any:
        return tiff_tags(source)


@dataclass(frozen=True)
class Plain(Raster):
    """BMP, GIF of one frame, WebP: 8 bit, grey and RGB. Copies are PNG, which can carry a comment."""

    name: Kind = "BMP"
    suffix: str = ".png"

    def encoded(self, original: Original, stored: Array, note: Note) -> bytes:
        """The whole file."""
        return _png(original, stored, note)

    def _kept(self, source: Path, head: bytes) -> Any:
        return ()


def _png(original: Original, stored: Array, note: Note) -> bytes:
    texts = (text_chunk("Software", SOFTWARE), text_chunk("Comment", note.text))
    turn = original.header.orientation
    asked = (orientation_chunk(turn),) if turn != UPRIGHT else ()
    return encode_png(stored, (*original.kept, *asked, *texts))


def _lattice(dtype: str) -> tuple[int, int] | None:
    return None if np.dtype(dtype).kind == "f" else bit_range(dtype)


def _channels_last(stored: Array) -> Array:
    return stored[0] if len(stored) == 1 else np.ascontiguousarray(stored.transpose(1, 2, 0))


def _compression(image: Image.Image) -> dict[str, Any]:
    # The tables and the chroma sampling of the source decide its noise, and how much of a change survives.
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    options: dict[str, Any] = {
        "qtables": image.quantization,
        "progressive": bool(image.info.get("progressive")),
        "keep_rgb": image.mode == "RGB" and image.info.get("adobe_transform") == 0,
    }
    if image.mode == "RGB":
        options["subsampling"] = max(JpegImagePlugin.get_sampling(image), 0)  # others: 4:4:4, which loses less
    if profile := image.info.get("icc_profile"):
        options["icc_profile"] = profile
    turned = image.getexif().get(TAG, 1)
    if turned != 1:
        options["exif"] = Image.Exif()
        options["exif"][TAG] = turned
    return options


def _placed(tags: TiffTags) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if tags.resolution is not None:
        options["resolution"], options["resolutionunit"] = tags.resolution, tags.unit
    if tags.orientation != 1:
        options["extratags"] = [(TAG, "H", 1, tags.orientation, True)]
    return options

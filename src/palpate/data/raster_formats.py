"""PNG, JPEG and TIFF as formats: what they say of an image, and how an altered copy is written back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from palpate.data.forms import Array, bit_range
from palpate.data.images import Kind, kind_of, read_form, read_image
from palpate.data.scan import Header, Note, Scan


@dataclass(frozen=True)
class _Raster:
    name: Kind
    suffix: str
    lossless: bool = True

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the first bytes are this format's."""
        return kind_of(head) == self.name

    def header(self, path: Path) -> Header:
        """Shape and bit depth; raises InputError as `palpate.data.images.read_form`."""
        form = read_form(path)
        return Header(self.name, form.shape, form.dtype, bit_range(form.dtype), lossless=self.lossless)

    def read(self, path: Path) -> Scan:
        """The pixels as they are stored; raises InputError as `palpate.data.images.read_image`."""
        return Scan(self.header(path), read_image(path))

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """See `palpate.data.scan.Format.write`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Png(_Raster):
    """PNG: 8 and 16 bit, grey and RGB."""

    name: Kind = "PNG"
    suffix: str = ".png"


@dataclass(frozen=True)
class Jpeg(_Raster):
    """JPEG: 8 bit, grey and RGB."""

    name: Kind = "JPEG"
    suffix: str = ".jpg"
    lossless: bool = False


@dataclass(frozen=True)
class Tiff(_Raster):
    """TIFF of one page: 8 and 16 bit, grey and RGB."""

    name: Kind = "TIFF"
    suffix: str = ".tif"

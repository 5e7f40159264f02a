"""One DICOM file as an image or, if it has several frames, as a volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from palpate.data.formats.copies import require_fit
from palpate.data.formats.dicom.files import is_dicom, one_sentence, open_pixels
from palpate.data.formats.dicom.header import describe
from palpate.data.formats.dicom.pixels import PIXEL_TAGS, decoded
from palpate.data.formats.dicom.writing import derived
from palpate.data.formats.forms import Array
from palpate.data.formats.scan import Header, Note, Scan
from palpate.storage.writing import write_atomically


@dataclass(frozen=True)
class Dicom:
    """One file: a slice or picture (C, rows, columns), or several frames as a volume (C, frames, rows, columns).

    Frames of an enhanced object are sorted by their position along the normal if the file has it. Colours of any kind
    are read as RGB. MONOCHROME1 is not inverted: `Header.inverted` says that low values are shown bright.
    """

    name: str = "DICOM"
    suffix: str = ".dcm"

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether DICM is at byte 128, or the file is a DICOM image without that preamble."""
        return bool(head) and is_dicom(path, head)

    def header(self, path: Path) -> Header:
        """What the file says, without decoding its pixels; see `palpate.data.formats.dicom.header.describe`."""
        return describe(path).header

    def read(self, path: Path) -> Scan:
        """The image; raises InputError as in `header`, or if pixels are damaged or exceed the bits stored."""
        described = describe(path)
        with one_sentence(path):
            return Scan(
                described.header, decoded(path, open_pixels(path, PIXEL_TAGS), described.header, described.order)
            )

    def write(self, source: Path, stored: Array, target: Path, note: Note) -> None:
        """A derived copy in Explicit VR Little Endian, uncompressed; see `dicom.writing.derived`."""
        described = describe(source)
        require_fit(source, described.header, stored, target)
        write_atomically(target, derived(described, stored, note))

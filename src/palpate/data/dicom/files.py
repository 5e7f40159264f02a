"""DICOM files opened safely: one sentence for whatever is wrong, no warning of pydicom, and bounded memory.

Memory: reading takes the attributes that palpate asks for and the pixels, nothing else of the file; files that hold far
more bytes than their pixels need are refused (`palpate.data.dicom.header`). A deflated file is inflated up to
`MAX_INFLATED` and refused beyond.
"""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from palpate.errors import InputError

MAX_INFLATED = 2**30
"""Bytes that a deflated file may inflate to; more is refused as damaged or hostile."""

_MAGIC, _PREAMBLE = b"DICM", 128
_PIXELS, _FLOAT_PIXELS = 0x7FE00010, (0x7FE00008, 0x7FE00009)
_DIRECTORY = "1.2.840.10008.1.3.10"
_LONGEST_META = 2**16


@dataclass(frozen=True, eq=False)
class Opened:
    """What a file says before its pixels.

    Attributes:
        dataset: pydicom's dataset without pixel data.
        floating: the pixels are stored as floating point.
        room: bytes from the start of the pixel data element to the end of the file; 0 where there is none.
    """

    dataset: Any
    floating: bool
    room: int


def has_magic(head: bytes) -> bool:
    """Whether a file's first bytes are those of DICOM."""
    return head[_PREAMBLE : _PREAMBLE + 4] == _MAGIC


def first_bytes(path: Path) -> bytes:
    """The bytes that tell DICOM from everything else; empty where the path is no readable file."""
    try:
        with open(path, "rb") as handle:
            return handle.read(_PREAMBLE + 4)
    except OSError:
        return b""


@contextmanager
def quiet() -> Iterator[None]:
    """Pydicom without warnings and log lines: whatever matters is raised by palpate."""
    from pydicom import config

    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """`quiet`, and every failure of a reader as one InputError that names the file."""
    try:
        with quiet():
            yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Correct its name in the table, or put the file there.") from error
    except Exception as error:  # pydicom, its decoders, struct and NumPy each fail in their own way: all mean the same
        if isinstance(error, OSError) and error.strerror:  # the disk's; pydicom raises OSError without it
            raise InputError(f"{path} cannot be read: {error.strerror}. Give a readable DICOM file.") from error
        # Only the kind of failure is told: pydicom's own words may quote values of the file, which may be a patient's.
        raise InputError(
            f"{path} is a truncated or damaged DICOM file ({type(error).__name__}). "
            "Copy it again from its source, or take it out of the table."
        ) from error


def open_header(path: Path, keywords: Iterable[str]) -> Opened:
    """The named attributes of a file, without its pixels. To be called within `one_sentence`.

    Raises:
        InputError: the file is no DICOM, or a directory (DICOMDIR).
    """
    from pydicom import dcmread
    from pydicom.tag import Tag

    with _readable(path) as handle:
        dataset = dcmread(handle, stop_before_pixels=True, specific_tags=[Tag(word) for word in keywords])
        tag, room = _pixels_at(handle, dataset)
    if dataset.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
        raise InputError(f"{path} is a list of files (DICOMDIR) and no image. Name the images themselves.")
    return Opened(dataset, tag in _FLOAT_PIXELS, room if tag else 0)


def open_pixels(path: Path, tags: Iterable[str | int]) -> Any:
    """The named attributes of a file, its pixels among them. To be called within `one_sentence`."""
    from pydicom import dcmread
    from pydicom.tag import Tag

    with _readable(path) as handle:
        return dcmread(handle, specific_tags=[Tag(tag) for tag in tags])


def open_before_pixels(path: Path) -> Any:
    """Everything that a file says before its pixels. To be called within `one_sentence`."""
    from pydicom import dcmread

    with _readable(path) as handle:
        return dcmread(handle, stop_before_pixels=True)


def is_image_file(path: Path) -> bool:
    """Whether an entry of a folder is DICOM and no directory of files (DICOMDIR); hidden files are not."""
    from pydicom.filereader import read_file_meta_info

    if path.name.startswith(".") or not path.is_file() or not has_magic(first_bytes(path)):
        return False
    try:
        with one_sentence(path):
            return bool(read_file_meta_info(path).get("MediaStorageSOPClassUID") != _DIRECTORY)
    except InputError:
        return True  # it is DICOM, and reading it says what is wrong


@contextmanager
def _readable(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "rb") as handle:
        head = handle.read(_PREAMBLE + 4)
        if not head:
            raise InputError(f"{path} is empty (0 bytes). Copy it again from its source, or take it out of the table.")
        if not has_magic(head):
            raise InputError(f"{path} is no DICOM file: DICM does not stand at byte 128. Give a file in DICOM format.")
        handle.seek(0)
        yield _inflated(path, handle)


def _inflated(path: Path, handle: IO[bytes]) -> IO[bytes]:
    # pydicom inflates without a bound, so that a few KB could fill the memory: done here, with one.
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_file_meta_info
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return handle
    length = int(meta.FileMetaInformationGroupLength)
    if not 0 < length < _LONGEST_META:
        raise InputError(f"{path}: its file meta information has no length. Copy the file again from its source.")
    handle.seek(_PREAMBLE + 4 + 12 + length)
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    content = engine.decompress(handle.read(), MAX_INFLATED)
    if engine.unconsumed_tail:
        raise InputError(
            f"{path} inflates to more than {MAX_INFLATED:,} bytes. Store it uncompressed, or take it out of the table."
        )
    if not engine.eof:
        raise InputError(f"{path} is a truncated DICOM file: its deflated part has no end. Copy it again.")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=False)
    return BytesIO(bytes(_PREAMBLE) + _MAGIC + buffer.getvalue() + content)


def _pixels_at(handle: IO[bytes], dataset: Any) -> tuple[int, int]:
    # pydicom stops in front of the pixel data or at the end of the file, and does not say which.
    place = handle.tell()
    little = dataset.original_encoding[1] is not False
    raw = handle.read(4)
    order = "little" if little else "big"
    group, element = int.from_bytes(raw[:2], order), int.from_bytes(raw[2:], order)  # type: ignore[arg-type]
    tag = group << 16 | element
    room = handle.seek(0, 2) - place
    return (tag, room) if tag == _PIXELS or tag in _FLOAT_PIXELS else (0, 0)

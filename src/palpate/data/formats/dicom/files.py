"""DICOM files opened safely: one sentence for any error, no warnings of pydicom, and bounded memory.

Memory: reading takes the attributes that palpate needs and the pixels, nothing else of the file; files with far more
bytes than their pixels need are refused (`palpate.data.formats.dicom.header`). A deflated file is inflated to at most
twice the pixels that it declares plus `MAX_SURPLUS`, at most `MAX_INFLATED`. A file of an old archive without the
preamble gets one in memory.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from palpate.errors import InputError

MAX_INFLATED = 2**30
"""Most bytes to which a deflated file may inflate, or that a file without preamble may have; more is refused."""

MAX_SURPLUS = 2**26
"""Most bytes that a file may have beyond twice its pixels; more is refused before it is read."""

_FIRST_INFLATED = 2**22
_MAGIC, _PREAMBLE = b"DICM", 128
_PIXELS, _FLOAT_PIXELS = 0x7FE00010, (0x7FE00008, 0x7FE00009)
_DIRECTORY = "1.2.840.10008.1.3.10"
_LONGEST_META = 2**16
_META, _IDENTIFYING = 0x0002, 0x0008
_FIRST_KINDS = (b"UL", b"CS", b"UI", b"OB", b"DA", b"TM", b"LO", b"SH", b"SQ")
_IMPLICIT, _EXPLICIT = b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1\0"


@dataclass(frozen=True, eq=False)
class Opened:
    """What a file says before its pixels.

    Attributes:
        dataset: pydicom's dataset without pixel data.
        floating: the pixels are stored as floating point.
        room: bytes from the start of the pixel data element to the end of the file; 0 if there is none.
    """

    dataset: Any
    floating: bool
    room: int


def has_magic(head: bytes) -> bool:
    """Whether a file's first bytes are those of DICOM."""
    return head[_PREAMBLE : _PREAMBLE + 4] == _MAGIC


def first_bytes(path: Path) -> bytes:
    """The bytes that distinguish DICOM from everything else; empty if the path is not a readable file."""
    try:
        with open(path, "rb") as handle:
            return handle.read(_PREAMBLE + 4)
    except OSError:
        return b""


def is_dicom(path: Path, head: bytes = b"") -> bool:
    """Whether a file is DICOM by its content: DICM at byte 128, or an image without that preamble.

    Without it, a file must begin with an element of group 0002 or 0008, little-endian, and name its SOP class, rows and
    columns; nothing else counts as DICOM.
    """
    head = head if len(head) > _PREAMBLE + 3 else first_bytes(path)
    return has_magic(head) or (_begins_bare(head) and _is_bare_image(path))


def _begins_bare(head: bytes) -> bool:
    if len(head) <= _PREAMBLE:
        return False
    group, _, length = struct.unpack("<HHI", head[:8])
    explicit = head[4:6] in _FIRST_KINDS
    return (group == _META and explicit) or (group == _IDENTIFYING and (explicit or length < _LONGEST_META))


def _is_bare_image(path: Path) -> bool:
    asked = ("SOPClassUID", "Rows", "Columns")
    try:
        with one_sentence(path):
            dataset = open_header(path, asked).dataset
            return all(dataset.get(keyword) for keyword in asked)
    except InputError:
        return False


@contextmanager
def quiet() -> Iterator[None]:
    """Pydicom without warnings and log lines: palpate raises what matters."""
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
    except Exception as error:  # pydicom, its decoders, struct and NumPy raise different errors that all mean the same
        if isinstance(error, OSError) and error.strerror:  # of the disk; pydicom raises OSError without it
            raise InputError(f"{path} cannot be read: {error.strerror}. Give a readable DICOM file.") from error
        # Only the type of the error is named: pydicom's text may quote values of the file, such as a patient's name.
        raise InputError(
            f"{path} is a truncated or damaged DICOM file ({type(error).__name__}). "
            "Copy it again from its source, or take it out of the table."
        ) from error


def open_header(path: Path, keywords: Iterable[str]) -> Opened:
    """The named attributes of a file, without its pixels. Call it within `one_sentence`.

    Raises:
        InputError: the file is not DICOM, or is a directory (DICOMDIR).
    """
    from pydicom import dcmread
    from pydicom.tag import Tag

    with _readable(path) as handle:
        dataset = dcmread(handle, stop_before_pixels=True, specific_tags=[Tag(word) for word in keywords])
        tag, room = _pixels_at(handle, dataset)
    if dataset.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
        raise InputError(f"{path} is a list of files (DICOMDIR), not an image. Name the images themselves.")
    return Opened(dataset, tag in _FLOAT_PIXELS, room if tag else 0)


def open_pixels(path: Path, tags: Iterable[str | int]) -> Any:
    """The named attributes of a file, including its pixels. Call it within `one_sentence`."""
    from pydicom import dcmread
    from pydicom.tag import Tag

    with _readable(path) as handle:
        return dcmread(handle, specific_tags=[Tag(tag) for tag in tags])


def open_before_pixels(path: Path) -> Any:
    """Everything that a file says before its pixels. Call it within `one_sentence`."""
    from pydicom import dcmread

    with _readable(path) as handle:
        return dcmread(handle, stop_before_pixels=True)


def is_image_file(path: Path) -> bool:
    """Whether an entry of a folder is DICOM and not a directory of files (DICOMDIR); hidden files are not."""
    from pydicom.filereader import read_file_meta_info

    if path.name.startswith(".") or not path.is_file():
        return False
    head = first_bytes(path)
    if not has_magic(head):
        return is_dicom(path, head)
    try:
        with one_sentence(path):
            return bool(read_file_meta_info(path).get("MediaStorageSOPClassUID") != _DIRECTORY)
    except InputError:
        return True  # it is DICOM, and reading it reports the error


@contextmanager
def _readable(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "rb") as handle:
        head = handle.read(_PREAMBLE + 4)
        if not head:
            raise InputError(f"{path} is empty (0 bytes). Copy it again from its source, or take it out of the table.")
        if not has_magic(head) and not _begins_bare(head):
            raise InputError(f"{path} is not a DICOM file: DICM is not at byte 128. Give a file in DICOM format.")
        handle.seek(0)
        yield _inflated(path, handle) if has_magic(head) else _completed(path, handle, head)


def _completed(path: Path, handle: IO[bytes], head: bytes) -> IO[bytes]:
    # Some archives have files without the preamble, and often without group 0002. With
    # both added they are read like every other file; pydicom's own guess would not set the transfer syntax.
    from pydicom.filereader import read_dataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if os.fstat(handle.fileno()).st_size > MAX_INFLATED:
        raise InputError(
            f"{path} has no DICOM preamble and more than {MAX_INFLATED:,} bytes. Store it with a preamble."
        )
    content = BytesIO()
    content.write(bytes(_PREAMBLE) + _MAGIC)
    if int.from_bytes(head[:2], "little") == _META:
        meta = read_dataset(cast(BinaryIO, handle), False, True, stop_when=lambda tag, vr, length: tag.group != _META)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            raise InputError(f"{path} is deflated and has no DICOM preamble. Store it with a preamble.")
        handle.seek(0)
    else:
        syntax = _EXPLICIT if head[4:6] in _FIRST_KINDS else _IMPLICIT
        content.write(struct.pack("<HH2sH", _META, 0x0010, b"UI", len(syntax)) + syntax)
    shutil.copyfileobj(handle, content)
    content.seek(0)
    return content


def _inflated(path: Path, handle: IO[bytes]) -> IO[bytes]:
    # pydicom inflates without a bound, so a few KB could fill the memory; here there is a bound.
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
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta, enforce_standard=False)
    content = BytesIO()
    content.write(bytes(_PREAMBLE) + _MAGIC + buffer.getvalue())
    content.write(engine.decompress(handle.read(), min(_FIRST_INFLATED, MAX_INFLATED)))
    most = _most_inflated(content.getvalue())
    if engine.unconsumed_tail and (rest := most - content.tell()) > 0:
        content.write(engine.decompress(engine.unconsumed_tail, rest))
    if engine.unconsumed_tail:
        raise InputError(
            f"{path} inflates to more than {most:,} bytes, far more than the pixels that it declares. Store it "
            "uncompressed, or take it out of the table."
        )
    if not engine.eof:
        raise InputError(f"{path} is a truncated DICOM file: its deflated part has no end. Copy it again.")
    content.seek(0)
    return content


def _most_inflated(begin: bytes) -> int:
    """Bytes that a deflated file may inflate to, by what its beginning declares of the pixels."""
    from pydicom import dcmread
    from pydicom.tag import Tag

    numbers = {"Rows": 0, "Columns": 0, "SamplesPerPixel": 1, "BitsAllocated": 8, "NumberOfFrames": 1}
    try:
        tags = [Tag(keyword) for keyword in numbers]
        dataset = dcmread(BytesIO(begin), stop_before_pixels=True, specific_tags=tags)
        found = [int(dataset.get(keyword) or default) for keyword, default in numbers.items()]
    except Exception:  # pydicom raises many errors on unknown content; then nothing is declared
        found = [0]
    return min(MAX_INFLATED, max(0, math.prod(found)) // 4 + MAX_SURPLUS)


def _pixels_at(handle: IO[bytes], dataset: Any) -> tuple[int, int]:
    # pydicom stops before the pixel data or at the end of the file, and does not say which.
    place = handle.tell()
    little = dataset.original_encoding[1] is not False
    raw = handle.read(4)
    order = "little" if little else "big"
    group, element = int.from_bytes(raw[:2], order), int.from_bytes(raw[2:], order)  # type: ignore[arg-type]
    tag = group << 16 | element
    room = handle.seek(0, 2) - place
    return (tag, room) if tag == _PIXELS or tag in _FLOAT_PIXELS else (0, 0)

"""What an unfinished shard has asked a model, and what it was answered: a file that only grows.

A question is written before it is asked, so that a kill loses the answer and never the count. The file is removed when
the records of its shard are stored. A power cut may lose the last second, because the disk is waited for once a second.
"""

from __future__ import annotations

import errno
import io
import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from palpate.errors import StorageError

_MARK = b"palpate questions 1\n"
_HEAD = struct.Struct("<cII")
"""Kind, length and checksum of an entry."""
_ASKED, _ANSWERED, _DROPPED, _WITHDRAWN = b"Q", b"A", b"D", b"W"
_KEY = 16
_WAIT = 1.0
"""Seconds between two waits for the disk."""

Arrays = tuple[npt.NDArray[Any], ...]


class Asked(NamedTuple):
    """Images that the model is asked about together: the row of the table and the key (16 bytes) of each."""

    rows: tuple[int, ...]
    keys: tuple[bytes, ...]


class Answered(NamedTuple):
    """The answers to some images of the last question: their places in it, and arrays with an axis for them."""

    places: tuple[int, ...]
    arrays: Arrays


class Dropped(NamedTuple):
    """From the answer with this number on, those of a row are not used any more."""

    row: int
    first: int


class Withdrawn(NamedTuple):
    """The last question did not reach the model."""


Entry = Asked | Answered | Dropped | Withdrawn


class QuestionFile:
    """The file of one shard, opened to go on; a torn end, which a kill leaves, is cut off.

    Args:
        path: the file; it is made with the first entry.

    Attributes:
        entries: what was there when it was opened.
        size: its size in bytes.

    Raises:
        StorageError: the file cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self._handle: Any = None
        self._waited = time.monotonic()
        try:
            found = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
        self.entries: list[Entry] = []
        self.size = 0
        for entry, end in _entries(found):
            self.entries.append(entry)
            self.size = end

    def add(self, entry: Entry) -> None:
        """Write an entry behind the others.

        Raises:
            StorageError: the disk is full or does not accept it.
        """
        data = _packed(entry)
        try:
            self._open()
            self._handle.write(data)
            self._handle.flush()
            self.size += len(data)
            if time.monotonic() - self._waited >= _WAIT:
                os.fsync(self._handle.fileno())
                self._waited = time.monotonic()
        except OSError as error:
            full = error.errno == errno.ENOSPC
            why = "the disk is full. Free some space and run the same command again" if full else str(error.strerror)
            raise StorageError(f"{self.path} cannot be written: {why}.") from error

    def _open(self) -> None:
        if self._handle is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = open(self.path, "r+b" if self.size else "wb")  # noqa: SIM115 (closed by `close`)
        if not self.size:
            self._handle.write(_MARK)
            self.size = len(_MARK)
            return
        self._handle.truncate(self.size)
        self._handle.seek(self.size)

    def close(self) -> None:
        """Close the file; it stays."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None


def _entries(data: bytes) -> Iterator[tuple[Entry, int]]:
    """The whole entries from the start of a file, each with the place of its end."""
    at = len(_MARK)
    if data[:at] != _MARK:
        return
    while at + _HEAD.size <= len(data):
        kind, length, check = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) < length or zlib.crc32(kind + body) != check:
            return
        at += _HEAD.size + length
        yield _unpacked(kind, body), at


def _packed(entry: Entry) -> bytes:
    if isinstance(entry, Asked):
        kind, body = _ASKED, _numbers(entry.rows) + b"".join(entry.keys)
    elif isinstance(entry, Answered):
        held = io.BytesIO()
        for array in entry.arrays:
            np.lib.format.write_array(held, np.ascontiguousarray(array), allow_pickle=False)
        kind, body = _ANSWERED, _numbers(entry.places) + held.getvalue()
    else:
        kind, body = (_DROPPED if isinstance(entry, Dropped) else _WITHDRAWN), _numbers(entry)
    return _HEAD.pack(kind, len(body), zlib.crc32(kind + body)) + body


def _unpacked(kind: bytes, body: bytes) -> Entry:
    numbers, rest = _read_numbers(body)
    if kind == _ASKED:
        return Asked(numbers, tuple(rest[at : at + _KEY] for at in range(0, len(rest), _KEY)))
    if kind == _DROPPED:
        return Dropped(*numbers)
    if kind == _WITHDRAWN:
        return Withdrawn()
    held, arrays = io.BytesIO(rest), []
    while held.tell() < len(rest):
        arrays.append(np.lib.format.read_array(held, allow_pickle=False))
    return Answered(numbers, tuple(arrays))


def _numbers(values: Sequence[int]) -> bytes:
    return struct.pack(f"<I{len(values)}q", len(values), *values)


def _read_numbers(body: bytes) -> tuple[tuple[int, ...], bytes]:
    (count,) = struct.unpack_from("<I", body)
    return struct.unpack_from(f"<{count}q", body, 4), body[4 + 8 * count :]

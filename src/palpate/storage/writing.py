"""Write a file completely or not at all, under a temporary name that no other process on any machine uses."""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from palpate.errors import StorageError

_DURABLE = ContextVar("durable", default=True)
_STRANGE = re.compile(r"[^A-Za-z0-9]")

MARK = r"(?:[A-Za-z0-9]{0,24}-)?\d+(?:-[0-9a-f]{8})?"
"""Regular expression of what `mark` gives, and of the number of a process that an earlier palpate wrote there."""


def mark() -> str:
    """The unique part of a temporary name: the machine, the number of the process, and eight random digits.

    Processes of two machines may have one number, and may write into one folder that both see.
    """
    return f"{_STRANGE.sub('', socket.gethostname())[:24]}-{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def fleeting() -> Iterator[None]:
    """Inside this block, files are not flushed to the disk, because they are temporary."""
    token = _DURABLE.set(False)
    try:
        yield
    finally:
        _DURABLE.reset(token)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` completely or not at all, and wait until the disk has it (but not inside `fleeting`).

    Raises:
        StorageError: the disk is full or does not accept the file; an earlier file of this name is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{mark()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # An old file or link of this name is removed first, so that data is never written through a link.
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as handle:
            handle.write(data)
            if _DURABLE.get():
                handle.flush()
                os.fsync(handle.fileno())
        os.replace(temporary, path)
        if _DURABLE.get():
            _flush_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise not_written(path, error) from error


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Inside this block, an error of the disk means that `path` cannot be written.

    Raises:
        StorageError: the disk is full or does not accept the file.
    """
    try:
        yield
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: Path, error: OSError) -> StorageError:
    """Why a file was not written, in a sentence."""
    if error.errno == errno.ENOSPC:
        return StorageError(
            f"The disk is full: {path} was not written. Everything finished before is kept; free some space "
            "and run the same command again to continue."
        )
    return StorageError(f"{path} cannot be written: {error.strerror}.")


def _flush_folder(folder: Path) -> None:
    # Without this a power failure may undo the rename although the file's bytes are on the disk.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

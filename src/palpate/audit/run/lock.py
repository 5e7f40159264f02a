"""One process at a time writes to a run folder."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from palpate.errors import StorageError

NAME = ".lock"
_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""Errors of operating systems for a lock that another process holds."""
_LONGEST = 64
"""Number of characters that are read from a lock; the number of a process is shorter."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the run folder. It is made if it is missing, and removed again if it stays empty.

    The lock belongs to the operating system, so it ends with its process, even a killed one: its old lock file blocks
    nobody. The file holds the number of the process. Links are not followed, and a file with other contents is left
    unchanged.

    Raises:
        StorageError: another process holds it, the folder cannot be made, or its `.lock` is not palpate's.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _opened(folder / NAME)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written to: {error.strerror}. Choose another folder.") from error
    try:
        yield
    finally:
        # Removed while still held; a process that opened it meanwhile sees that the name is gone and opens it again.
        with contextlib.suppress(OSError):
            (folder / NAME).unlink()
        handle.close()
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _opened(path: Path) -> IO[str]:
    while True:
        handle = _file(path)
        try:
            _hold(handle)
        except OSError as error:
            if error.errno not in _HELD:
                # A file system without locks: work without one.
                return handle
            holder = _number(handle)
            handle.close()
            raise StorageError(
                f"{path.parent} is in use by another palpate{f' (process {holder})' if holder else ''}. Wait until it "
                "has finished or stop it, or choose another folder."
            ) from error
        if _is_named(handle, path):
            handle.seek(0)
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            return handle
        handle.close()


def _file(path: Path) -> IO[str]:
    """The lock's file, made if it is missing; its contents are not changed.

    Raises:
        StorageError: it is a link, a folder or a pipe, or holds something else than the number of a process.
    """
    strange = StorageError(
        f"{path} is not a lock that palpate wrote, so {path.parent} may belong to another program. Choose another "
        "folder, or remove this file if nothing needs it."
    )
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise strange
    # A link may appear after the check above; this call refuses to open one.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    handle = os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode) or _number(handle) is None:
        handle.close()
        raise strange
    return handle


def _number(handle: IO[str]) -> str | None:
    """The number of the process in a lock; empty if the lock is empty, None if it holds anything else."""
    handle.seek(0)
    text = handle.read(_LONGEST).strip()
    return text if not text or text.isdecimal() else None


def _is_named(handle: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _hold(handle: IO[str]) -> None:
        # The locked byte is behind the text, so that others may read the text.
        handle.seek(1 << 20)
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        handle.seek(0)
else:
    import fcntl

    def _hold(handle: IO[str]) -> None:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

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
"""What the systems say of a lock that another process holds."""
_LONGEST = 64
"""Characters that are read of a lock; the number of a process is shorter."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder; it is made where it is missing, and what was made is removed again if it stayed empty.

    The lock is the system's, so it ends with its process, however that ends: a lock file that a killed process left
    behind stops nobody. The number of the process stands in the file. Links are not followed, and a file with other
    contents is left as it is.

    Raises:
        StorageError: another process holds it, the folder cannot be made, or its `.lock` is not palpate's.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _opened(folder / NAME)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written to: {error.strerror}. Choose another run folder.") from error
    try:
        yield
    finally:
        # Removed while still held; whoever opened it meanwhile sees that the name is gone and opens it anew.
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
                # A file system without locks; better to work there without one than not at all.
                return handle
            holder = _number(handle)
            handle.close()
            raise StorageError(
                f"{path.parent} is in use by another palpate{f' (process {holder})' if holder else ''}. Wait until it "
                "has finished or stop it, or choose another run folder."
            ) from error
        if _is_named(handle, path):
            handle.seek(0)
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            return handle
        handle.close()


def _file(path: Path) -> IO[str]:
    """The lock's file, made where it is missing; nothing in it is changed.

    Raises:
        StorageError: a link, a folder, a pipe, or a file that holds something else than the number of a process.
    """
    strange = StorageError(
        f"{path} is not a lock that palpate wrote, so {path.parent} may belong to another program. Choose another run "
        "folder, or remove this file if nothing needs it."
    )
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise strange
    # The second look, which no one can come before: the system itself refuses to open a link.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    handle = os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode) or _number(handle) is None:
        handle.close()
        raise strange
    return handle


def _number(handle: IO[str]) -> str | None:
    """The number of a process that a lock holds; empty where it holds nothing, None where it holds anything else."""
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
        # The byte that is locked lies behind the text, which others may read.
        handle.seek(1 << 20)
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        handle.seek(0)
else:
    import fcntl

    def _hold(handle: IO[str]) -> None:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

"""One process at a time writes to a run folder."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from palpate.errors import StorageError

NAME = ".lock"
_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""What the systems say of a lock that another process holds."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder; it is made where it is missing, and removed again if it stayed empty.

    The lock is the system's, so it ends with its process, however that ends: a lock file that a killed process left
    behind holds nobody up. The number of the process stands in the file.

    Raises:
        StorageError: another process holds it, or the folder cannot be made.
    """
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
        with contextlib.suppress(OSError):
            folder.rmdir()


def _opened(path: Path) -> IO[str]:
    while True:
        handle = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (it stays open while the lock is held)
        try:
            _hold(handle)
        except OSError as error:
            if error.errno not in _HELD:
                # A file system without locks; better to work there without one than not at all.
                return handle
            handle.seek(0)
            holder = handle.read().strip()
            handle.close()
            raise StorageError(
                f"{path.parent} is in use by another palpate{f' (process {holder})' if holder else ''}. Wait until it "
                "has finished or stop it, or choose another run folder."
            ) from error
        if _is_named(handle, path):
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            return handle
        handle.close()


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

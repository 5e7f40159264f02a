"""A folder for temporary files outside of any run folder, removed also if the process that made it was killed."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A new folder that only this user can open; it is removed when the value is, or when the process ends.

    Folders of killed processes of this user on this machine are removed now.
    """
    host = socket.gethostname()
    for left in Path(tempfile.gettempdir()).glob(f"palpate-{host}-*"):
        # Folders of other users cannot be removed.
        number = left.name.removeprefix(f"palpate-{host}-").partition("-")[0]
        if number.isdecimal() and not _runs(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"palpate-{host}-{os.getpid()}-", ignore_cleanup_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

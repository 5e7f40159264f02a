"""`run.log`: what changed since `run.json` was written, one line for each event.

A line is a checksum, a space, and a change as JSON: `{"set": [[place, value], ...], "add": [[place, value], ...]}`. A
place is a list of keys into `run.json`; `add` appends to a list what it does not hold yet. The first line names the
digest of the `run.json` that the others change: beside any other one the log is an old one and does not count.

>>> changed({"seconds": {"a": None}}, [{"set": [[["seconds", "a"], 1.5]]}])
{'seconds': {'a': 1.5}}
"""

from __future__ import annotations

import copy
import errno
import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from palpate.errors import StorageError
from palpate.storage.columns import DamagedError

NAME = "run.log"
Change = Mapping[str, Sequence[tuple[Sequence[str | int], Any]]]
"""`set` and `add`: places and their values."""


def append_change(path: Path, digest: str, change: Change) -> None:
    """Write one change at the end of the log, which is begun if it is missing.

    Args:
        path: of the log.
        digest: that of the `run.json` beside it.
        change: what changed since the last line.

    Raises:
        OSError: the disk is full or does not accept the file; then nothing of the change is in it.
    """
    # A link of this name could lead out of the run folder.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "ab", buffering=0) as handle:
        size = os.fstat(descriptor).st_size
        data = (b"" if size else _line({"of": digest})) + _line(change)
        try:
            if handle.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise


def read_changes(path: Path, digest: str) -> list[Change]:
    """The changes since the `run.json` of this digest; none without a log of it.

    A kill may have torn the last line: then it does not count, since its event is not over.

    Raises:
        DamagedError: a line before the last is not what was written.
        StorageError: the log cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror}).") from error
    # Behind the last end of a line there is nothing, or a torn line.
    whole = [_read(line) for line in lines[:-1]]
    if whole and whole[-1] is None:
        whole.pop()
    if not whole or whole[0] not in ({"of": digest}, None):
        return []
    if None in whole:
        raise DamagedError("a line was changed")
    return [line for line in whole[1:] if line is not None]


def changed(description: dict[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """The contents of `run.json` after some changes; the argument stays as it is.

    Raises:
        DamagedError: a place does not exist.
    """
    description = copy.deepcopy(description)
    try:
        for change in changes:
            for place, value in change.get("set", ()):
                _parent(description, place)[place[-1]] = value
            for place, value in change.get("add", ()):
                held = _parent(description, place)[place[-1]]
                if value not in held:
                    held.append(value)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError("it changes what run.json does not have") from error
    return description


def _parent(description: Any, place: Sequence[str | int]) -> Any:
    for key in place[:-1]:
        description = description[key]
    return description


def _line(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(line: bytes) -> Any:
    """The content of a line; None if it is not what was written."""
    mark, _, text = line.partition(b" ")
    if mark != b"%08x" % zlib.crc32(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None

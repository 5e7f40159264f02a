"""Text files that describe data, read completely and with limits: only regular files, up to a size, in UTF-8."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from palpate.errors import InputError

MAX_BYTES = 2**28
"""Larger files are refused before they are read; parsed, a table or JSON takes about ten times its size in memory."""

MAX_DEPTH = 100
"""Largest depth of brackets in a description of data; recursive readers fail at some larger depth."""

_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
# Names joined by dots; a name matches completely or not at all, so a long one costs no more than its length.
_DOTTED = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}""")


def read_bytes(path: Path, kind: str) -> bytes:
    """All bytes of a file.

    Args:
        path: the file.
        kind: what it should be, for messages: `CSV`, `JSON`.

    Raises:
        InputError: it does not exist, is not a file (a pipe or a device may never end), is too large, or cannot be
        read.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file. Give a {kind} file.")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"{path} has {size:,} bytes, and palpate reads {kind} up to {MAX_BYTES:,}. Split it.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Correct its path.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}. Give a {kind} file.") from error


def decoded(path: Path, raw: bytes, kind: str) -> str:
    """The text of a file; a byte order mark before UTF-8 is skipped.

    Raises:
        InputError: it is in another encoding, or has zero bytes, which text never has.
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is UTF-16 text. Save it as {kind} in UTF-8.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is not UTF-8 text (byte {error.start}, in line {line}). Save it as {kind} in UTF-8."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}, line {line}: there is a zero byte. Save it as {kind} in UTF-8.")
    return text


def too_deep(raw: bytes) -> bool:
    """Whether brackets are nested far deeper than in any description; those inside texts count too."""
    brackets = np.frombuffer(raw.translate(None, _NO_BRACKETS), dtype=np.uint8)
    if len(brackets) <= MAX_DEPTH:
        return False
    return bool(np.cumsum(np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1)).max() > MAX_DEPTH)


def long_key(text: str) -> bool:
    """Whether a text has a TOML key that is nested far deeper than any plan."""
    return _DOTTED.search(text) is not None

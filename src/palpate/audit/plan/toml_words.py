"""Values in TOML notation, from file names and cells that may hold any characters."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

FILL_IN = "FILL IN"
"""Marks a line whose value cannot be read from the folder."""
CHECK = "CHECK"
"""Marks a line that is a guess."""
_MOST_WORDS = 8


def path_of(path: Path, place: Path) -> str:
    """A path relative to a plan's own folder, quoted."""
    try:
        return text_of(Path(os.path.relpath(path.resolve(), place.resolve())).as_posix())
    except ValueError:  # another drive
        return text_of(path.resolve().as_posix())


def text_of(value: str) -> str:
    """A text in quotes."""
    # JSON and TOML have the same escapes, except one control character that only TOML escapes.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def key_of(name: str) -> str:
    """A key, quoted where it has to be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else text_of(name)


def texts(values: Sequence[str]) -> str:
    """A list of texts."""
    return f"[{', '.join(map(text_of, values))}]"


def numbered(column: str, words: Iterable[str]) -> str:
    """A column of a few words that stand for numbers, as `[model.inputs]` has it; empty if there are too many words.

    >>> numbered("sex", {"M", "F"})
    '{column = "sex", values = {F = 0, M = 1}}'
    """
    known = sorted(words)
    numbers = ", ".join(f"{key_of(word)} = {number}" for number, word in enumerate(known))
    return f"{{column = {text_of(column)}, values = {{{numbers}}}}}" if len(known) <= _MOST_WORDS else ""


def plain(text: str) -> str:
    """Text of a file name or a cell, safe inside a comment."""
    return re.sub(r"[^\x20-\x7e\xa0-\uffff]", " ", text)

"""The lines of keys and comments in a TOML text. Python's reader gives lines in its errors only, and skips comments."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

Key = tuple[str | int, ...]
"""Path of a value: `("attacks", 0, "steps")`."""

_TEXT_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'|" + r"#[^\n]*", re.DOTALL
)


@dataclass(frozen=True)
class Comment:
    """A comment at the end of a line that has a key, a value or a table header.

    Attributes:
        line: number of the line, from 1.
        code: the part of the line before the comment.
        text: the comment, from its #.
    """

    line: int
    code: str
    text: str


def comments(text: str) -> list[Comment]:
    """The comments after keys, values and table headers; lines that are only a comment are left out.

    A # inside a text in quotes does not begin a comment.
    """
    found = []
    for match in _TEXT_OR_COMMENT.finditer(text):
        if match[0].startswith("#"):
            before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
            if before:
                found.append(Comment(text.count("\n", 0, match.start()) + 1, before, match[0].strip()))
    return found


def line_of(text: str, key: Key) -> int | None:
    """The line, from 1, on which the value at `key` begins, or its nearest enclosing table; None if both are missing.

    A longer beginning of the text holds everything that a shorter one holds. So bisection finds the first beginning
    that holds the value: the value begins on the line after the last readable beginning without it. This works for
    every spelling that TOML allows.
    """
    lines = text.splitlines(keepends=True)
    wanted = _held(lines, len(lines), key) or 0
    if not wanted:
        return None
    lacking, below, holding = 0, 0, len(lines)
    while holding - below > 1:
        middle = (below + holding) // 2
        # A beginning that ends inside a value of several lines cannot be read; the next shorter one can.
        readable = next((count for count in range(middle, lacking, -1) if _held(lines, count, key) is not None), None)
        if readable is not None and (_held(lines, readable, key) or 0) >= wanted:
            holding = readable
        else:
            below, lacking = middle, lacking if readable is None else readable
    return lacking + 1


def _held(lines: list[str], count: int, key: Key) -> int | None:
    """How many parts of `key` the first lines hold; None if they are not complete TOML."""
    try:
        return _depth(tomllib.loads("".join(lines[:count])), key)
    except tomllib.TOMLDecodeError:
        return None


def _depth(value: Any, key: Key) -> int:
    """How many parts of `key` exist in the value."""
    for depth, part in enumerate(key):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return depth
    return len(key)

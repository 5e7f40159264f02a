"""Where keys and comments stand in a TOML text. Python's reader says it of broken text only, and skips comments."""

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
    """A comment at the end of a line that says something itself.

    Attributes:
        line: number of the line, from 1.
        code: what stands before the comment.
        text: the comment, from its #.
    """

    line: int
    code: str
    text: str


def comments(text: str) -> list[Comment]:
    """The comments behind keys, values and table headers; lines that are a comment only are left out.

    A # inside a text in quotes begins no comment.
    """
    found = []
    for match in _TEXT_OR_COMMENT.finditer(text):
        if match[0].startswith("#"):
            before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
            if before:
                found.append(Comment(text.count("\n", 0, match.start()) + 1, before, match[0].strip()))
    return found


def line_of(text: str, key: Key) -> int | None:
    """The line, from 1, on which the value at `key` begins, or its nearest enclosing table; None where neither is.

    The text is read again and again, one line longer each time: the value begins on the line after the last
    readable text that lacks it. That costs milliseconds on a plan, and knows every spelling that TOML allows.
    """
    lines = text.splitlines(keepends=True)
    found: dict[int, int] = {}
    start = 1
    for count in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            # Inside a value of several lines; it counts from its first.
            continue
        depth = _depth(document, key)
        for reached in range(1, depth + 1):
            found.setdefault(reached, start)
        if depth == len(key):
            break
        start = count + 1
    return found[max(found)] if found else None


def _depth(value: Any, key: Key) -> int:
    """How many parts of `key` lead somewhere."""
    for depth, part in enumerate(key):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return depth
    return len(key)

"""What palpate says when it cannot go on: one clear sentence that names the place and the mend."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Kinds of characters that act on a terminal instead of being seen: controls, text direction, halves, line ends."""


class PalpateError(Exception):
    """A failure that the user can mend. Its text is shown as it is, without a traceback."""


class InputError(PalpateError, ValueError):
    """An image, a label, a model or an argument is not what palpate can work with."""


class PlanError(InputError):
    """A plan file names something unknown, or a value that cannot be used."""


class StorageError(PalpateError):
    """A run folder cannot be read or written. What was finished before stays."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """A closing sentence that proposes the choice nearest to `name`, or lists them all.

    >>> nearest("pdg", ["pgd", "fgsm"])
    "Did you mean 'pgd'?"
    """
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known are: {', '.join(known)}."


def printable(text: object, *, lines: bool = False) -> str:
    r"""A text that a terminal shows and does not obey; whatever would act on it is written as an escape.

    It is applied where texts leave palpate (`palpate.console`), since names, messages and exceptions come from files.

    Args:
        text: anything; its `str` is taken.
        lines: keep line breaks, but only before lines that begin with two spaces. So no name of a file can make a line
            that looks like one of palpate's own.

    >>> print(printable("scan\x1b[2J.png"))
    scan\x1b[2J.png
    """
    if lines:
        parts = str(text).split("\n  ")
        return "\n  ".join(printable(part) for part in parts)
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in _UNSEEN else letter
        for letter in str(text)
    )

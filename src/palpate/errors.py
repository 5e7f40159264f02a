"""The errors of palpate: one clear sentence that names the place and the fix."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence

from palpate.synonyms import hint

_LEAST = 3
"""Letters that a name and a choice must share to be one word and its short form."""
_SLIP = 0.8
"""From this similarity on, one name is the other with a typing error."""

_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that control a terminal instead of being shown: controls, direction, surrogates, line ends."""


class PalpateError(Exception):
    """A failure that the user can fix. Its text is shown without a traceback."""


class InputError(PalpateError, ValueError):
    """palpate cannot work with an image, a label, a model or an argument."""


class NotAskedError(PalpateError):
    """A question was refused before it reached the model, so that it is not spent; the budget is.

    It is no `InputError`, because neither the attack nor the model failed: the audit stops, and the next start goes on.
    """


class NoGradientError(InputError):
    """The model gives outputs and no gradient."""


class PlanError(InputError):
    """A plan file names something unknown, or a value that cannot be used."""


class StorageError(PalpateError):
    """A run folder cannot be read or written. Finished work is kept."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """A closing sentence that proposes the choice nearest to `name`, or lists them all.

    What other libraries call a choice (`palpate.synonyms`) is known.

    After typing errors, a choice that `name` abbreviates, writes out or contains as a word counts as nearer than one
    with a similar spelling.

    >>> nearest("pdg", ["pgd", "fgsm"])
    "Did you mean 'pgd'?"
    >>> nearest("epsilon", ["eps", "region"])
    "palpate's is called 'eps'."
    >>> nearest("spacings", ["space", "spacing"])
    "Did you mean 'spacing'?"
    """
    known = sorted(choices)
    if (said := hint(name, known)) is not None:
        return said
    close = difflib.get_close_matches(name, known, n=1, cutoff=_SLIP) or _spelt_out(name, known)
    close = close or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known are: {', '.join(known)}."


def _spelt_out(name: str, known: Sequence[str]) -> list[str]:
    """Choices that begin `name`, begin with `name`, or are a word of `name`; those of nearest length first."""
    given = name.casefold()
    words = re.split(r"[^a-z0-9]+", given)

    def related(choice: str) -> bool:
        other = choice.casefold()
        short = min(len(given), len(other))
        return short >= _LEAST and (given[:short] == other[:short] or other in words)

    return sorted(filter(related, known), key=lambda choice: abs(len(choice) - len(name)))


def printable(text: object, *, lines: bool = False) -> str:
    r"""A text that is safe to show in a terminal; characters that would control the terminal become escapes.

    It is applied where texts leave palpate (`palpate.console`), because names, messages and exceptions come from files.

    Args:
        text: any object; its `str` is used.
        lines: keep line breaks, but only before lines that begin with two spaces. So the name of a file cannot make a
            line that looks like one of palpate's own.

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

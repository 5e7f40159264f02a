"""What palpate says when it cannot go on: one clear sentence that names the place and the mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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

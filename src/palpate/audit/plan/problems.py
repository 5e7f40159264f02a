"""How a problem of a plan is named, and the field of a plan that a message of the core is about."""

from __future__ import annotations

from palpate.audit.plan.toml_lines import Key
from palpate.errors import InputError

Problem = tuple[Key, str]
"""Where, and one or two sentences: what is wrong and the fix."""


def split(error: InputError, fields: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The field that a message of the core begins with (`preprocess.std: ...`), and the rest of it."""
    place, _, text = str(error).partition(": ")
    field = place.rpartition(".")[2]
    return ((field,), text) if field in fields else ((), str(error))

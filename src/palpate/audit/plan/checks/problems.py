"""How a contradiction of a plan is named, and what the checks of its tables share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from palpate.audit.plan.toml_lines import Key
from palpate.errors import InputError

if TYPE_CHECKING:
    from palpate.audit.plan.sections.data import DataSection
    from palpate.audit.plan.sections.model import ModelSection

Problem = tuple[Key, str]
"""Where, and one or two sentences: what is wrong and the fix."""


def one_of(section: ModelSection | DataSection, table: str, names: tuple[str, ...]) -> Iterator[Problem]:
    """Exactly one of some fields must be given."""
    given = [name for name in names if getattr(section, name) is not None]
    if not given:
        yield (table,), f"it names none of {', '.join(names)}. Add one of them."
    for extra in given[1:]:
        yield (table, extra), f"{given[0]} is given already. Keep one of them."


def split(error: InputError, fields: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The field that a message of the core begins with (`preprocess.std: ...`), and the rest of it."""
    place, _, text = str(error).partition(": ")
    field = place.rpartition(".")[2]
    return ((field,), text) if field in fields else ((), str(error))

"""Every artefact by name: explicit tables, and what other packages offer through entry points. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from palpate.artefacts.tables import ct, fundus, general, light, mr, ultrasound, xray
from palpate.artefacts.tables.entry import MODALITIES, ArtefactEntry
from palpate.errors import PlanError, nearest

if TYPE_CHECKING:
    from palpate.artefacts.artefact import Artefact

__all__ = ["ENTRY_POINT_GROUP", "MODALITIES", "ArtefactEntry", "artefacts", "find", "make", "of_modality", "parts"]

ENTRY_POINT_GROUP = "palpate.artefacts"


@cache
def artefacts() -> Mapping[str, ArtefactEntry]:
    """Name -> entry: palpate's own artefacts, then those of installed packages.

    An entry point of the group `palpate.artefacts` names a function without arguments that returns an `ArtefactEntry`.

    Raises:
        PlanError: two packages offer the same name.
    """
    tables = (ct, mr, xray, ultrasound, light, fundus, general)
    found = {entry.name: entry for table in tables for entry in table.TABLE}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        entry = point.load()()
        if entry.name in found:
            raise PlanError(f"artefact '{entry.name}' of {point.value} has the name of another artefact; rename it.")
        found[entry.name] = entry
    return found


def find(name: str) -> ArtefactEntry:
    """The entry of this name.

    Raises:
        PlanError: there is no such artefact; the nearest name is proposed.
    """
    known = artefacts()
    if name not in known:
        hint = nearest(name, known)
        # The names of the whole catalogue are no hint.
        hint = "`palpate list artefacts` shows all of them." if hint.startswith("Known are") else hint
        raise PlanError(f"There is no artefact '{name}'. {hint}")
    return known[name]


def parts(name: str) -> tuple[str, ...]:
    """The names in a composition `a+b`; one name if it is not one.

    Raises:
        PlanError: a name is missing beside a plus.
    """
    if "+" not in name or name in artefacts():
        return (name,)
    found = tuple(part.strip() for part in name.split("+"))
    if not all(found):
        raise PlanError(f"'{name}' has a plus without a name beside it. Write two names, such as 'low-dose+metal'.")
    return found


def make(name: str) -> Artefact:
    """The artefact of this name; imports its module. `a+b` is a composition, in the order in which they happen.

    Raises:
        PlanError: there is no such artefact.
        InputError: artefacts that cannot be composed.
    """
    first, *others = parts(name)
    if others:
        from palpate.artefacts.composed import Composed

        return Composed(tuple(map(make, (first, *others))))
    module, _, kind = find(first).factory.partition(":")
    made: Artefact = getattr(importlib.import_module(module), kind)()
    return made


def of_modality(modality: str) -> tuple[ArtefactEntry, ...]:
    """The artefacts of a kind of image, in the catalogue's order.

    Raises:
        PlanError: there is no such modality; the nearest name is proposed.
    """
    if modality not in MODALITIES:
        raise PlanError(f"There is no modality '{modality}'. {nearest(modality, MODALITIES)}")
    return tuple(entry for entry in artefacts().values() if modality in entry.modalities)

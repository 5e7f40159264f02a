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

__all__ = ["ENTRY_POINT_GROUP", "MODALITIES", "ArtefactEntry", "artefacts", "find", "make", "of_modality"]

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
        raise PlanError(f"There is no artefact '{name}'. {nearest(name, known)}")
    return known[name]


def make(name: str) -> Artefact:
    """The artefact of this name; imports its module. `a+b` is a composition, in the order in which they happen.

    Raises:
        PlanError: there is no such artefact.
        InputError: artefacts that cannot be composed.
    """
    if "+" in name and name not in artefacts():
        from palpate.artefacts.composed import Composed

        return Composed(tuple(make(part.strip()) for part in name.split("+")))
    module, _, kind = find(name).factory.partition(":")
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

"""Training images and robust validation: two halves of one table that share no patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from palpate.data.table import Table
from palpate.errors import InputError
from palpate.seeds import derive


class Split(NamedTuple):
    """Rows of one table.

    Attributes:
        training: rows that are trained on.
        validation: rows that choose the best epoch; no patient is in both.
        notes: what the split could not do, in sentences.
    """

    training: tuple[int, ...]
    validation: tuple[int, ...]
    notes: tuple[str, ...] = ()


def split_rows(table: Table, patients: Mapping[int, str], rows: Sequence[int], share: float, seed: int) -> Split:
    """`split_groups` of some rows of a table. A row whose patient is not known is one patient.

    Raises:
        InputError: all images are of one patient.
    """
    labels = [table[row].label for row in rows]
    names = [patients.get(row, f"\0{table[row].name}") for row in rows]
    found = split_groups(labels, names, share, seed, table.classes)
    training, validation = (tuple(rows[place] for place in half) for half in found[:2])
    return Split(training, validation, found.notes)


def split_groups(
    labels: Sequence[int], groups: Sequence[str], share: float, seed: int, classes: Sequence[str] = ()
) -> Split:
    """Keep a share of the patients of every class for validation, at least one if the class has two.

    A patient counts for the rarest class among their images. Patients are drawn by the seed and their name, so that
    the same images have the same split, in any order.

    Args:
        labels: the class of each image; -1 where it has none.
        groups: its patient.
        share: of the patients, from 0 to 1.
        seed: decides which.
        classes: their names, for the notes.

    Raises:
        InputError: all images are of one patient.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(groups):
        members[name].append(row)
    if len(members) < 2:
        raise InputError(
            "harden.data: all training images are of one patient, so none can be kept for the choice of the best "
            "epoch. Give images of more patients, or name validation images in [harden.validation]."
        )
    kept: set[str] = set()
    notes: list[str] = []
    for label, names in _by_class(labels, members).items():
        drawn = sorted(names, key=lambda name: derive(seed, "validation", name))
        wanted = min(max(round(share * len(drawn)), 1), len(drawn) - 1)
        kept.update(drawn[:wanted])
        if len(drawn) == 1 and label >= 0:
            notes.append(
                f"'{classes[label] if classes else label}' has training images of one patient only, so the choice of "
                "the best epoch does not see it."
            )
    if not kept:  # every class has one patient
        kept.add(min(members, key=lambda name: derive(seed, "validation", name)))
    validation = [row for name in members if name in kept for row in members[name]]
    training = [row for name in members if name not in kept for row in members[name]]
    return Split(tuple(sorted(training)), tuple(sorted(validation)), tuple(notes))


def _by_class(labels: Sequence[int], members: Mapping[str, Sequence[int]]) -> dict[int, list[str]]:
    totals = Counter(labels)
    found: dict[int, list[str]] = defaultdict(list)
    for name, rows in members.items():
        found[min((labels[row] for row in rows), key=lambda label: (totals[label], label))].append(name)
    return dict(sorted(found.items()))

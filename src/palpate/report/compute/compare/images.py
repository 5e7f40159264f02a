"""Whether runs have the same images, and which rows belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palpate.errors import InputError
from palpate.report.compute.compare.likeness import Side
from palpate.report.model.schema_compare import Warned
from palpate.storage.frames import Frame

BY_NAME = "With --match-names the images that all runs have are compared by name; their pixels are then not checked."


@dataclass(frozen=True)
class ImageTable:
    """The audited table of a run, from its records."""

    rows: tuple[int, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    truths: tuple[bytes, ...]
    groups: tuple[str, ...]

    @classmethod
    def of(cls, frame: Frame) -> ImageTable:
        """From the records of attacks, or else of artefacts."""
        rows, first = np.unique(frame["row"], return_index=True)
        truth = frame.get("truth")
        return cls(
            tuple(rows.tolist()),
            tuple(map(str, frame["image"][first])),
            tuple(frame["label"][first].tolist()),
            tuple(b"" if truth is None else truth[row].tobytes() for row in first),
            tuple(map(str, frame["group"][first])),
        )


def table_of(side: Side) -> ImageTable:
    """The images of a run.

    Raises:
        InputError: it has no record.
    """
    frame = side.run.frame()
    frame = frame if len(frame["row"]) else side.run.artefact_frame()
    if not len(frame["row"]):
        raise InputError(f"{side.run.path} has no record of any image, so there is nothing to compare.")
    return ImageTable.of(frame)


def matched(sides: Sequence[Side], *, by_name: bool) -> tuple[list[tuple[int, ...]], list[Warned]]:
    """The rows of each run that belong together, and what is to be said about them.

    Raises:
        InputError: the images, labels, annotations or patients differ.
    """
    prints = {side.description.data.fingerprint for side in sides}
    tables = [table_of(side) for side in sides]
    if len(prints) == 1 and len({table.rows for table in tables}) == 1:
        return [table.rows for table in tables], []
    first = tables[0]
    if not by_name:
        for side, table in zip(sides[1:], tables[1:], strict=True):
            if side.description.data.fingerprint != sides[0].description.data.fingerprint:
                raise InputError(
                    f"{sides[0].named} and {side.named} cannot be compared: {_how(first, table, sides[0], side)} "
                    f"Audit both with the same [data]. {BY_NAME}"
                )
        return _same_rows(tables), []
    names = _common(sides, tables)
    places = [dict(zip(table.names, range(len(table.rows)), strict=True)) for table in tables]
    for side, table, place in zip(sides[1:], tables[1:], places[1:], strict=True):
        _require_same_truth(names, (sides[0], first, places[0]), (side, table, place))
    lost = max(len(table.rows) for table in tables) - len(names)
    text = (
        f"The images were matched by name: {len(names)} that all runs have are compared"
        + (f", {lost} {'is' if lost == 1 else 'are'} left out" if lost else "")
        + ". Whether their pixels are the same was not checked."
    )
    ordered = sorted(names, key=places[0].__getitem__)
    rows = [tuple(table.rows[place[name]] for name in ordered) for table, place in zip(tables, places, strict=True)]
    return rows, [Warned(level="warning", subject="images", text=text)]


def _same_rows(tables: Sequence[ImageTable]) -> list[tuple[int, ...]]:
    """The same images, some of which one run has no record of."""
    common = sorted(set.intersection(*(set(table.rows) for table in tables)))
    return [tuple(common)] * len(tables)


def _common(sides: Sequence[Side], tables: Sequence[ImageTable]) -> set[str]:
    for side, table in zip(sides, tables, strict=True):
        count = max(Counter(table.names).values())
        if count > 1:
            raise InputError(f"{side.named}: {count} images have the same name, so they cannot be matched by name.")
    names = set.intersection(*(set(table.names) for table in tables))
    if not names:
        raise InputError(f"{' and '.join(side.named for side in sides)} have no image name in common.")
    return names


def _require_same_truth(
    names: set[str], first: tuple[Side, ImageTable, dict[str, int]], other: tuple[Side, ImageTable, dict[str, int]]
) -> None:
    (one, mine, here), (two, theirs, there) = first, other
    every: tuple[tuple[str, Sequence[Any], Sequence[Any]], ...] = (
        ("label", mine.labels, theirs.labels),
        ("annotation", mine.truths, theirs.truths),
    )
    for what, a, b in every:
        wrong = [name for name in names if a[here[name]] != b[there[name]]]
        if wrong:
            rows = sorted(mine.rows[here[name]] for name in wrong)
            raise InputError(
                f"{one.named} and {two.named} cannot be compared: the {what} differs for {len(wrong)} "
                f"image{'' if len(wrong) == 1 else 's'} of the same name, the first is row {rows[0]} of {one.letter}. "
                "Audit both with the same table."
            )


def _how(mine: ImageTable, theirs: ImageTable, one: Side, two: Side) -> str:
    """The first way in which two tables differ, without the name of any image."""
    first, second = Counter(mine.names), Counter(theirs.names)
    shared = sum((first & second).values())
    if shared < max(len(mine.rows), len(theirs.rows)):
        return (
            f"they have other images, {len(mine.rows)} in {one.letter} and {len(theirs.rows)} in {two.letter}, of "
            f"which {shared} have the same name."
        )
    if mine.names != theirs.names:
        return "they have the same image names in another order."
    every: tuple[tuple[str, Sequence[Any], Sequence[Any]], ...] = (
        ("labels", mine.labels, theirs.labels),
        ("annotations", mine.truths, theirs.truths),
        ("patients (groups)", mine.groups, theirs.groups),
    )
    for what, a, b in every:
        if a != b:
            count = sum(x != y for x, y in zip(a, b, strict=True))
            return f"they have the same image names, but the {what} of {count} images differ."
    return "they have the same image names and labels, but the files or other columns of the table differ."

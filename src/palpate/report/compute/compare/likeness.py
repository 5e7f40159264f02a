"""What makes runs comparable: refusals, and sentences about each way in which they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path
from typing import Any, Literal

from palpate.errors import InputError
from palpate.report.model.description import Description, read_description
from palpate.report.model.schema_compare import Warned
from palpate.storage.runs import RunFolder

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Side:
    """One of the runs, as it is stored."""

    letter: str
    run: RunFolder
    description: Description

    @property
    def named(self) -> str:
        """`B (after)`."""
        return f"{self.letter} ({self.run.path.resolve().name})"


def sides(paths: Sequence[Path | str | RunFolder]) -> list[Side]:
    """The runs with their letters.

    Raises:
        InputError: fewer than two runs, more than there are letters, the same folder twice, or an unfinished run.
        StorageError: a folder holds no run, is damaged, or is of another version.
    """
    if len(paths) < 2:
        raise InputError("compare needs two run folders or more: palpate compare BEFORE AFTER.")
    if len(paths) > len(LETTERS):
        raise InputError(f"compare takes at most {len(LETTERS)} run folders; {len(paths)} are given.")
    runs = [one if isinstance(one, RunFolder) else RunFolder(Path(one)) for one in paths]
    found: dict[Path, str] = {}
    for letter, run in zip(LETTERS, runs, strict=False):
        if (place := run.path.resolve()) in found:
            raise InputError(f"{run.path} is given twice, as {found[place]} and as {letter}. Give each run once.")
        found[place] = letter
    made = [Side(letter, run, read_description(run)) for letter, run in zip(LETTERS, runs, strict=False)]
    for side in made:
        if side.description.status != "finished" or not side.run.complete():
            raise InputError(
                f"{side.run.path} is unfinished, so images or attacks are missing from its figures. Finish it with "
                "`palpate audit`, which continues where it stopped."
            )
    return made


def refuse_other_tasks(first: Side, other: Side) -> None:
    """Refuse runs whose figures mean different things.

    Raises:
        InputError: kind of task, classes, disease classes, score, floor, structure, measures or overlap differ.
    """
    one, two = first.description.task, other.description.task
    checks: list[tuple[str, Any, Any]] = [
        ("the kind of task", one.kind, two.kind),
        ("the labels", one.classes, two.classes),
        ("the classes that count as disease", _named(one.classes, one.disease), _named(two.classes, two.disease)),
        ("the score", one.score, two.score),
        ("the score from which a result is acceptable (floor)", one.floor, two.floor),
        ("the structure that is scored", one.structure, two.structure),
        ("the measures", [f"{m.name} {m.part}".strip() for m in one.measures],
         [f"{m.name} {m.part}".strip() for m in two.measures]),
        ("the overlap from which a box counts as found", one.operating.overlap, two.operating.overlap),
    ]  # fmt: skip
    for what, mine, theirs in checks:
        if mine != theirs:
            raise InputError(
                f"{first.named} and {other.named} cannot be compared. Not equal: {what}, {_shown(mine)} in "
                f"{first.letter} and {_shown(theirs)} in {other.letter}. Audit both with the same [task]."
            )
    if first.description.data.unit != other.description.data.unit:
        raise InputError(
            f"{first.named} and {other.named} cannot be compared: values are in "
            f"{first.description.data.unit or 'no unit'} in {first.letter} and in "
            f"{other.description.data.unit or 'no unit'} in {other.letter}."
        )


def _named(classes: Sequence[str], chosen: Sequence[int]) -> list[str]:
    return sorted(classes[index] for index in chosen)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)


def _operating(description: Description) -> str:
    point = description.task.operating
    texts = [f"confidence {point.confidence:g}"] if point.confidence is not None else []
    texts += [f"thresholds {', '.join(f'{one:g}' for one in point.thresholds)}"] if point.thresholds else []
    return "; ".join(texts)


Read = Callable[[Description], Any]
_PLAN: tuple[tuple[str, str, Read, str], ...] = (
    ("seed", "seed", lambda d: d.seed,
     "Random starts and draws differ, so a small part of each difference may be chance of the attacks."),
    ("precision", "precision of the search", lambda d: d.tuning.get("precision"),
     "Attacks may find slightly other changes; decisions are always made in float32."),
    ("operating point", "operating point", _operating,
     "Decisions are compared as each model makes them."),
    ("draws", "number of draws per output", lambda d: d.model.draws, "Each model is judged as it was audited."),
)  # fmt: skip
_MACHINE: tuple[tuple[str, str, Read, str], ...] = (
    ("versions", "version of palpate", lambda d: d.palpate, "An attack may have become stronger since."),
    ("versions", "version of torch", lambda d: d.versions.get("torch"), "Rounding may differ."),
    ("device", "device", lambda d: d.machine.get("device"), "Rounding may differ."),
    ("model", "preprocessing", lambda d: d.model.preprocess, "It belongs to the model."),
    ("model", "inferer", lambda d: d.model.inferer, "It belongs to the model."),
)


def _same_records(one: RunFolder, other: RunFolder) -> bool:
    """Whether both runs hold the same shards with the same bytes."""
    listed = one.describe().get("shards", [])
    return (
        bool(listed)
        and all(
            one.has(name) and other.has(name) and cmp(one.shard(name), other.shard(name), shallow=False)
            for name in listed
        )
        and listed == other.describe().get("shards", [])
    )


def unlike(first: Side, other: Side) -> list[Warned]:
    """Sentences about the ways in which two runs differ that change nothing in what can be compared."""
    found: list[Warned] = []
    levels: list[tuple[Literal["warning", "note"], Any]] = [("warning", _PLAN), ("note", _MACHINE)]
    for level, table in levels:
        for subject, name, read, meaning in table:
            one, two = read(first.description), read(other.description)
            if one != two:
                text = f"The {name} is {_shown(one)} in {first.letter} and {_shown(two)} in {other.letter}. {meaning}"
                found.append(Warned(level=level, subject=subject, text=text))
    if first.description.model.sha256 == other.description.model.sha256:
        text = (
            f"{first.letter} and {other.letter} have the same records: they are one audit, and nothing can differ."
            if _same_records(first.run, other.run)
            else f"{first.letter} and {other.letter} have the same weights, so a difference can only come from what "
            "is around them: preprocessing, inferer, operating point, seed or attacks."
        )
        found.append(Warned(level="warning", subject="model", text=text))
    for side in (first, other):
        if not side.description.intact:
            text = (
                f"run.json of {side.named} was changed after palpate wrote it. Run `palpate audit` again to restore it."
            )
            found.append(Warned(level="warning", subject="run.json", text=text))
    return found


def distinct(found: Sequence[Warned]) -> list[Warned]:
    """Each sentence once, warnings first."""
    unique = list({one.text: one for one in found}.values())
    return sorted(unique, key=lambda one: one.level != "warning")


def neighbours(items: Sequence[str]) -> str:
    """`A, B and C`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"

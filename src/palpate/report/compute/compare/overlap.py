"""The attacks, budgets, post-processing steps and artefacts that all runs have, and sentences about the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palpate.report.compute.compare.likeness import Side, neighbours
from palpate.report.compute.compare.view import Shared
from palpate.report.model.description import AttackDescription, Description
from palpate.report.model.description_artefacts import ArtefactDescription
from palpate.report.model.schema_compare import Warned
from palpate.report.model.words import amount

_THREAT = (
    ("norm", "the norm"),
    ("lattice", "whether only stored values are used (lattice)"),
    ("region", "the region"),
    ("channels", "the budget of each channel"),
    ("tied", "whether channels change together (tied)"),
    ("smooth", "how smooth a change must be (smooth)"),
)


def overlap(sides: Sequence[Side], rows: Sequence[tuple[int, ...]]) -> tuple[list[Shared], list[Warned]]:
    """What all runs have, in the names of each, and what is left out.

    Args:
        sides: the runs.
        rows: of each run, the rows of the compared images.
    """
    said: list[Warned] = []
    attacks = _attacks(sides, said)
    steps = _steps(sides, said)
    artefacts = _artefacts(sides, said)
    shared = []
    for place, side in enumerate(sides):
        mine = {found[place].name: found for found in attacks}
        shared.append(
            Shared(
                rows=rows[place],
                attacks={name: found[0].name for name, found in mine.items()},
                budgets={name: _budgets(found) for name, found in mine.items()},
                handlings=tuple(_names(side.description).index(step) for step in steps),
                artefacts={found[place].item: found[0].item for found in artefacts},
            )
        )
    return shared, said


def _budgets(found: Sequence[AttackDescription]) -> tuple[float, ...]:
    return tuple(sorted(set.intersection(*(set(one.eps) for one in found))))


def _attacks(sides: Sequence[Side], said: list[Warned]) -> list[tuple[AttackDescription, ...]]:
    """Each attack of the first run with the attack of each other run that has the same settings and a common budget."""
    if problem := _other_threat(sides):
        said.append(Warned(level="warning", subject="threat", text=problem))
        return []
    first, taken = sides[0].description, [set[str]() for _ in sides]
    kept: list[tuple[AttackDescription, ...]] = []
    for attack in first.attacks:
        partners = [_partner(attack, side.description, used) for side, used in zip(sides[1:], taken[1:], strict=True)]
        found = [attack, *(one for one in partners if one is not None)]
        if len(found) == len(sides) and _budgets(found):
            kept.append(tuple(found))
            for used, one in zip(taken, found, strict=True):
                used.add(one.name)
    _say_attacks(sides, taken, said)
    _say_budgets(sides, kept, said)
    return kept


def _other_threat(sides: Sequence[Side]) -> str:
    first = sides[0].description
    for side in sides[1:]:
        for field, what in _THREAT:
            one, two = getattr(first.threat, field), getattr(side.description.threat, field)
            if one != two:
                return (
                    f"The threat differs: {what} is {_said(one)} in {sides[0].letter} and {_said(two)} in "
                    f"{side.letter}. Attacks under different constraints cannot be compared, so only clean figures and "
                    "artefacts are."
                )
        if first.data.bounds != side.description.data.bounds:
            one, two = first.data.bounds, side.description.data.bounds
            return (
                f"The bounds differ: {amount(one[0])} to {amount(one[1])} in {sides[0].letter} and {amount(two[0])} to "
                f"{amount(two[1])} in {side.letter}. Attacks within other bounds cannot be compared, so only clean "
                "figures and artefacts are."
            )
    return ""


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _settings(attack: AttackDescription) -> Mapping[str, Any]:
    return {
        "attack": attack.catalog,
        "goal": attack.goal,
        "robust_to": sorted(attack.robust_to),
        **{name: value for name, value in attack.parameters.items() if name != "robust_to"},
    }


def _same(one: AttackDescription, other: AttackDescription) -> bool:
    curves = {one.curve, other.curve} - {""}  # an older palpate did not store it
    return _settings(one) == _settings(other) and len(curves) < 2


def _partner(attack: AttackDescription, other: Description, used: set[str]) -> AttackDescription | None:
    """The attack with the same settings; one of the same name first."""
    fitting = [one for one in other.attacks if one.name not in used and _same(attack, one)]
    return next((one for one in fitting if one.name == attack.name), fitting[0] if fitting else None)


def _say_attacks(sides: Sequence[Side], taken: Sequence[set[str]], said: list[Warned]) -> None:
    for side, used in zip(sides, taken, strict=True):
        others = [other for other in sides if other is not side]
        for attack in side.description.attacks:
            if attack.name in used:
                continue
            twin = next((a for other in others for a in other.description.attacks if a.name == attack.name), None)
            if twin is not None and side is not sides[0]:
                continue  # said with the first run
            why = _apart(attack, twin) if twin else f"only {side.letter} has it"
            text = f"The attack '{attack.name}' is not compared: {why}."
            if any(one.text == text for one in said):
                continue
            said.append(Warned(level="warning", subject="attacks", text=text))


def _apart(one: AttackDescription, other: AttackDescription) -> str:
    mine, theirs = _settings(one), _settings(other)
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    if not names and one.curve != other.curve:
        return f"its budgets were attacked in another order, '{one.curve}' and '{other.curve}'"
    if not names:
        return "no budget is common to all runs, or another run does not have it"
    shown = [f"{name} is {_said(mine.get(name, 'not set'))} and {_said(theirs.get(name, 'not set'))}" for name in names]
    return f"its settings differ, {neighbours(shown)}"


def _say_budgets(sides: Sequence[Side], kept: Sequence[tuple[AttackDescription, ...]], said: list[Warned]) -> None:
    common = {eps for found in kept for eps in _budgets(found)}
    for side in sides:
        others = sorted({eps for attack in side.description.attacks for eps in attack.eps} - common)
        if others and kept:
            data = side.description.data
            text = (
                f"Budgets that only some runs have are not compared: {neighbours([data.written(e) for e in others])}."
            )
            if all(one.text != text for one in said):
                said.append(Warned(level="warning", subject="budgets", text=text))


def _names(description: Description) -> list[str]:
    return [one.name for one in description.handlings]


def _steps(sides: Sequence[Side], said: list[Warned]) -> list[str]:
    every = [_names(side.description) for side in sides]
    common = [name for name in every[0] if all(name in names for names in every)]
    others = sorted({name for names in every for name in names} - set(common))
    if others:
        text = f"Post-processing steps that only some runs have are not compared: {neighbours(others)}."
        said.append(Warned(level="warning", subject="survival", text=text))
    return common


def _artefacts(sides: Sequence[Side], said: list[Warned]) -> list[tuple[ArtefactDescription, ...]]:
    """Artefacts with the same parameters, ranges and search; one with the same identity has them."""
    every = [side.description.artefacts.items if side.description.artefacts else [] for side in sides]
    kept = []
    for item in every[0]:
        partners = [next((one for one in items if _same_artefact(item, one)), None) for items in every[1:]]
        found = [item, *(one for one in partners if one is not None)]
        if len(found) == len(sides):
            kept.append(tuple(found))
    names = {found[0].name for found in kept}
    others = sorted({one.name for items in every for one in items} - names)
    if others:
        text = "Artefacts that only some runs have, or that were searched in another way, are not compared: "
        said.append(Warned(level="warning", subject="artefacts", text=f"{text}{neighbours(others)}."))
    return kept


def _same_artefact(one: ArtefactDescription, other: ArtefactDescription) -> bool:
    return one.item == other.item or (
        (one.name, one.catalog, one.goal, one.ladder, one.parameters)
        == (other.name, other.catalog, other.goal, other.ladder, other.parameters)
    )

"""Goals of attacks: from the words of a plan to the goals that tasks use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from palpate.errors import PlanError, nearest
from palpate.tasks import detection_goals, multilabel_goals
from palpate.tasks.goals import ClassGoal, Towards, Untargeted, hide_disease, invent_disease
from palpate.tasks.masks import goals as mask_goals

if TYPE_CHECKING:
    from palpate.audit.plan.sections.tasks import (
        ClassificationSection,
        DetectionSection,
        MultiLabelSection,
        SegmentationSection,
    )

UNTARGETED = "untargeted"
TOWARDS = "towards: "
CLASS_GOALS = (UNTARGETED, "hide disease", "invent disease")
FINDING_GOALS = (UNTARGETED, "all findings", "miss: a finding", "invent: a finding")
MASK_GOALS = (
    UNTARGETED,
    "erase: a structure",
    "erase: a structure, into another",
    "insert: a structure, radius 8, at 0.5 0.5",
    "shift: a structure, -2 ml",
    "swap: a structure, another",
    "move: 0 10",
)
DETECTION_GOALS = (UNTARGETED, "vanish", "vanish: a class", "fabricate", "fabricate: a class", "mislabel")


def class_goal(words: str, section: ClassificationSection) -> ClassGoal:
    """The goal of an attack on a classification.

    Raises:
        PlanError: there is no such goal or class, or a clinical goal in a plan that names no disease.
    """
    if words == UNTARGETED:
        return Untargeted()
    if words in CLASS_GOALS:
        if not section.disease:
            raise PlanError(f"goal: '{words}' needs the classes that count as disease. Add task.disease.")
        clinical = hide_disease if words == "hide disease" else invent_disease
        return clinical(section.disease_indices, len(section.classes))
    if not words.startswith(TOWARDS):
        raise PlanError(f"goal: there is no goal '{words}'. {nearest(words, [*CLASS_GOALS, f'{TOWARDS}a class'])}")
    name = words.removeprefix(TOWARDS).strip()
    return Towards((_index(name, section.classes, "class"),), f"towards {name}")


def finding_goal(words: str, section: MultiLabelSection) -> multilabel_goals.FindingGoal:
    """The goal of an attack on findings; raises PlanError if there is no such goal."""
    if words == UNTARGETED:
        return multilabel_goals.AnyFinding()
    if words == "all findings":
        return multilabel_goals.AllFindings()
    verb, names = _split(words)
    if verb not in ("miss", "invent") or not names:
        raise PlanError(f"goal: there is no goal '{words}'. {nearest(words, FINDING_GOALS)}")
    chosen = tuple(_index(name, section.findings, "finding") for name in names)
    kind = multilabel_goals.Miss if verb == "miss" else multilabel_goals.Invent
    return kind(chosen, ", ".join(names))


def mask_goal(words: str, section: SegmentationSection) -> mask_goals.MaskGoal:
    """The goal of an attack on masks; raises PlanError if there is no such goal, or its numbers are missing."""
    if words == UNTARGETED:
        return mask_goals.Degrade()
    verb, parts = _split(words)
    known, name = section.structures, parts[0] if parts else ""
    if verb == "move" and len(parts) == 1:
        return mask_goals.Toward(tuple(int(_number(part)) for part in name.split()))
    if verb not in ("erase", "insert", "shift", "swap") or not parts:
        raise PlanError(f"goal: there is no goal '{words}'. {nearest(words, MASK_GOALS)}")
    first, rest = _index(name, known, "structure"), parts[1:]
    if verb == "erase" and len(rest) <= 1:
        into = _index(rest[0].removeprefix("into ").strip(), known, "structure") if rest else None
        return mask_goals.Erase(first, into=into, name=name)
    if verb == "swap" and len(rest) == 1:
        return mask_goals.Swap(first, _index(rest[0], known, "structure"), names=(name, rest[0]))
    if verb == "shift" and len(rest) == 1 and (amount := re.fullmatch(r"([+-]?[0-9.]+) ?ml", rest[0])):
        return mask_goals.Shift(first, _number(amount[1]), name=name)
    if verb == "insert" and len(rest) == 2 and rest[0].startswith("radius ") and rest[1].startswith("at "):
        centre = tuple(_number(part) for part in rest[1].removeprefix("at ").split())
        return mask_goals.Insert(first, centre, _number(rest[0].removeprefix("radius ")), name=name)
    example = next(goal for goal in MASK_GOALS if goal.startswith(verb))
    raise PlanError(f"goal: '{words}' cannot be read. Write it like '{example}'.")


def detection_goal(words: str, section: DetectionSection) -> detection_goals.DetectionGoal:
    """The goal of an attack on boxes; raises PlanError if there is no such goal."""
    if words == UNTARGETED:
        return detection_goals.Degrade()
    verb, names = _split(words)
    chosen = tuple(_index(name, section.classes, "class") for name in names)
    if verb == "vanish":
        return detection_goals.Vanish(chosen)
    if verb == "fabricate":
        return detection_goals.Fabricate(classes=chosen)
    if words == "mislabel":
        return detection_goals.Mislabel()
    raise PlanError(f"goal: there is no goal '{words}'. {nearest(words, DETECTION_GOALS)}")


def _split(words: str) -> tuple[str, list[str]]:
    verb, _, rest = words.partition(":")
    return verb.strip(), [part.strip() for part in rest.split(",") if part.strip()]


def _index(name: str, known: Sequence[str], what: str) -> int:
    if name not in known:
        raise PlanError(f"goal: there is no {what} '{name}'. {nearest(name, known)}")
    return known.index(name)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise PlanError(f"goal: '{text}' is not a number. Write for example 0.5.") from error

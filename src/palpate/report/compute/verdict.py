"""The result in plain sentences: what was beaten, at which budget, in which clinical direction, and the gates."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.report.compute.budgets import share_in_words
from palpate.report.compute.headlines import headline
from palpate.report.compute.reading import UNTARGETED
from palpate.report.model.description import Description
from palpate.report.model.schema import Clean, RunVerdict, Series, WorstCase, WorstDirections, WorstPoint
from palpate.report.model.typed import Figure
from palpate.report.model.wording import Wording
from palpate.report.model.words import interval, percent

FALLEN = 0.5
"""The model counts as beaten where robust accuracy is at most this part of clean accuracy."""
CHOSEN = (
    "The data chose this budget: it is the smallest tried one that leaves half the clean share or less. The interval "
    "does not account for the choice."
)
"""Where the sentence is not about the largest budget that was tried."""


def make_verdict(
    description: Description,
    clean: Clean,
    worst: Sequence[WorstCase],
    directions: Sequence[WorstDirections],
    series: Sequence[Series] = (),
) -> RunVerdict:
    """The verdict of a run.

    The sentence names the smallest budget at which all untargeted attacks together leave half the clean accuracy
    or less, both over the images with something to lose; without one, the largest budget that was tried. For masks,
    findings and boxes it is about the structure, finding or boxes that lose most there.

    Args:
        description: what was audited.
        clean: figures without an attack.
        worst: all attacks of each goal together.
        directions: missed and invented disease per budget.
        series: figures per structure, finding and class of boxes.
    """
    untargeted = next((case for case in worst if case.goal == UNTARGETED), None)
    points = [point for point in (untargeted.points if untargeted else []) if point.figure.value is not None]
    if not points or not clean.attackable.value:
        return _nothing(description, clean, directions)
    limit = FALLEN * clean.attackable.value
    fallen = [point for point in points if (point.figure.value or 0.0) <= limit]
    point = fallen[0] if fallen else points[-1]
    count = len(untargeted.attacks) if untargeted else 0
    change = headline(description.task, series, point.eps)
    if change is None:
        sentence = _sentence(description, clean.attackable, point, fell=bool(fallen))
        scope = f"This is the worst case over {_attacks(count)}; 95% interval {interval(point.figure)}."
    else:
        sentence = _dense(description, change, point.eps)
        scope = _acceptable(description, clean.attackable, point, count)
    at = next((row for row in directions if row.eps == point.eps), None)
    return RunVerdict(
        sentence=sentence,
        details=[
            scope + attackable_in_words(clean),
            *_clinical(at, clean, description.data.written(point.eps)),
            *([CHOSEN] if fallen and len(points) > 1 else []),
        ],
        gates=_gates(description),
        fell=bool(fallen),
        eps=point.eps,
    )


def _nothing(description: Description, clean: Clean, directions: Sequence[WorstDirections]) -> RunVerdict:
    right = "that the model decided correctly" if description.task.classification else "with an acceptable result"
    sentence = f"No figure can be given: no untargeted attack has finished on any image {right}."
    details = _clinical(directions[-1], clean, description.data.written(directions[-1].eps)) if directions else []
    return RunVerdict(sentence=sentence, details=details, gates=_gates(description), fell=None, eps=None)


def _sentence(description: Description, clean: Figure, point: WorstPoint, *, fell: bool) -> str:
    change, left, before = change_in_words(description, point.eps), percent(point.figure.value), percent(clean.value)
    words, plural = Wording(description.task), description.threat.norm == "linf"
    if fell:
        return f"{change} {'bring' if plural else 'brings'} {words.share} from {before} down to {left}."
    right = "correct" if description.task.classification else f"acceptable ({words.acceptable})"
    return (
        f"{change} {'leave' if plural else 'leaves'} {left} of the images {right} ({before} without an attack); no "
        "larger budget was tried."
    )


def _dense(description: Description, what: str, eps: float) -> str:
    verb, rest = what.split(" ", 1)
    return f"{change_in_words(description, eps)} {verb if description.threat.norm == 'linf' else f'{verb}s'} {rest}."


def _acceptable(description: Description, clean: Figure, point: WorstPoint, attacks: int) -> str:
    return (
        f"In the worst case over {_attacks(attacks)}, {point.figure.count} of {point.figure.total} images have an "
        f"acceptable result ({Wording(description.task).acceptable}; 95% interval {interval(point.figure)}); without "
        f"an attack it is {clean.count} of {clean.total}."
    )


def attackable_in_words(clean: Clean) -> str:
    """Which images count, as a further sentence; empty if all do."""
    if not clean.nothing_to_lose:
        return ""
    one = clean.nothing_to_lose == 1
    return (
        f" Of {clean.accuracy.total} images, {clean.attackable.total} are attackable; {clean.nothing_to_lose} without "
        f"anything to lose {'does' if one else 'do'} not count."
    )


def _attacks(count: int) -> str:
    return "the one attack that ran" if count == 1 else f"{count} attacks"


def change_in_words(description: Description, eps: float) -> str:
    """A budget as the subject of a sentence, in the unit of the values, and as a share of the window or range."""
    data, written = description.data, description.data.written(eps)
    if description.threat.norm == "linf":
        share = share_in_words(data, eps)
        return f"Changes of at most {written} in each {'' if data.unit else 'stored '}value ({share})"
    length = {"l2": "Euclidean length", "l1": "absolute sum"}[description.threat.norm]
    return f"A change of {length} {written}{'' if data.unit else ' in stored values'}"


def _clinical(at: WorstDirections | None, clean: Clean, written: str) -> list[str]:
    if at is None or clean.directions is None:
        return []
    missed, invented = at.directions.missed_disease, at.directions.invented_disease
    texts = []
    if missed.total:
        texts.append(
            f"{missed.count} of {missed.total} disease images can be made to look healthy "
            f"({clean.directions.missed_disease.count} do without an attack)"
        )
    if invented.total:
        texts.append(
            f"{invented.count} of {invented.total} healthy images can be made to look diseased "
            f"({clean.directions.invented_disease.count} do without an attack)"
        )
    return [f"At eps {written}, {', and '.join(texts)}."] if texts else []


def _gates(description: Description) -> str:
    gates = description.gates
    failed = [gate.text for gate in gates if not gate.passed]
    if description.status != "finished" and not gates:
        return "Gates are measured when the run is finished."
    if not gates:
        return "The plan sets no gates, so nothing is passed or failed."
    if failed:
        return f"{len(failed)} of {len(gates)} gates failed: {'; '.join(failed)}."
    return f"All {len(gates)} gates passed." if len(gates) > 1 else "The gate passed."

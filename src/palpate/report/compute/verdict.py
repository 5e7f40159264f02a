"""The result in plain sentences: what is left at the main budget, in which clinical direction errors go, the gates."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.report.compute.budgets import share_in_words
from palpate.report.compute.headlines import headline
from palpate.report.compute.reading import UNTARGETED
from palpate.report.model.description import Description
from palpate.report.model.schema import Clean, Directions, RunVerdict, Series, WorstCase, WorstDirections, WorstPoint
from palpate.report.model.typed import Figure
from palpate.report.model.wording import Wording
from palpate.report.model.words import interval, percent

FALLEN = 0.5
"""The model counts as beaten where robust accuracy is at most this part of clean accuracy."""


def make_verdict(
    description: Description,
    clean: Clean,
    worst: Sequence[WorstCase],
    directions: Sequence[WorstDirections],
    series: Sequence[Series] = (),
) -> RunVerdict:
    """The verdict of a run.

    The sentence is about the plan's main budget, which is fixed before any result is known; a further sentence gives
    the largest one. For masks, findings and boxes it is about the structure, finding or boxes that lose most there.

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
    point, largest = _at_main(description, points), points[-1]
    count = len(untargeted.attacks) if untargeted else 0
    change = headline(description.task, series, point.eps)
    if change is None:
        sentence = _sentence(description, clean.attackable, point)
        scope = f"This is the worst case over {_attacks(count)}; 95% interval {interval(point.figure)}."
    else:
        sentence = _dense(description, change, point.eps)
        scope = _acceptable(description, clean.attackable, point, count)
    at = {row.eps: row for row in directions}
    return RunVerdict(
        sentence=sentence,
        details=[
            scope + attackable_in_words(clean),
            *_clinical(description, at.get(point.eps), clean),
            *([_largest(description, largest, at.get(largest.eps))] if largest is not point else []),
        ],
        basis=_basis(description, point.eps, len(points)),
        gates=_gates(description),
        fell=(point.figure.value or 0.0) <= FALLEN * clean.attackable.value,
        eps=point.eps,
    )


def _at_main(description: Description, points: Sequence[WorstPoint]) -> WorstPoint:
    """The worst case at the main budget; where it has no record yet, at the next smaller one, or else the smallest."""
    main = description.threat.headline
    return next((one for one in reversed(points) if main is not None and one.eps <= main), points[0])


def _basis(description: Description, eps: float, budgets: int) -> str:
    """Why the sentence is about this budget."""
    threat, written = description.threat, description.data.written
    if threat.headline != eps:
        return (
            ""
            if threat.headline is None
            else f"The main budget, eps {written(threat.headline)}, has no result yet; eps {written(eps)} is shown."
        )
    if threat.main is not None:
        return f"The plan names eps {written(eps)} as its main budget."
    if budgets == 1:
        return f"eps {written(eps)} is the plan's only budget."
    place = "middle one" if budgets % 2 else "smaller of two" if budgets == 2 else "smaller of the two in the middle"
    return (
        f"eps {written(eps)} is the main budget: the {place}, since the plan names none. The result did not choose it."
    )


def _largest(description: Description, point: WorstPoint, at: WorstDirections | None) -> str:
    """What is left at the largest budget, and the errors of clinical direction there."""
    figure = point.figure
    if description.task.classification:
        left = f"accuracy is {percent(figure.value)} (95% interval {interval(figure)})"
    else:
        kept = Wording(description.task).kept
        left = f"{figure.count} of {figure.total} images keep {kept} (95% interval {interval(figure)})"
    wrong = "" if at is None else _misread(at.directions)
    more = f"; {wrong}" if wrong else ""
    return f"At the largest budget, eps {description.data.written(point.eps)}, {left}{more}."


def _nothing(description: Description, clean: Clean, directions: Sequence[WorstDirections]) -> RunVerdict:
    right = "that the model decided correctly" if description.task.classification else "with an acceptable result"
    sentence = f"No figure can be given: no untargeted attack has finished on any image {right}."
    details = _clinical(description, directions[-1] if directions else None, clean)
    return RunVerdict(sentence=sentence, details=details, gates=_gates(description), fell=None, eps=None)


def _sentence(description: Description, clean: Figure, point: WorstPoint) -> str:
    change, left, before = change_in_words(description, point.eps), percent(point.figure.value), percent(clean.value)
    share, plural = Wording(description.task).share, description.threat.norm == "linf"
    if (point.figure.value or 0.0) < (clean.value or 0.0):
        return f"{change} {'bring' if plural else 'brings'} {share} from {before} down to {left}."
    return f"{change} {'leave' if plural else 'leaves'} {share} at {left}."


def _dense(description: Description, what: str, eps: float) -> str:
    verb, rest = what.split(" ", 1)
    return f"{change_in_words(description, eps)} {verb if description.threat.norm == 'linf' else f'{verb}s'} {rest}."


def _acceptable(description: Description, clean: Figure, point: WorstPoint, attacks: int) -> str:
    return (
        f"{point.figure.count} of {point.figure.total} images keep {Wording(description.task).kept} under attack "
        f"({clean.count} of {clean.total} without). This is the worst case over {_attacks(attacks)}; 95% interval "
        f"{interval(point.figure)}."
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


def _clinical(description: Description, at: WorstDirections | None, clean: Clean) -> list[str]:
    if at is None or clean.directions is None or not (wrong := _misread(at.directions)):
        return []
    counted = (clean.directions.missed_disease, clean.directions.invented_disease)
    alone = sum(figure.count or 0 for figure in counted if figure.total)
    before = f"{alone or 'none'} {'is' if alone == 1 else 'are'} misread in this way without an attack"
    return [f"At eps {description.data.written(at.eps)}, {wrong}; {before}."]


def _misread(found: Directions) -> str:
    """Images that can be made to look healthy, and diseased; empty where neither can be said."""
    missed, invented = found.missed_disease, found.invented_disease
    texts = []
    if missed.total:
        texts.append(f"{missed.count} of {missed.total} disease images can be made to look healthy")
    if invented.total:
        rest = "healthy images diseased" if texts else "healthy images can be made to look diseased"
        texts.append(f"{invented.count} of {invented.total} {rest}")
    return " and ".join(texts)


def _gates(description: Description) -> str:
    gates = description.gates
    failed = [gate for gate in gates if not gate.passed]
    if description.status != "finished" and not gates:
        return "Gates are measured when the run is finished."
    if not gates:
        return "The plan sets no gates, so nothing is passed or failed."
    if len(gates) == 1:
        return f"Gate on {gates[0].subject}: {'failed' if failed else 'passed'}."
    if failed:
        return f"{len(failed)} of {len(gates)} gates failed: {'; '.join(gate.subject for gate in failed)}."
    return f"All {len(gates)} gates passed: {'; '.join(gate.subject for gate in gates)}."

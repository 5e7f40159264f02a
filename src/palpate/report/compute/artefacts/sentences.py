"""What artefacts do, in plain sentences, and beside what attacks do."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.report.compute.budgets import share_in_words
from palpate.report.compute.reading import UNTARGETED
from palpate.report.model.description import Description, TaskDescription
from palpate.report.model.schema import WorstCase
from palpate.report.model.schema_artefacts import ArtefactResults, ArtefactWorst
from palpate.report.model.scored import Scored
from palpate.report.model.words import amount, in_unit

_APART = "Artefacts are counted on {artefacts} images and attacks on {attacks}, which are not the same images."


def sentence(task: TaskDescription, items: Sequence[ArtefactResults]) -> str:
    """The artefact that makes most images fail, with the task's measure before and after."""
    done = [item for item in items if item.worst is not None]
    if not done:
        return "No artefact has finished on any image."
    scored = Scored(task)
    counted = [item for item in done if _worst(item).eligible]
    if not counted:
        return f"No artefact could make an image fail: none was {scored.right} before."
    item = hardest(task, counted)
    worst = _worst(item)
    change = f"{scored.written(scored.clean(item))} to {scored.written(scored.of(worst))}"
    if not worst.failed:
        of = f"The {len(counted)} artefacts make" if len(counted) > 1 else f"The artefact “{item.name}” makes"
        which = f"“{item.name}” changes {scored.subject}" if len(counted) > 1 else f"it changes {scored.subject}"
        return (
            f"{of} no image fail of {worst.eligible} that were {scored.right} before; at its worst, at "
            f"{_strength(item, item.searched)}, {which} from {change}."
        )
    first = f"Of {len(counted)} artefacts, “{item.name}” is the hardest" if len(counted) > 1 else f"“{item.name}”"
    joined = ": the worst found" if len(counted) > 1 else ", the worst found,"
    return (
        f"{first}{joined} at {_strength(item, item.searched)} brings {scored.subject} from "
        f"{change.replace(' to ', ' down to ')}, and {_fails(item, worst)}."
    )


def details(task: TaskDescription, items: Sequence[ArtefactResults], images: int) -> list[str]:
    """What random artefacts of the same severity do, and which artefacts are not finished."""
    counted, scored, texts = [item for item in items if _eligible(item)], Scored(task), []
    if counted:
        item = hardest(task, counted)
        point = next((one for one in item.points if one.severity == item.searched), None)
        if point is not None and scored.of(point).value is not None:
            spread = scored.interval(scored.of(point))
            texts.append(
                f"With a random “{item.name}” of severity {item.searched:g}, {scored.subject} is "
                f"{scored.written(scored.of(point))}"
                f"{f' (95% interval {spread})' if spread else ''}."
            )
    left = sum(item.images < images for item in items)
    if left:
        verb = "is" if left == 1 else "are"
        texts.append(f"{left} of {len(items)} artefacts {verb} not finished: the figures of artefacts are provisional.")
    return texts


def hardest(task: TaskDescription, items: Sequence[ArtefactResults]) -> ArtefactResults:
    """The one that makes the largest share of images fail; of equals, the one after which the measure is lowest."""
    scored = Scored(task)

    def rank(item: ArtefactResults) -> tuple[float, float]:
        worst = _worst(item)
        left = scored.of(worst).value
        return worst.failed / worst.eligible, -(1.0 if left is None else left)

    return max(items, key=rank)


def first_to_fail(items: Sequence[ArtefactResults]) -> ArtefactResults | None:
    """The artefact that makes half of the images fail at the lowest severity; without one, that fails most of them."""
    tried = [item for item in items if _eligible(item) and item.goal == UNTARGETED]
    reached = [item for item in tried if item.first_failing is not None and item.first_failing.median is not None]
    if reached:
        return min(reached, key=lambda item: (_median(item), -_share(item)))
    return max(tried, key=_share, default=None)


def side_by_side(
    description: Description,
    worst: Sequence[WorstCase],
    items: Sequence[ArtefactResults],
    sets: tuple[frozenset[int], frozenset[int]] | None,
) -> str:
    """What an adversary needs to beat half of the images, and the artefact that does the same.

    Args:
        description: what was audited.
        worst: all attacks of each goal together.
        items: the artefacts.
        sets: rows of the images on which attacks, and on which that artefact are counted.
    """
    item = first_to_fail(items)
    case = next((one for one in worst if one.goal == UNTARGETED and one.smallest_eps.eligible), None)
    if item is None or item.first_failing is None:
        return ""
    if case is None:
        return "No untargeted attack has finished, so there is nothing to compare the artefacts with."
    beaten, failing = case.smallest_eps, item.first_failing
    adversary = _adversary(description, case)
    if failing.median is not None:
        where = _strength(item, failing.median)
        fails = f"its worst form makes {failing.reached} of {failing.eligible} images fail at {where} or below"
        text = f"{adversary}. The artefact “{item.name}” needs no adversary: {fails}."
    else:
        most = f"“{item.name}” makes {failing.failed} of {failing.eligible} images fail at severities up to 5"
        start = "Of the artefacts," if beaten.median is None else "No artefact does the same:"
        text = f"{adversary}. {start} {most}."
    if sets is not None and sets[0] != sets[1]:
        text += " " + _APART.format(artefacts=len(sets[1]), attacks=len(sets[0]))
    return text


def _adversary(description: Description, case: WorstCase) -> str:
    beaten = case.smallest_eps
    if beaten.median is not None:
        needs = _change(description, beaten.median)
        return f"An adversary beats half of {beaten.eligible} images with changes of {needs}"
    largest = max(point.eps for point in case.points)
    count = beaten.fallen or "none"
    return f"An adversary with changes of {_change(description, largest)} beats {count} of {beaten.eligible} images"


def _change(description: Description, eps: float) -> str:
    """A budget as a size: in the unit of the values, else in stored steps, else as a share of the range."""
    data = description.data
    if description.threat.norm != "linf":
        length = {"l2": "Euclidean length", "l1": "absolute sum"}[description.threat.norm]
        return f"{length} {data.written(eps)}{'' if data.unit else ' in stored values'}"
    if data.unit:
        return f"at most {in_unit(eps, data.unit)} in each value"
    if data.step:
        steps = eps / data.step
        return f"at most {amount(steps)} stored step{'' if steps == 1 else 's'} in each value"
    return f"at most {amount(eps)} in each stored value ({share_in_words(data, eps)})"


def _strength(item: ArtefactResults, severity: float) -> str:
    """`severity 3 (diameter 6 mm)`."""
    strengths = [text for one in item.parameters if (text := one.at(severity))]
    return f"severity {severity:.2g}" + (f" ({', '.join(strengths)})" if strengths else "")


def _fails(item: ArtefactResults, worst: ArtefactWorst) -> str:
    """The end of the sentence: which images fail, or reach the goal that was searched."""
    count, total = worst.failed, worst.eligible
    if item.goal != UNTARGETED:
        return f"the goal “{item.goal}” is reached on {count} of {total} images"
    if count == total:
        return "the one image that was right before fails" if total == 1 else f"all {total} images fail"
    return f"{count} of {total} images {'fails' if count == 1 else 'fail'}"


def _worst(item: ArtefactResults) -> ArtefactWorst:
    assert item.worst is not None
    return item.worst


def _eligible(item: ArtefactResults) -> bool:
    return item.worst is not None and item.worst.eligible > 0


def _median(item: ArtefactResults) -> float:
    assert item.first_failing is not None and item.first_failing.median is not None
    return item.first_failing.median


def _share(item: ArtefactResults) -> float:
    return item.first_failing.failed / item.first_failing.eligible if item.first_failing is not None else 0.0

"""What the figures of survival show, in a few plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from palpate.metrics.survival import SAVED
from palpate.report.compute.reading import UNTARGETED
from palpate.report.model.description import Description
from palpate.report.model.schema_clinic import AttackSurvival, RobustToGain, SurvivalCell, SurvivalPoint
from palpate.report.model.words import percent


def sentences(
    description: Description, attacks: Sequence[AttackSurvival], bought: Sequence[RobustToGain], eps: float
) -> list[str]:
    """What is left after saving, which post-processing leaves most and least, and what `robust_to` gained.

    Args:
        description: what was audited.
        attacks: all attacks of each goal together, then each attack.
        bought: the pairs with and without `robust_to`.
        eps: the budget that the sentences are about.
    """
    whole = [one for one in attacks if one.attack is None]
    leading = next((one for one in whole if one.goal == UNTARGETED), whole[0] if whole else None)
    point = next((one for one in leading.points if one.eps == eps), None) if leading else None
    texts: list[str] = []
    if leading is not None and point is not None:
        by = "attacks" if leading.goal == UNTARGETED else f"attacks with the goal “{leading.goal}”"
        texts += [*_saved(description, point, by), *_others(point), *_alone(description, point, leading.goal)]
    return texts + [_pair(one) for one in bought]


def _saved(description: Description, point: SurvivalPoint, by: str) -> Iterator[str]:
    data, written = description.data, description.data.written(point.eps)
    saved = next((cell for cell in point.cells if cell.handling == SAVED), None)
    if saved is None or saved.survived.total is None:
        return
    if not saved.survived.total:
        yield f"At eps {written} no image was beaten, so none was saved."
        return
    formats = f" ({', '.join(data.formats)})" if data.formats else ""
    count = saved.survived.total
    yield (
        f"Of {_images(count)} that {by} beat at eps {written}, {_stay(saved.survived.count, count)} beaten after "
        f"saving in the format of the originals{formats} and reading again."
    )


def _others(point: SurvivalPoint) -> Iterator[str]:
    cells = [cell for cell in point.cells if cell.handling != SAVED and cell.survived.value is not None]
    if len(cells) == 1:
        yield f"{_sentence(called(cells[0].handling))} keeps {_left(cells[0])} attacks effective."
    elif cells:
        most, least = max(cells, key=_survived), min(cells, key=_survived)
        if _survived(most) == _survived(least):
            yield f"Each of the other post-processing steps keeps {_left(most)} attacks effective."
            return
        yield (
            f"{_sentence(called(most.handling))} keeps {_left(most)} attacks effective; {called(least.handling)} keeps "
            f"{least.survived.count or 'none'}{'' if least.survived.total == most.survived.total else _of(least)}."
        )


def _of(cell: SurvivalCell) -> str:
    return f" of {cell.survived.total}"


def _alone(description: Description, point: SurvivalPoint, goal: str) -> Iterator[str]:
    cells = [cell for cell in point.cells if cell.alone.count]
    if cells:
        worst = max(cells, key=lambda cell: cell.alone.value or 0.0)
        count = f"{worst.alone.count} of these {worst.alone.total or 0}"
        if goal != UNTARGETED:
            does = f"reaches the goal “{goal}” on {count} images"
        else:
            does = f"changes {count} {'decisions' if description.task.classification else 'results'}"
        yield f"{_sentence(called(worst.handling))} alone, without an attack, {does}."


def called(name: str) -> str:
    """A post-processing step as a sentence calls it.

    >>> called("8bit"), called("jpeg75"), called("jpeg2000"), called("jpeg2000-20"), called("half")
    ('8-bit export', 'JPEG at quality 75', 'JPEG 2000', 'JPEG 2000 at ratio 20', 'resampling to half size')
    """
    fixed = {"8bit": "8-bit export", "half": "resampling to half size", SAVED: "saving", "rounded": "rounding"}
    if name in fixed:
        return fixed[name]
    if name.startswith("jpeg2000"):
        ratio = name.removeprefix("jpeg2000").removeprefix("-")
        return f"JPEG 2000 at ratio {ratio}" if ratio else "JPEG 2000"
    if name.startswith("jpeg") and name[4:].isdecimal():
        return f"JPEG at quality {name[4:]}"
    if name.startswith("blur") and name[4:5].isdecimal():
        return f"blur by {name[4:]} pixel{'' if name == 'blur1' else 's'}"
    return name


def _sentence(phrase: str) -> str:
    return phrase[:1].upper() + phrase[1:]


def _pair(one: RobustToGain) -> str:
    climbed = [row for row in one.rows if row.climbed]
    before = one.rows[0]
    after = "; ".join(
        f"after {row.handling} it beats {percent(row.success.value)} instead of {percent(row.plain_success.value)}"
        for row in climbed
    )
    cost = ""
    if one.passes is not None and one.plain_passes is not None:
        cost = f"; it took {one.passes:.3g} backward passes per image instead of {one.plain_passes:.3g}"
    return (
        f"“{one.attack}” is “{one.plain}” with robust_to: {after or 'none of its steps was measured'}; before any "
        f"post-processing {percent(before.success.value)} instead of {percent(before.plain_success.value)}{cost}."
    )


def _survived(cell: SurvivalCell) -> float:
    return cell.survived.value or 0.0


def _left(cell: SurvivalCell) -> str:
    return f"{cell.survived.count} of {cell.survived.total}"


def _stay(count: int | None, total: int) -> str:
    if count == total > 1:
        return "all stay"
    return "1 stays" if count == 1 else "none stays" if not count else f"{count} stay"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"

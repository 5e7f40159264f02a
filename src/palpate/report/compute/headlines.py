"""The verdict's sentence for masks, findings and boxes: what a reader of the images would see go wrong."""

from __future__ import annotations

from collections.abc import Sequence

from palpate.report.model.description import TaskDescription
from palpate.report.model.schema import Series, SeriesPoint
from palpate.report.model.typed import Figure
from palpate.report.model.wording import Wording, reading

WORST = " with the worst attack on each image"


def worst_at(series: Series, eps: float) -> SeriesPoint | None:
    """The worst case of a series at a budget; None where it is undefined."""
    return next((one for one in series.worst if one.eps == eps and one.figure.value is not None), None)


def headline(task: TaskDescription, series: Sequence[Series], eps: float) -> str | None:
    """What changes at a budget: the end of a sentence whose subject is the change, in the plural.

    Returns:
        For example `bring the mean Dice of “left lung” from 0.97 down to 0.41 with the worst attack on each image`;
        None where nothing of the kind was measured.
    """
    describe = {"segmentation": _structure, "multilabel": _finding, "detection": _boxes}.get(task.kind)
    return None if describe is None else describe(task, series, eps)


def _structure(task: TaskDescription, series: Sequence[Series], eps: float) -> str | None:
    mine = [one for one in series if one.name == task.score and one.statistic == "mean" and _known(one.clean)]
    found = [(one, worst) for one in mine if (worst := worst_at(one, eps)) is not None]
    # The structure that is scored, or else that loses most; the image's mean only where no structure has figures.
    found = [pair for pair in found if pair[0].part == task.structure] if task.structure else found
    found = [pair for pair in found if pair[0].part] or found
    if not found:
        return None
    one, worst = max(found, key=lambda pair: _value(pair[0].clean) - _value(pair[1].figure))
    what = Wording(task).score
    if one.part and not task.structure:
        what = f"mean {what.removeprefix('mean ')} of “{one.part}”"
    before, after = reading(one, one.clean), reading(one, worst.figure)
    if _value(worst.figure) >= _value(one.clean):
        return f"leave the {what} at {after}"
    return f"bring the {what} from {before} down to {after}{WORST}"


def _finding(task: TaskDescription, series: Sequence[Series], eps: float) -> str | None:
    mine = [one for one in series if one.name == "success" and one.part]
    found = [(one, worst) for one in mine if (worst := worst_at(one, eps)) is not None]
    if not found:
        return None
    one, worst = max(found, key=lambda pair: _value(pair[1].figure))
    count, total = worst.figure.count, worst.figure.total
    return f"make the model misread “{one.part}” in {count} of the {total} images where it was correct"


def _boxes(task: TaskDescription, series: Sequence[Series], eps: float) -> str | None:
    recall = next((one for one in series if one.name == "recall" and not one.part), None)
    worst = None if recall is None else worst_at(recall, eps)
    if recall is None or recall.clean is None or worst is None:
        return None
    after = worst.figure
    return (
        f"let the model find {after.count} of {after.total} annotated boxes{WORST}, "
        f"{recall.clean.count} of {recall.clean.total} without an attack"
    )


def _known(figure: Figure | None) -> bool:
    return figure is not None and figure.value is not None


def _value(figure: Figure | None) -> float:
    return figure.value if figure is not None and figure.value is not None else float("nan")

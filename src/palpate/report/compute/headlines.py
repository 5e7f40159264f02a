"""The verdict's sentence for masks, findings and boxes: what a reader of the images would see go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from palpate.report.model.description import TaskDescription
from palpate.report.model.schema import Series, SeriesPoint
from palpate.report.model.typed import Figure
from palpate.report.model.wording import Wording, reading


@dataclass(frozen=True)
class Extreme:
    """The attack that moves a figure most at a budget, and the figure."""

    attack: str
    point: SeriesPoint

    @property
    def value(self) -> float:
        """The figure."""
        return self.point.figure.value if self.point.figure.value is not None else float("nan")


def extreme(series: Series, eps: float, kept: Sequence[str]) -> Extreme | None:
    """The worst figure of a series at a budget: the lowest, the highest, or the one furthest from the clean one.

    Args:
        series: the figures.
        eps: the budget in stored values.
        kept: attacks that kept to their budget; others cannot be compared at the same eps.

    Returns:
        None where no attack has a figure there; the first of equals.
    """
    found = [
        Extreme(attack, point)
        for attack, points in series.attacks.items()
        for point in points
        if attack in kept and point.eps == eps and point.figure.value is not None
    ]
    clean = series.clean.value if series.clean is not None and series.clean.value is not None else 0.0
    order = {"higher": lambda one: one.value, "lower": lambda one: -one.value, "": lambda one: -abs(one.value - clean)}
    return min(found, key=order[series.better], default=None)


def headline(task: TaskDescription, series: Sequence[Series], eps: float, kept: Sequence[str]) -> str | None:
    """What changes at a budget: the end of a sentence whose subject is the change, in the plural.

    Returns:
        For example `bring the mean Dice of “left lung” from 0.97 down to 0.41 under cospgd`; None where nothing of
        the kind was measured.
    """
    describe = {"segmentation": _structure, "multilabel": _finding, "detection": _boxes}.get(task.kind)
    return None if describe is None else describe(task, series, eps, kept)


def _structure(task: TaskDescription, series: Sequence[Series], eps: float, kept: Sequence[str]) -> str | None:
    mine = [one for one in series if one.name == task.score and one.statistic == "mean" and _known(one.clean)]
    found = [(one, worst) for one in mine if (worst := extreme(one, eps, kept)) is not None]
    # The structure that is scored, or else that loses most; the image's mean only where no structure has figures.
    found = [pair for pair in found if pair[0].part == task.structure] if task.structure else found
    found = [pair for pair in found if pair[0].part] or found
    if not found:
        return None
    one, worst = max(found, key=lambda pair: _value(pair[0].clean) - pair[1].value)
    what = Wording(task).score + (f" of “{one.part}”" if one.part and not task.structure else "")
    before, after = reading(one, one.clean), reading(one, worst.point.figure)
    if worst.value >= _value(one.clean):
        return f"leave the {what} at {after}"
    return f"bring the {what} from {before} down to {after} under {worst.attack}"


def _finding(task: TaskDescription, series: Sequence[Series], eps: float, kept: Sequence[str]) -> str | None:
    mine = [one for one in series if one.name == "success" and one.part]
    found = [(one, worst) for one in mine if (worst := extreme(one, eps, kept)) is not None]
    if not found:
        return None
    one, worst = max(found, key=lambda pair: pair[1].value)
    count, total = worst.point.figure.count, worst.point.figure.total
    return (
        f"make the model misread “{one.part}” in {count} of the {total} images where it was correct, under "
        f"{worst.attack}"
    )


def _boxes(task: TaskDescription, series: Sequence[Series], eps: float, kept: Sequence[str]) -> str | None:
    recall = next((one for one in series if one.name == "recall" and not one.part), None)
    worst = None if recall is None else extreme(recall, eps, kept)
    if recall is None or recall.clean is None or worst is None:
        return None
    after = worst.point.figure
    return (
        f"let the model find {after.count} of {after.total} annotated boxes under {worst.attack}, "
        f"{recall.clean.count} of {recall.clean.total} without an attack"
    )


def _known(figure: Figure | None) -> bool:
    return figure is not None and figure.value is not None


def _value(figure: Figure | None) -> float:
    return figure.value if figure is not None and figure.value is not None else float("nan")

"""Which figure shows how well the model does with an artefact, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from palpate.report.model.description import TaskDescription
from palpate.report.model.schema_artefacts import ArtefactResults
from palpate.report.model.typed import Figure
from palpate.report.model.wording import READ_RIGHT, Wording
from palpate.report.model.words import NOTHING, interval, percent, ratio, ratio_interval


class Judged(Protocol):
    """Figures of some decisions: with an artefact, certified or attacked."""

    @property
    def acceptable(self) -> Figure:
        """Share of acceptable decisions."""

    @property
    def score(self) -> Figure:
        """Mean score."""


@dataclass(frozen=True)
class Scored:
    """The measure of a task: accuracy for classes, else the score that judges an image's result."""

    task: TaskDescription

    @property
    def name(self) -> str:
        """`accuracy`, `mean Dice`, `mean F1`, `share of findings read right`."""
        if self.task.classification:
            return "accuracy"
        name = Wording(self.task).score
        return name if name.startswith(("mean ", "share ")) else f"mean {name}"

    @property
    def subject(self) -> str:
        """The same in a sentence: `accuracy`, `the mean Dice`."""
        return self.name if self.task.classification else f"the {self.name}"

    @property
    def right(self) -> str:
        """What an image was before an artefact made it fail."""
        return "correct" if self.task.classification else "acceptable"

    @property
    def _in_percent(self) -> bool:
        return self.task.classification or self.task.score == READ_RIGHT

    def clean(self, item: ArtefactResults) -> Figure:
        """On the images as stored."""
        return item.clean_acceptable if self.task.classification else item.clean_score

    def of(self, decided: Judged) -> Figure:
        """Of some decisions."""
        return decided.acceptable if self.task.classification else decided.score

    def written(self, figure: Figure | None) -> str:
        """`91.2%` or `0.87`; a dash if it is undefined."""
        if figure is None or figure.value is None:
            return NOTHING
        return percent(figure.value) if self._in_percent else ratio(figure.value)

    def interval(self, figure: Figure | None) -> str:
        """Its 95% interval; empty without one."""
        if figure is None or figure.low is None or figure.high is None:
            return ""
        return interval(figure) if self._in_percent else ratio_interval(figure)

"""The terms of the report per kind of task: accuracy for classes, an acceptable result for masks and boxes."""

from __future__ import annotations

from dataclasses import dataclass

from palpate.report.model.description import TaskDescription
from palpate.report.model.schema import Series
from palpate.report.model.typed import Figure
from palpate.report.model.words import NOTHING, percent, ratio

_SCORES = {"dice": "mean Dice", "iou": "mean IoU", "f1": "F1"}
_PARTS = {"segmentation": "structure", "multilabel": "finding", "detection": "class of box"}
_TASKS = {
    "binary": "two classes",
    "multiclass": "several classes",
    "ordinal": "grades in order",
    "multilabel": "several findings per image",
    "segmentation": "masks",
    "detection": "boxes",
}
_TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "f1": "F1 of the boxes of an image",
    "hd95": "Hausdorff distance, 95th percentile",
    "surface_dice": "Surface Dice",
    "volume": "Volume",
    "volume_error": "Error of the volume",
    "area_error": "Error of the area",
    "area_under_roc": "AUROC",
    "success": "Success rate",
    "map50": "mAP at overlap 0.5",
    "map": "mAP at overlaps 0.5 to 0.95",
    "froc": "FROC score, mean recall at 1/8 to 8 false boxes per image",
    "recall": "Boxes found",
    "false_positives": "False boxes per image",
}
READ_RIGHT = "share of findings read right"
FRACTIONS = frozenset(
    {"dice", "iou", "f1", "surface_dice", "area_under_roc", "map50", "map", "froc", "recall", READ_RIGHT}
)
"""Series that run from 0 to 1; proportions do as well."""


@dataclass(frozen=True)
class Wording:
    """The words of one task."""

    task: TaskDescription

    @property
    def kind(self) -> str:
        """What the model decides."""
        return _TASKS[self.task.kind]

    @property
    def part(self) -> str:
        """What `task.classes` names: a class, structure, finding, or class of boxes."""
        return _PARTS.get(self.task.kind, "class")

    @property
    def score(self) -> str:
        """The score that judges an image's result."""
        name = _SCORES.get(self.task.score, self.task.score)
        if self.task.structure:
            return f"{name.removeprefix('mean ')} of “{self.task.structure}”"
        return name.removeprefix("mean ") if len(self.task.classes) == 1 else name

    @property
    def acceptable(self) -> str:
        """When a result is acceptable: `mean Dice above 0.5`."""
        if self.task.classification:
            return "decided correctly"
        if self.task.floor is None:
            return "every known finding read correctly" if self.task.kind == "multilabel" else "acceptable to the task"
        return f"{self.score} above {self.task.floor:g}"

    @property
    def kept(self) -> str:
        """What an image keeps that is not beaten: `a mean Dice above 0.5`."""
        if self.task.classification or self.task.floor is None:
            return f"an acceptable result ({self.acceptable})"
        return f"{'an' if self.acceptable[:1] in 'FAEIO' else 'a'} {self.acceptable}"

    @property
    def clean(self) -> str:
        """Name of the share without an attack."""
        return "Clean accuracy" if self.task.classification else "Acceptable without an attack"

    @property
    def robust(self) -> str:
        """Name of the share that is left under attack."""
        return "Robust accuracy" if self.task.classification else "Acceptable under attack"

    @property
    def share(self) -> str:
        """The share in a sentence."""
        return (
            "accuracy"
            if self.task.classification
            else f"the share of images with an acceptable result ({self.acceptable})"
        )

    @property
    def explained(self) -> str:
        """What the share counts."""
        if self.task.classification:
            return "the share of all images that the model decided correctly and that the attack did not beat"
        return (
            f"the share of the images with something to lose whose result was acceptable ({self.acceptable}) and that "
            "the attack did not beat"
        )

    @property
    def whole(self) -> str:
        """The row of a table about all parts together; with one class of box it is that class."""
        if self.task.kind == "detection" and len(self.task.classes) == 1:
            return self.task.classes[0]
        if self.task.structure:
            return f"{self.task.structure}, which is scored"
        return {"segmentation": "mean over structures", "multilabel": "all findings"}.get(self.task.kind, "all classes")


def title(series: Series) -> str:
    """A series as a heading, with its unit."""
    name = _TITLES.get(series.name, series.name.replace("_", " ").capitalize())
    name = f"{name}, median" if series.statistic == "median" else name
    return f"{name} ({series.unit.replace('mm2', 'mm²')})" if series.unit else name


def fractional(series: Series) -> bool:
    """Whether a series runs from 0 to 1."""
    return series.statistic == "share" or (series.name in FRACTIONS and not series.unit)


def _written(series: Series, value: float | None) -> str:
    if value is None:
        return NOTHING
    if series.statistic == "share":
        return percent(value)
    if fractional(series):
        return ratio(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return (f"{value:.{digits}f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}").replace("-", "−")


def reading(series: Series, figure: Figure | None) -> str:
    """A figure of a series: a percentage, a coefficient, or a number in its unit."""
    return _written(series, None if figure is None else figure.value)


def reading_interval(series: Series, figure: Figure | None) -> str:
    """Its interval; empty where there is none."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{_written(series, figure.low).removesuffix('%')} to {_written(series, figure.high)}"

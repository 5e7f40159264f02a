"""A run, read for the report: its description, its records as panels, and one set of bootstrap resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from palpate.errors import StorageError
from palpate.metrics.intervals import Estimate, Resampling, Share
from palpate.metrics.panel import FIELDS, Bools, Floats, Outcome, Panel, arrange
from palpate.metrics.statistics import Statistic
from palpate.report.model.description import AttackDescription, Description, read_description
from palpate.report.model.typed import Figure, visible
from palpate.storage.runs import RunFolder

UNTARGETED = "untargeted"
FEWER = 200
"""Bootstrap resamples for average precision, which takes a thousand times as long as a share."""


@dataclass(frozen=True, eq=False)
class RunReading:
    """The input of all parts of the report."""

    description: Description
    panel: Panel
    resampling: Resampling

    def outcome(self, attack: AttackDescription) -> Outcome | None:
        """The records of a planned attack; None without records."""
        return next((one for one in self.panel.outcomes if visible(one.attack) == attack.name), None)

    def fraction(self, eps: float) -> float:
        """A budget as a fraction of the range of stored values."""
        return eps / self.description.data.extent

    def proportion(self, share: Share, empty: str = "No image counts here.") -> Figure:
        """A proportion with its interval; `empty` says why it may have no denominator."""
        return figure_of(self.resampling.proportion(share, empty))

    def per_class(self, share: Share) -> list[Figure]:
        """The proportion within each class; nothing where images have no class."""
        if not self.description.task.classification:
            return []
        labels = self.panel.images.label
        return [
            self.proportion(share.within(labels == index), f"No image of class {name} counts here.")
            for index, name in enumerate(self.description.task.classes)
        ]

    def mean(self, values: Floats, among: Bools, note: str) -> Figure:
        """The mean of a measure with its interval; `note` says why it may be undefined."""
        return figure_of(self.resampling.mean(values, among, note))

    def statistic(self, statistic: Statistic, note: str) -> Figure:
        """Any other figure with its bootstrap interval."""
        return figure_of(self.resampling.estimate(statistic, note))

    def costly(self, statistic: Statistic, note: str) -> Figure:
        """A figure that takes long to compute: from `FEWER` resamples."""
        return figure_of(self._fewer.estimate(statistic, note))

    @cached_property
    def _fewer(self) -> Resampling:
        return replace(self.resampling, replicates=FEWER)


def read(run: RunFolder) -> RunReading:
    """Read a run folder.

    Raises:
        StorageError: a file is missing or damaged, or records and `run.json` do not belong together.
    """
    description = read_description(run)
    if description.status == "finished" and not run.complete():
        # A file was lost since; the gates were measured with it.
        description = description.model_copy(update={"status": "unfinished", "gates": []})
    panel = arrange(run.frame(fields=FIELDS))
    planned = {attack.name for attack in description.attacks}
    unknown = [outcome.attack for outcome in panel.outcomes if visible(outcome.attack) not in planned]
    if unknown:
        raise StorageError(
            f"{run.path}: there are records of '{visible(unknown[0])}', which run.json does not name. "
            "This folder holds records of another run; restore it, or run the audit into a new one."
        )
    if description.task.classification:
        decided = [outcome.prediction[outcome.recorded] for outcome in panel.outcomes]
        columns = [panel.images.label, panel.images.clean_prediction, *decided]
        _check_classes(run, columns, len(description.task.classes))
    _check_lists(run, description, panel)
    _check_post_processing(run, description, panel)
    return RunReading(description, panel, Resampling(panel.images.group))


def _check_classes(run: RunFolder, columns: Sequence[np.ndarray], classes: int) -> None:
    for column in columns:
        if column.size and not (column.min() >= 0 and column.max() < classes):
            raise StorageError(
                f"{run.path}: a record names a class outside 0 to {classes - 1}. The records are damaged."
            )


def _check_lists(run: RunFolder, description: Description, panel: Panel) -> None:
    task = description.task
    if panel.images.count and panel.images.measures.shape[1] != len(task.measures):
        raise StorageError(
            f"{run.path}: records hold {panel.images.measures.shape[1]} measures and run.json names "
            f"{len(task.measures)} (task.measures). They do not belong together; restore the folder."
        )
    found = [panel.images.found, *(outcome.found[outcome.recorded] for outcome in panel.outcomes)]
    widths = {"multilabel": (len(task.classes), len(task.classes)), "detection": (5, 6)}.get(task.kind)
    if widths is None:
        return
    for lists, width in ((panel.images.truth, widths[0]), *((one, widths[1]) for one in found)):
        if any(size % width or (task.kind == "multilabel" and size != width) for size in lists.widths):
            raise StorageError(f"{run.path}: a record holds only a part of its findings or boxes: it is damaged.")
        if task.kind == "detection":
            _check_classes(run, [lists.flat()[::width]], len(task.classes))


def _check_post_processing(run: RunFolder, description: Description, panel: Panel) -> None:
    named = len(description.handlings)
    for outcome in panel.outcomes:
        for margins in (outcome.handled, outcome.clean_handled):
            if margins.shape[-1] not in {0, named}:
                raise StorageError(
                    f"{run.path}: records hold margins after {margins.shape[-1]} post-processing steps and run.json "
                    f"names {named} (handlings). They do not belong together; restore the folder."
                )


def figure_of(estimate: Estimate) -> Figure:
    """An estimate as a figure of `results.json`, which remembers what it was computed from."""
    figure = Figure.model_validate(estimate, from_attributes=True)
    figure._origin = estimate.origin
    return figure

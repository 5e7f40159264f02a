"""The figures of artefacts, and the sentence that puts them beside the attacks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from palpate.errors import StorageError
from palpate.metrics.artefacts import (
    SEVERITIES,
    ArtefactOutcome,
    Kind,
    arrange_artefacts,
    balanced,
    clean_errors,
    errors,
    mean_of,
    median_severity,
)
from palpate.metrics.intervals import Resampling, percentiles
from palpate.metrics.panel import Bools, Floats
from palpate.report.compute.reading import RunReading, figure_of
from palpate.report.model.description_artefacts import ArtefactDescription
from palpate.report.model.schema_artefacts import (
    ArtefactMeasure,
    ArtefactPoint,
    ArtefactResults,
    ArtefactSummary,
    ArtefactWorst,
    FirstFailing,
)
from palpate.report.model.typed import Figure
from palpate.storage.runs import RunFolder

_NOTHING = "Nothing has finished."
_UNDEFINED = "It is not defined for any image."


def measure_artefacts(run: RunFolder, reading: RunReading) -> ArtefactSummary | None:
    """The figures of all artefacts of a run; None if its plan has none.

    Raises:
        StorageError: rows of artefacts are damaged, or do not belong to `run.json`.
    """
    described = reading.description.artefacts
    if described is None:
        return None
    outcomes = {one.item: one for one in arrange_artefacts(run.artefact_frame(), reading.description.task.disease)}
    if unknown := set(outcomes) - {item.item for item in described.items}:
        raise StorageError(f"{run.path}: there are rows of an artefact {min(unknown)[:8]} that run.json does not name.")
    items = [_Measured(reading, item, outcomes.get(item.item)).results() for item in described.items]
    everything = [outcome for outcome in outcomes.values() if outcome.count == reading.panel.images.count]
    return ArtefactSummary(
        modality=described.modality,
        sentence=sentence(reading, items),
        corruption_error=_together(reading, everything, added=False),
        added_error=_together(reading, everything, added=True),
        items=items,
    )


def _together(reading: RunReading, outcomes: Sequence[ArtefactOutcome], *, added: bool) -> Figure | None:
    """The mean of the errors of all artefacts that were tried on all images."""
    if not outcomes:
        return None
    classes = reading.description.task.classification
    made = np.stack([_error(outcome, classes, added=added) for outcome in outcomes])
    first = outcomes[0]
    return figure_of(Resampling(first.group).estimate(balanced(mean_of(made), first.label), _UNDEFINED))


def _error(outcome: ArtefactOutcome, classes: bool, *, added: bool) -> Floats:
    """The error of each image over the severities; `added` to that of the image as stored."""
    error = errors(outcome, classes)
    return error - clean_errors(outcome, classes) if added else error


class _Measured:
    """The figures of one artefact."""

    def __init__(self, reading: RunReading, described: ArtefactDescription, outcome: ArtefactOutcome | None):
        self.reading, self.described, self.outcome = reading, described, outcome
        self.resampling = Resampling(np.zeros(0, dtype=np.int64) if outcome is None else outcome.group)

    def results(self) -> ArtefactResults:
        """Everything."""
        described, outcome = self.described, self.outcome
        names = ("name", "item", "catalog", "goal", "summary", "reference", "parameters", "levels", "moves", "ladder")
        shared: dict[str, Any] = {name: getattr(described, name) for name in (*names, "seconds")}
        shared |= {"searched": float(described.ladder["severity"]), "tries": int(described.ladder["tries"])}
        if outcome is None:
            nothing = figure_of(self.resampling.mean(np.zeros(0), np.zeros(0, dtype=bool), _NOTHING))
            return ArtefactResults(
                **shared, images=0, clean_acceptable=nothing, clean_score=nothing, points=[], worst_of=None, worst=None,
                measures=[], first_failing=None, corruption_error=None, added_error=None, found_by={}, queries=0,
                left=0,
            )  # fmt: skip
        return ArtefactResults(
            **shared,
            images=outcome.count,
            clean_acceptable=self.mean(outcome.clean.right.astype(np.float64)),
            clean_score=self.mean(outcome.clean.score),
            points=[self.point(place) for place in range(len(SEVERITIES)) if outcome.draws[place]],
            worst_of=self.worst(outcome.worst_of),
            worst=self.worst(outcome.found),
            measures=self.measures(),
            first_failing=self.failing(),
            corruption_error=self.error(added=False),
            added_error=self.error(added=True),
            found_by=dict(Counter(outcome.found.step)),
            queries=int(outcome.queries.sum()),
            left=int(outcome.left.sum()),
        )

    def mean(self, values: Floats, among: Bools | None = None) -> Figure:
        """The mean over the images where a value is defined."""
        counted = np.ones(values.size, dtype=bool) if among is None else among
        return figure_of(self.resampling.mean(values, counted, _UNDEFINED))

    def error(self, *, added: bool) -> Figure:
        """The error over all severities, balanced over the classes."""
        outcome = self._known()
        error = _error(outcome, self.reading.description.task.classification, added=added)
        return figure_of(self.resampling.estimate(balanced(error, outcome.label), _UNDEFINED))

    def directed(self, values: Floats) -> Figure | None:
        """The mean of a direction; None if the plan names no disease."""
        return self.mean(values) if self.reading.description.task.disease else None

    def point(self, place: int) -> ArtefactPoint:
        """The random artefacts of one severity."""
        outcome = self._known()
        return ArtefactPoint(
            severity=SEVERITIES[place],
            words=self.described.levels[place],
            draws=int(outcome.draws[place]),
            acceptable=self.mean(outcome.right[place]),
            score=self.mean(outcome.score[place]),
            missed_disease=self.directed(outcome.missed[place]),
            invented_disease=self.directed(outcome.invented[place]),
        )

    def worst(self, kind: Kind) -> ArtefactWorst:
        """One artefact per image."""
        eligible = self._known().eligible
        return ArtefactWorst(
            acceptable=self.mean(kind.right.astype(np.float64)),
            score=self.mean(kind.score),
            missed_disease=self.directed(kind.missed),
            invented_disease=self.directed(kind.invented),
            failed=int((eligible & (kind.margin <= 0)).sum()),
            eligible=int(eligible.sum()),
        )

    def measures(self) -> list[ArtefactMeasure]:
        """The task's measures before, and with the worst artefact."""
        outcome, named = self._known(), self.reading.description.task.measures
        if outcome.clean.measures.shape[1] != len(named):
            raise StorageError("Rows of artefacts and run.json name different measures. Restore the run folder.")
        return [
            ArtefactMeasure(
                name=measure.name,
                part=measure.part,
                unit=measure.unit,
                clean=self.mean(outcome.clean.measures[:, place]),
                worst=self.mean(outcome.found.measures[:, place]),
            )
            for place, measure in enumerate(named)
        ]

    def failing(self) -> FirstFailing:
        """The smallest severity found at which images fail."""
        outcome = self._known()
        median = median_severity(outcome.failing, outcome.eligible)

        def resampled(weights: Floats) -> Floats:
            order = np.argsort(outcome.failing, kind="stable")
            counted = (weights * outcome.eligible)[:, order].cumsum(axis=1)
            half = counted[:, -1:] / 2
            first = (counted >= half).argmax(axis=1)
            return np.where(half[:, 0] > 0, outcome.failing[order][first], np.nan)

        low, high = percentiles(self.resampling.resampled(resampled), self.resampling.groups, ordered=True)
        known = math.isfinite(median)
        return FirstFailing(
            median=median,
            low=low,
            high=high,
            words=self.described.strengths(median) if known else "",
            failed=int((outcome.eligible & np.isfinite(outcome.failing)).sum()),
            eligible=int(outcome.eligible.sum()),
        )

    def _known(self) -> ArtefactOutcome:
        assert self.outcome is not None
        return self.outcome


def sentence(reading: RunReading, items: Sequence[ArtefactResults]) -> str:
    """The artefact that fails most images, beside the smallest change by which an adversary beats half of them."""
    done = [item for item in items if item.worst is not None and item.worst.eligible]
    if not done:
        return "No artefact has finished on an image that was right before."
    hardest = max(done, key=lambda item: item.worst.failed / item.worst.eligible if item.worst else 0.0)
    assert hardest.worst is not None
    strengths = hardest.levels[min(int(hardest.searched), 5) - 1] if hardest.searched >= 1 else hardest.levels[0]
    return (
        f"{hardest.name.capitalize().replace('-', ' ')} ({strengths}, at the worst place found) makes "
        f"{hardest.worst.failed} of {hardest.worst.eligible} images fail that were right before."
    )

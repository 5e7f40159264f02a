"""The figures of artefacts."""

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
from palpate.metrics.intervals import Resampling, Share, percentiles
from palpate.metrics.panel import Bools, Floats
from palpate.metrics.robustness import worst_success
from palpate.report.compute.artefacts.sentences import details, first_to_fail, sentence, side_by_side
from palpate.report.compute.reading import UNTARGETED, RunReading, figure_of
from palpate.report.model.description_artefacts import ArtefactDescription
from palpate.report.model.schema import WorstCase
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


def measure_artefacts(run: RunFolder, reading: RunReading, worst: Sequence[WorstCase]) -> ArtefactSummary | None:
    """The figures of all artefacts of a run; None if its plan has none.

    Args:
        run: the run folder.
        reading: its description and records.
        worst: all attacks of each goal together, for the sentence that compares them with the artefacts.

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
    complete = [outcome for outcome in outcomes.values() if outcome.count == reading.description.data.images]
    task = reading.description.task
    telling = first_to_fail(items)
    sets = None if telling is None else (_attacked(reading), _tried(outcomes[telling.item]))
    return ArtefactSummary(
        modality=described.modality,
        sentence=sentence(task, items),
        details=details(task, items, reading.description.data.images),
        side_by_side=side_by_side(reading.description, worst, items, sets),
        corruption_error=_together(reading, complete, added=False),
        added_error=_together(reading, complete, added=True),
        reference="" if described.reference is None else f"{described.reference.title}: {described.reference.model}",
        relative_error=_mean([item.relative_error for item in items]),
        relative_added_error=_mean([item.relative_added_error for item in items]),
        items=items,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _attacked(reading: RunReading) -> frozenset[int]:
    """Rows of the images that untargeted attacks can win; none without a record of one."""
    images, outcomes = reading.panel.images, reading.panel.of(UNTARGETED)
    return frozenset(images.row[worst_success(images, outcomes, 0.0).among].tolist()) if outcomes else frozenset()


def _tried(outcome: ArtefactOutcome) -> frozenset[int]:
    """Rows of the images that an artefact can make fail."""
    return frozenset(outcome.row[outcome.eligible].tolist())


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
        names = ("name", "item", "catalog", "goal", "summary", "reference", "parameters", "moves", "ladder", "seconds")
        shared: dict[str, Any] = {name: getattr(described, name) for name in (*names, "searched")}
        shared |= {"tries": int(described.ladder["tries"]), "levels": [*map(described.strengths, SEVERITIES)]}
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
            clean_acceptable=self.share(outcome.clean.right.astype(np.float64)),
            clean_score=self.mean(outcome.clean.score),
            points=[self.point(place) for place in range(len(SEVERITIES)) if outcome.draws[place]],
            worst_of=self.worst(outcome.worst_of),
            worst=self.worst(outcome.found),
            measures=self.measures(),
            first_failing=self.failing(),
            corruption_error=self.error(added=False),
            added_error=self.error(added=True),
            **self.relative(),
            found_by=dict(Counter(outcome.found.step)),
            queries=int(outcome.queries.sum()),
            left=int(outcome.left.sum()),
        )

    def mean(self, values: Floats, among: Bools | None = None) -> Figure:
        """The mean over the images where a value is defined."""
        counted = np.ones(values.size, dtype=bool) if among is None else among
        return figure_of(self.resampling.mean(values, counted, _UNDEFINED))

    def share(self, values: Floats) -> Figure:
        """The share of the images whose value is 1, of those where it is defined, with the interval of all shares."""
        return figure_of(self.resampling.proportion(Share(values == 1, np.isfinite(values)), _UNDEFINED))

    def error(self, *, added: bool) -> Figure:
        """The error over all severities, balanced over the classes."""
        outcome = self._known()
        error = _error(outcome, self.reading.description.task.classification, added=added)
        return figure_of(self.resampling.estimate(balanced(error, outcome.label), _UNDEFINED))

    def relative(self) -> dict[str, Any]:
        """Both errors divided by those of the reference model."""
        reference, item = self.reading.description.artefacts.reference, self.described.item  # type: ignore[union-attr]
        error, added = (self.error(added=added).value for added in (False, True))
        theirs = None if reference is None else reference.errors.get(item)
        clean = None if reference is None else reference.clean.get(item)
        lost = None if theirs is None or clean is None else theirs - clean
        return {
            "relative_error": error / theirs if theirs and error is not None else None,
            "relative_added_error": added / lost if lost and lost > 0 and added is not None else None,
        }

    def directed(self, values: Floats, *, single: bool = False) -> Figure | None:
        """The mean of a direction, or its share with one artefact per image; None if the plan names no disease."""
        if not self.reading.description.task.disease:
            return None
        return self.share(values) if single else self.mean(values)

    def point(self, place: int) -> ArtefactPoint:
        """The random artefacts of one severity."""
        outcome = self._known()
        return ArtefactPoint(
            severity=SEVERITIES[place],
            words=self.described.strengths(SEVERITIES[place]),
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
            acceptable=self.share(kind.right.astype(np.float64)),
            score=self.mean(kind.score),
            missed_disease=self.directed(kind.missed, single=True),
            invented_disease=self.directed(kind.invented, single=True),
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
            reached=int((outcome.eligible & (outcome.failing <= median)).sum()) if known else 0,
            failed=int((outcome.eligible & np.isfinite(outcome.failing)).sum()),
            eligible=int(outcome.eligible.sum()),
        )

    def _known(self) -> ArtefactOutcome:
        assert self.outcome is not None
        return self.outcome

"""The figures of certificates."""

from __future__ import annotations

from typing import Any

import numpy as np

from palpate.errors import StorageError
from palpate.metrics.certificates import CertificateOutcome, Side, arrange_certificates
from palpate.metrics.intervals import Resampling, Share
from palpate.metrics.panel import Bools, Floats
from palpate.report.compute.certificates.sentences import details, sentence
from palpate.report.compute.reading import RunReading, figure_of
from palpate.report.model.description_certificates import CertificateDescription
from palpate.report.model.schema_certificates import (
    BoundFigures,
    CertificateResults,
    CertificateSummary,
    CertifiedPart,
    CertifiedPoint,
)
from palpate.report.model.typed import Figure
from palpate.storage.runs import RunFolder

_NOTHING = "Nothing has finished."
_UNDEFINED = "It is not defined for any image."


def measure_certificates(run: RunFolder, reading: RunReading) -> CertificateSummary | None:
    """The figures of all certificates of a run; None if its plan has none.

    Raises:
        StorageError: rows of certificates are damaged, or do not belong to `run.json`.
    """
    described = reading.description.certificates
    if described is None:
        return None
    outcomes = {one.item: one for one in arrange_certificates(run.certificate_frame())}
    if unknown := set(outcomes) - {item.item for item in described.items}:
        raise StorageError(f"{run.path}: there are certificates {min(unknown)[:8]} that run.json does not name.")
    parts = described.parts
    items = [_Measured(reading, parts, item, outcomes.get(item.item)).results() for item in described.items]
    return CertificateSummary(
        sentence=sentence(reading.description, items),
        details=details(reading.description, items),
        images=described.images,
        items=items,
    )


class _Measured:
    """The figures of one sigma."""

    def __init__(
        self,
        reading: RunReading,
        parts: list[tuple[str, str]],
        described: CertificateDescription,
        outcome: CertificateOutcome | None,
    ):
        self.parts, self.described, self.outcome = parts, described, outcome
        self.classes = reading.description.task.classification
        self.resampling = Resampling(np.zeros(0, dtype=np.int64) if outcome is None else outcome.group)

    def results(self) -> CertificateResults:
        """Everything."""
        described, outcome = self.described, self.outcome
        names = ("sigma", "samples", "select", "confidence", "tau", "tau_radius", "largest", "attack", "steps", "draws")
        shared: dict[str, Any] = {name: getattr(described, name) for name in (*names, "seconds")}
        if outcome is None:
            nothing = figure_of(self.resampling.mean(np.zeros(0), np.zeros(0, dtype=bool), _NOTHING))
            return CertificateResults(
                **shared, images=0, clean=BoundFigures(acceptable=nothing, score=nothing), smoothed=None,
                unsettled=nothing, median_radius=None, points=[], forwards=0, backwards=0,
            )  # fmt: skip
        if len(self.parts) != outcome.least.parts.shape[2]:
            raise StorageError("Rows of certificates and run.json name different parts. Restore the run folder.")
        decided = outcome.prediction == outcome.label
        return CertificateResults(
            **shared,
            images=outcome.count,
            clean=BoundFigures(acceptable=self.share(outcome.clean_right), score=self.mean(outcome.clean_score)),
            smoothed=self.share(decided) if self.classes else self.mean(outcome.least.score[0]),
            unsettled=self.share(outcome.unsettled > 0) if self.classes else self.mean(outcome.unsettled),
            median_radius=self.median() if self.classes else None,
            points=[self.point(place) for place in range(outcome.radii.size)],
            forwards=int(outcome.forwards.sum()),
            backwards=int(outcome.backwards.sum()),
        )

    def share(self, hits: Bools) -> Figure:
        """A share of the images."""
        return figure_of(self.resampling.proportion(Share(hits, np.ones(hits.size, dtype=bool))))

    def mean(self, values: Floats) -> Figure:
        """The mean over the images where a value is defined."""
        return figure_of(self.resampling.mean(values, np.ones(values.size, dtype=bool), _UNDEFINED))

    def point(self, place: int) -> CertifiedPoint:
        """One radius."""
        outcome = self._known()
        return CertifiedPoint(
            radius=float(outcome.radii[place]),
            certified=self.bounds(outcome.least, place),
            attacked=self.bounds(outcome.most, place) if self.described.attack or not place else None,
            abstained=self.mean(outcome.abstained[place]),
            parts=[
                CertifiedPart(
                    name=name,
                    part=part,
                    least=self.mean(outcome.least.parts[place, :, index]),
                    most=self.mean(outcome.most.parts[place, :, index]),
                )
                for index, (name, part) in enumerate(self.parts)
            ],
        )

    def bounds(self, side: Side, place: int) -> BoundFigures:
        """The lower bounds at a radius, or the upper ones."""
        return BoundFigures(acceptable=self.share(side.acceptable[place]), score=self.mean(side.score[place]))

    def median(self) -> float | None:
        """The radius for which at least half of the images are certified with the right class."""
        outcome = self._known()
        right = np.where(outcome.least.acceptable[0], outcome.certified, 0.0)
        half = float(np.sort(right)[::-1][(right.size + 1) // 2 - 1])
        return half if half > 0 else None

    def _known(self) -> CertificateOutcome:
        assert self.outcome is not None
        return self.outcome

"""The part of `results.json` about artefacts of acquisition."""

from __future__ import annotations

from palpate.report.model.description_artefacts import ParameterDescription
from palpate.report.model.typed import Figure, JsonObject, Number, Settings, Text


class ArtefactPoint(JsonObject):
    """Random artefacts of one severity."""

    severity: float
    words: Text
    """The strengths at this severity."""
    draws: int
    """Random artefacts of each image."""
    acceptable: Figure
    """Share of acceptable decisions over all draws: of each image the share of its draws, then the mean over images."""
    score: Figure
    """Mean score over all draws."""
    missed_disease: Figure | None
    """Share of the draws on disease images that are decided as healthy; null if the plan names no disease."""
    invented_disease: Figure | None
    """Share of the draws on healthy images that are decided as diseased."""


class ArtefactMeasure(JsonObject):
    """One measure of the task: before, and with the worst artefact found."""

    name: Text
    part: Text
    unit: Text
    clean: Figure
    worst: Figure


class ArtefactWorst(JsonObject):
    """One artefact per image, the worst of those that were tried."""

    acceptable: Figure
    score: Figure
    missed_disease: Figure | None
    invented_disease: Figure | None
    failed: int
    """Eligible images that fail with it."""
    eligible: int
    """Images on which the search's goal applies and was not reached before."""


class FirstFailing(JsonObject):
    """The smallest severity found at which an image fails, over the eligible images."""

    median: Number
    """The severity at which half of them have failed; null if fewer than half ever failed."""
    low: Number
    """Lower end of its 95% interval, by patient."""
    high: Number
    """Upper end; null if it is beyond severity 5."""
    words: Text
    """The strengths at the median; empty without one."""
    reached: int
    """Images that fail at the median or below it; 0 without one."""
    failed: int
    """Images that fail at some severity up to 5."""
    eligible: int


class ArtefactResults(JsonObject):
    """One artefact."""

    name: Text
    item: Text
    catalog: Text
    goal: Text
    summary: Text
    reference: Text
    parameters: list[ParameterDescription]
    levels: list[Text]
    """The strengths at severities 1 to 5, in words."""
    moves: bool
    """Anatomy moves, and annotations with it."""
    images: int
    clean_acceptable: Figure
    clean_score: Figure
    points: list[ArtefactPoint]
    searched: float
    """The severity at which the worst case was searched."""
    tries: int
    """k of the worst of k."""
    worst_of: ArtefactWorst | None
    """The worst of k random artefacts of each image; null if nothing has finished."""
    worst: ArtefactWorst | None
    """The worst that the whole search found for each image."""
    measures: list[ArtefactMeasure]
    first_failing: FirstFailing | None
    corruption_error: Figure | None
    """1 minus the mean score over the five severities; for classes 1 minus the balanced accuracy (balanced error)."""
    added_error: Figure | None
    """The corruption error minus the error on the images as stored."""
    relative_error: Number = None
    """The corruption error divided by that of the reference model; null without one."""
    relative_added_error: Number = None
    """The added error divided by that of the reference model; null without one, or if that model loses nothing."""
    found_by: dict[str, int]
    """For how many images each step of the search found the worst."""
    queries: int
    """Images that the model was asked about, all together."""
    left: int
    """Artefacts that were not allowed, because half of what is annotated left the image."""
    ladder: Settings
    seconds: Number


class ArtefactSummary(JsonObject):
    """All artefacts together."""

    modality: Text
    sentence: Text
    """What the artefact does that makes most images fail."""
    details: list[Text]
    """Further sentences: random artefacts of the same severity, and what is not finished."""
    side_by_side: Text
    """What an adversary needs to beat half of the images, and the severity at which an artefact does it too."""
    corruption_error: Figure | None
    """Mean of the artefacts' corruption errors."""
    added_error: Figure | None
    """That minus the error of the same model on the images as stored, its reference."""
    reference: Text = ""
    """The reference model in words; empty without one."""
    relative_error: Number = None
    """Mean of the relative errors over the artefacts (mCE); null without a reference."""
    relative_added_error: Number = None
    """Mean of the relative added errors over the artefacts (relative mCE); null without a reference."""
    items: list[ArtefactResults]

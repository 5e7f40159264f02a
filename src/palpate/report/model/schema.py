"""The shape of `results.json`: every figure of a report, with its interval and its denominator.

Numbers are null where they are undefined, and then `note` gives the reason. Rates and accuracies are fractions from 0
to 1; eps and distances are in values, whose unit is `data.unit`. `accuracy`, `robust_accuracy` and all figures based on
them count images with an acceptable result: the true class, or a score above the task's floor.

`python -m palpate.report FILE` writes the JSON schema.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from palpate.docstrings import Described
from palpate.report.model.description import (
    AuditedModel,
    DataDescription,
    GateDescription,
    TaskDescription,
    ThreatDescription,
)
from palpate.report.model.learned import LearnedChange
from palpate.report.model.schema_artefacts import ArtefactSummary
from palpate.report.model.schema_certificates import CertificateSummary
from palpate.report.model.schema_clinic import BudgetResults, Subgroups, SurvivalResults
from palpate.report.model.schema_quality import Validity
from palpate.report.model.schema_stability import Stability
from palpate.report.model.schema_stages import StagePoint
from palpate.report.model.typed import Figure, JsonObject, Number, Settings, Text

RESULTS_VERSION = 4
"""It increases when a field is removed or changes its meaning."""


class Grading(JsonObject):
    """Figures of a grader or detector."""

    quadratic_kappa: Figure | None
    """Agreement of decided with true grades; null if the classes have no order."""
    sensitivity: Figure | None
    """Disease images decided as disease; null if the plan names no disease."""
    specificity: Figure | None
    """Healthy images decided as healthy; null if the plan names no disease."""
    area_under_roc: Figure | None
    """Chance that a disease image scores higher than a healthy one; null if the plan names no disease."""


class Directions(JsonObject):
    """The direction of the model's errors."""

    missed_disease: Figure
    """Disease images decided as healthy, over the disease images."""
    invented_disease: Figure
    """Healthy images decided as disease, over the healthy images."""


class SmallestEps(JsonObject):
    """The smallest tried budget that beats an image, over the eligible images."""

    median: Number
    """At this budget at least half of the eligible images were beaten; null if fewer than half ever were."""
    fallen: int
    """Eligible images that were beaten at some budget."""
    eligible: int
    """Images that were correct before and to which the goal applies."""


class Clean(JsonObject):
    """The model before any attack."""

    accuracy: Figure
    """Images with an acceptable result (decided correctly, score above the floor), over all images."""
    attackable: Figure
    """The same over the images with something to lose, which are those that robust accuracy counts."""
    nothing_to_lose: int
    """Images in which nothing that is scored is annotated: no box, no structure, no known finding."""
    per_class: list[Figure]
    """The same for each class; empty if the task is not a classification."""
    directions: Directions | None
    """Null if the plan names no disease."""
    grading: Grading


class AttackPoint(JsonObject):
    """One attack at one budget."""

    eps: float
    """Budget in stored values."""
    fraction: float
    """Budget as a fraction of the range of stored values."""
    success_rate: Figure
    """Eligible images on which the goal was reached, over the eligible ones."""
    robust_accuracy: Figure | None
    """Images acceptable before and not beaten, over the images with something to lose; null for goals other than
    `untargeted`."""
    standing: int
    """Eligible images that were not beaten at this budget."""
    held: int
    """Those of them that were not attacked at this budget, because they withstood a larger one."""
    per_class: list[Figure]
    """Robust accuracy of each class; for goals other than `untargeted` the success rate of each class. Empty if
    the task is not a classification."""
    directions: Directions | None
    """Null if the plan names no disease."""
    grading: Grading


class Confirmed(JsonObject):
    """One budget of a curve that was read from one search, against attacks that ran at exactly this budget."""

    eps: float
    """Budget in stored values."""
    standing: int
    """Images that the search left standing."""
    checked: int
    """Those of them that another attack of the goal attacked at this budget."""
    fell: int
    """Those of them that it beat, which the search missed."""
    by: list[Text]
    """The attacks that ran at this budget."""
    confirmed: bool | None
    """Whether all that stand were attacked at this budget and none fell; null if none was attacked."""


class SmallestChange(JsonObject):
    """The smallest change that beats each image, from one search at the largest budget."""

    median: Number
    """Size of change at which at least half of the eligible images are beaten; null if fewer than half are."""
    withstood: Figure
    """Mean share of the budgets from 0 to the largest that an eligible image withstands: the area under the curve."""
    fallen: int
    """Eligible images that some change within the largest budget beats."""
    eligible: int
    """Images that were correct before and to which the goal applies."""
    points: list[Confirmed]
    """One entry per budget, smallest first."""


class AttackResults(JsonObject):
    """One attack: its results and its cost."""

    name: Text
    item: Text
    catalog: Text
    goal: Text
    kind: Literal["gradient-free", "single-step", "iterative"] | None
    """How it uses gradients, from the passes that it spent; null without records."""
    summary: Text
    parameters: Settings
    reference: Text
    robust_to: list[Text]
    """Post-processing steps over which the attack maximised the expectation."""
    images: int
    """Images that it finished."""
    eligible: int
    """Images that were correct before and to which the goal applies."""
    outside_budget: int
    """Beaten images whose change is larger than the budget; above 0 its rows cannot be compared at the same eps."""
    points: list[AttackPoint]
    """One entry per budget, smallest first."""
    smallest_eps: SmallestEps
    smallest_change: SmallestChange | None = None
    """Null if its budgets were attacked one by one."""
    stages: list[StagePoint] = Field(default_factory=list)
    """For an attack of several stages what each did, one entry per budget, smallest first; empty for others."""
    learned_changes: list[LearnedChange] = Field(default_factory=list)
    """Of an attack that learns one change for many images, its groups."""
    forwards: int
    """Forward passes, one image each."""
    backwards: int
    """Backward passes, one image each."""
    seconds: Number
    """Wall time."""


class WorstPoint(JsonObject):
    """All attacks of one goal together, at one budget."""

    eps: float
    """Budget in stored values."""
    fraction: float
    """Budget as a fraction of the range of stored values."""
    figure: Figure
    """Robust accuracy for the goal `untargeted`, else the success rate."""
    per_class: list[Figure]
    """The same for each class."""


class WorstCase(JsonObject):
    """All attacks of one goal together: one adversarial image within the budget is enough to beat an image."""

    goal: Text
    attacks: list[Text]
    """The attacks that count."""
    points: list[WorstPoint]
    """One entry per budget, smallest first."""
    smallest_eps: SmallestEps


class WorstGrading(JsonObject):
    """The figures of a grader or detector over all attacks and goals together, at one budget.

    For each image the worst result counts over its adversarial images within the budget: sensitivity and specificity
    with its worst decision, the area under the ROC curve with the lowest disease score of each disease image and the
    highest of each healthy one, kappa with the grade furthest from the true one (or with the grades of one attack on
    all images, if these give a lower kappa).
    """

    eps: float
    fraction: float
    grading: Grading


class WorstDirections(JsonObject):
    """Clinical direction over all attacks and goals together, at one budget."""

    eps: float
    fraction: float
    directions: Directions


class Comparison(JsonObject):
    """Two attacks of one goal, image by image, at one budget."""

    goal: Text
    eps: float
    first: Text
    second: Text
    both: int
    """Images that both beat."""
    only_first: int
    """Images that only the first beat."""
    only_second: int
    """Images that only the second beat."""
    neither: int
    """Images that neither attack beat."""
    p: float
    """Two-sided p of sign flips by group; McNemar's exact test if every image is a separate group."""
    p_holm: float
    """The same after Holm's adjustment over the comparisons of the goal, which are all tests that were made."""


class SeriesPoint(JsonObject):
    """One figure of a series under an attack at one budget."""

    eps: float
    """Budget in stored values."""
    figure: Figure
    """The figure over the images that have a record and in which it is defined, here and without an attack."""
    undefined: int = 0
    """Images that have a record and in which it is undefined, here or without an attack."""
    clean: Figure | None = None
    """Without an attack over the same images; null if these are the images of the series' clean figure."""


class Series(JsonObject):
    """One figure of a structure, a finding, a class of boxes or the whole image: clean and under every attack."""

    name: Text
    """`dice`, `hd95`, `sensitivity`, `area_under_roc`, `map50` and so on."""
    part: Text
    """The structure, finding or class of boxes; empty for the whole image."""
    statistic: Literal["mean", "median", "share", "pooled"]
    """Over the images: mean or median of a measure, a proportion, or one figure of all images together (mAP, AUROC)."""
    unit: Text
    """`mm`, `ml`, `px`, `voxel`, or empty."""
    better: Literal["higher", "lower", ""]
    """Whether higher or lower is better; empty for neither."""
    clean: Figure | None
    """Without an attack; null for a success rate."""
    clean_undefined: int = 0
    """Images in which it is undefined without an attack."""
    attacks: dict[Text, list[SeriesPoint]]
    """Attack -> one entry per budget, smallest first."""
    worst: list[SeriesPoint]
    """The worst case over all attacks and goals, one entry per budget: of each image the worst value over its
    adversarial images within the budget. A measure without a better direction has the highest or the lowest values,
    whichever mean is further from the clean one. Average precision and FROC have the detections of each image with the
    lowest confidence of found minus wrong boxes, or those of one attack on all images if that is lower."""


class Froc(JsonObject):
    """A free-response ROC curve: boxes found against false boxes per image, over all confidences."""

    attack: Text | None
    """Null without an attack."""
    eps: float | None
    """Budget in stored values; null without an attack."""
    false_positives: list[float]
    """Boxes per image that match no annotated box, rising."""
    recall: list[float]
    """Share of annotated boxes that are found."""


class RunVerdict(JsonObject):
    """The result in words."""

    sentence: Text
    """One plain sentence: what is left at the main budget."""
    details: list[Text]
    """Further sentences: interval, clinical direction, and the figure at the largest budget."""
    basis: Text = ""
    """Why the sentence is about this budget; empty without a figure."""
    gates: Text
    """How many gates of the plan passed."""
    fell: bool | None
    """Whether the share of acceptable images is at most half the clean one at this budget; null if it is not known."""
    eps: float | None
    """The budget of the sentence, in stored values."""


class Intervals(JsonObject):
    """How the intervals were made."""

    level: float
    groups: int
    """Units of resampling."""
    clustered: bool
    """Whether groups hold several images, so that proportions have an effective sample size."""
    replicates: int
    seed: int


class Results(JsonObject):
    """All figures of one run."""

    schema_version: int = RESULTS_VERSION
    notice: Text
    status: Literal["finished", "unfinished"]
    title: Text
    palpate: Text
    """Version that made the run."""
    created: Text
    finished: Text | None
    seed: int
    task: TaskDescription
    model: AuditedModel
    data: DataDescription
    threat: ThreatDescription
    verdict: RunVerdict
    validity: Validity
    gates: list[GateDescription]
    clean: Clean
    attacks: list[AttackResults]
    artefacts: ArtefactSummary | None = None
    """Artefacts of acquisition; null if the plan has none."""
    certificates: CertificateSummary | None = None
    """Certified lower and attacked upper bounds of the smoothed model; null if the plan has none."""
    worst_case: list[WorstCase]
    """One entry per goal."""
    worst_directions: list[WorstDirections]
    """One entry per budget; empty where the plan names no disease."""
    worst_grading: list[WorstGrading]
    """One entry per budget; empty if the classes have no order and the plan names no disease."""
    comparisons: list[Comparison]
    """The strongest attack of each goal with each other one, at a budget that the data chose."""
    series: list[Series]
    """Per structure, finding or class of boxes; empty for a classification."""
    budgets: list[BudgetResults]
    """Every budget that was tried, in every unit, smallest first."""
    survival: SurvivalResults
    stability: Stability
    """How attacks run, step by step, on a few images."""
    subgroups: list[Subgroups]
    """By site and by scanner, where images come from more than one."""
    froc: list[Froc]
    """For a detector, without an attack and under each; empty otherwise."""
    intervals: Intervals
    versions: dict[str, Text]
    machine: Settings
    tuning: Settings


def json_schema() -> bytes:
    """The JSON schema of `results.json`, as stored in `docs/reference/results.schema.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Results.model_json_schema(schema_generator=Described, mode="serialization"),
    }
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()

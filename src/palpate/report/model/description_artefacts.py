"""The part of `run.json` about artefacts, with types."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from palpate.report.model.shown import MarkDescription, MarksDescription
from palpate.report.model.typed import JsonObject, Names, Number, Settings, Text
from palpate.units import quantity

WORST = 5
"""The highest severity."""
LIGHT = "share of the light"
"""Unit of what dust, lashes and the rim of a field take: `85% of the light blocked`, not `opacity 85% of the light`."""
Five = Annotated[list[float], Field(min_length=WORST, max_length=WORST)]


class ParameterDescription(JsonObject):
    """One number of an artefact, in a physical unit."""

    name: Text
    unit: Text
    source: Text
    """Where its range is from."""
    low: float
    high: float
    levels: Five | None = None
    """Its values at severities 1 to 5; null if it says where or how the artefact happens, not how strong it is."""
    null: float = 0.0
    """Its value at which nothing changes."""
    signed: bool = False
    """It goes both ways."""
    choices: list[Text] = Field(default_factory=list)
    """Names of its values 0, 1, 2 ...; empty if it is a number."""

    def words(self, value: float) -> str:
        """`diameter 6 mm`, `shift 5% of the width`, `material titanium`."""
        if self.choices:
            return f"{self.name} {self.choices[max(0, min(int(value), len(self.choices) - 1))]}"
        return self._written("", value)

    def at(self, severity: float) -> str:
        """The strength at a severity from 0 to 5, linear between the named ones: `rotation up to 4 degrees`."""
        if self.levels is None:
            return ""
        points, below = [self.null, *self.levels], max(0, min(int(severity), WORST - 1))
        share = severity - below
        level = points[below] * (1 - share) + points[below + 1] * share
        return self._written("up to " if self.signed else "", level)

    def _written(self, limit: str, value: float) -> str:
        if self.unit == LIGHT:
            return f"{quantity(value, self.unit)} blocked"
        return f"{self.name} {limit}{quantity(value, self.unit)}"

    @property
    def range(self) -> str:
        """`2, 4, 6, 8, 10 degrees, either way`, `0% to 100% of the width`, `titanium, iron`."""
        if self.choices:
            return ", ".join(self.choices)
        if self.levels is None:
            return f"{quantity(self.low, self.unit).partition(' ')[0]} to {quantity(self.high, self.unit)}"
        first = [quantity(level, self.unit).partition(" ")[0] for level in self.levels[:-1]]
        return f"{', '.join(first)}, {quantity(self.levels[-1], self.unit)}{', either way' if self.signed else ''}"


class ArtefactSlice(JsonObject):
    """One plane of the pictures of an artefact."""

    before: str
    after: str
    marks: MarksDescription = MarksDescription()
    truth_before: list[MarkDescription] | None = None
    """As annotated before the artefact; null if the anatomy did not move, so that it is the same after."""
    index: int = 0
    count: int = 1
    axis: int | None = None
    aspect: float = 1.0
    changed: int = 0


class ArtefactPicture(JsonObject):
    """The image that an artefact harms most."""

    artefact: Text
    item: Text
    row: int
    image: Text
    """Name of the image. It may identify a patient, so reports show it only when asked."""
    severity: float
    words: Text
    """The parameters in words."""
    theta: list[float] = Field(default_factory=list)
    """The parameters in their units."""
    label: int
    clean_prediction: int
    prediction: int
    clean_score: Number = None
    """Score of the image as stored."""
    score: Number
    clean_measures: list[Number] = Field(default_factory=list)
    """Measures of the image as stored, in the order of `task.measures`."""
    measures: list[Number] = Field(default_factory=list)
    """Measures with the artefact."""
    truth: list[float] = Field(default_factory=list)
    """The annotation of findings; empty for other tasks."""
    clean_found: list[Number] = Field(default_factory=list)
    """The model's findings in the image as stored; empty for other tasks."""
    found: list[Number] = Field(default_factory=list)
    """Its findings with the artefact."""
    failed: bool
    eligible: bool = True
    """The goal applies to this image, and it was not reached before."""
    window: tuple[float, float] | None = None
    """Stored values shown as black and as white, if they are not the bounds."""
    slices: list[ArtefactSlice] = Field(min_length=1)


class ArtefactDescription(JsonObject):
    """One artefact of the plan."""

    name: Text
    item: Text
    catalog: Text
    goal: Text
    summary: Text
    reference: Text
    modalities: Names
    moves: bool
    parameters: list[ParameterDescription]
    levels: list[Text]
    """The strengths at severities 1 to 5, in words."""
    ladder: Settings
    """How it was searched."""
    seconds: Number

    @model_validator(mode="after")
    def _numbers(self) -> ArtefactDescription:
        for name, lowest in (("severity", 0.0), ("tries", 1)):
            if not isinstance(self.ladder.get(name), int | float) or self.ladder[name] < lowest:
                raise ValueError(f"ladder.{name} must be a number of at least {lowest:g}")
        if self.searched > WORST:
            raise ValueError(f"ladder.severity {self.searched:g} must be at most {WORST}")
        return self

    @property
    def searched(self) -> float:
        """The severity at which the worst case was searched."""
        return float(self.ladder["severity"])

    def words(self, theta: list[float]) -> str:
        """Parameters in words, strengths first."""
        pairs = sorted(zip(self.parameters, theta, strict=True), key=lambda pair: pair[0].levels is None)
        return ", ".join(parameter.words(value) for parameter, value in pairs)

    def strengths(self, severity: float) -> str:
        """The strengths at any severity, in words: linear between the named ones."""
        return ", ".join(one.at(severity) for one in self.parameters if one.levels is not None)


class Reference(JsonObject):
    """A reference model, audited on the same images with the same artefacts."""

    title: Text
    model: Text
    weights: Text
    """Hash of its weights."""
    errors: dict[str, Number]
    """Identity of an artefact -> its corruption error."""
    clean: dict[str, Number]
    """Identity of an artefact -> its error on the images as stored."""


class Artefacts(JsonObject):
    """All artefacts of the plan."""

    reference: Reference | None = None

    modality: Text = ""
    """The kind of the images; empty if it is not known."""
    items: list[ArtefactDescription]
    pictures: list[ArtefactPicture] = Field(default_factory=list)

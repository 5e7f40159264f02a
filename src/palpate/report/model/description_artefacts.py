"""The part of `run.json` about artefacts, with types."""

from __future__ import annotations

from pydantic import Field

from palpate.report.model.shown import MarksDescription
from palpate.report.model.typed import JsonObject, Names, Number, Settings, Text


class ParameterDescription(JsonObject):
    """One number of an artefact, in a physical unit."""

    name: Text
    unit: Text
    source: Text
    """Where its range is from."""
    low: float
    high: float
    levels: list[float] | None = None
    """Its values at severities 1 to 5; null if it says where or how the artefact happens, not how strong it is."""
    null: float = 0.0
    """Its value at which nothing changes."""
    signed: bool = False
    """It goes both ways."""
    choices: list[Text] = Field(default_factory=list)
    """Names of its values 0, 1, 2 ...; empty if it is a number."""

    def words(self, value: float) -> str:
        """`diameter 6 mm`, `material titanium`."""
        if self.choices:
            return f"{self.name} {self.choices[min(int(value), len(self.choices) - 1)]}"
        return f"{self.name} {value:.3g}{f' {self.unit}' if self.unit else ''}"


class ArtefactSlice(JsonObject):
    """One plane of the pictures of an artefact."""

    before: str
    after: str
    marks: MarksDescription = MarksDescription()
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
    label: int
    clean_prediction: int
    prediction: int
    score: Number
    failed: bool
    slices: list[ArtefactSlice]


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

    def words(self, theta: list[float]) -> str:
        """Parameters in words, strengths first."""
        pairs = sorted(zip(self.parameters, theta, strict=True), key=lambda pair: pair[0].levels is None)
        return ", ".join(parameter.words(value) for parameter, value in pairs)

    def strengths(self, severity: float) -> str:
        """The strengths at any severity, in words: linear between the named ones."""
        below = min(int(severity), 4)
        share = severity - below
        found = []
        for parameter in self.parameters:
            if parameter.levels is not None:
                points = [parameter.null, *parameter.levels]
                found.append(parameter.words(points[below] * (1 - share) + points[below + 1] * share))
        return ", ".join(found)


class Artefacts(JsonObject):
    """All artefacts of the plan."""

    modality: Text = ""
    """The kind of the images; empty if it is not known."""
    items: list[ArtefactDescription]
    pictures: list[ArtefactPicture] = Field(default_factory=list)

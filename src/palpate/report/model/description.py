"""`run.json` with types: what was audited, how, and what the audit noticed. `results.json` shares these types."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from palpate.errors import StorageError
from palpate.report.model.description_artefacts import ArtefactPicture, Artefacts
from palpate.report.model.description_certificates import Certificates
from palpate.report.model.description_quality import Probing
from palpate.report.model.learned import LearnedDescription
from palpate.report.model.shown import PictureDescription
from palpate.report.model.typed import JsonObject, Names, Number, Settings, Text, Word
from palpate.report.model.words import in_unit
from palpate.storage.runs import RunFolder
from palpate.units import Scale

CLASSIFICATIONS = frozenset({"binary", "multiclass", "ordinal"})
"""Kinds of tasks that decide for one class per image."""


class MeasureDescription(JsonObject):
    """One figure that the records hold of every image."""

    name: Text
    """`dice`, `iou`, `hd95`, `surface_dice`, `volume`, `volume_error` and so on."""
    part: Text = ""
    """The structure or class that it is about; empty for the whole image."""
    unit: Text = ""
    """`mm`, `ml`, `px`, `voxel`, or empty."""
    better: Literal["higher", "lower", ""] = "higher"
    """Whether higher or lower is better; empty for neither (a volume)."""


class Operating(JsonObject):
    """Where the model's probabilities become decisions."""

    confidence: Number = None
    """Boxes with a lower confidence are not shown."""
    overlap: Number = None
    """Intersection over union from which a box counts as found."""
    thresholds: list[float] = Field(default_factory=list)
    """A finding counts as present above this probability: one for all findings, or one each."""


class TaskDescription(JsonObject):
    """What the model's output means."""

    kind: Literal["multiclass", "binary", "ordinal", "multilabel", "segmentation", "detection"]
    """`binary`, `multiclass`, `ordinal` (grades), `multilabel`, `segmentation` (masks) or `detection` (boxes)."""
    head: Text
    """How raw outputs become decisions."""
    classes: list[Text] = Field(min_length=1)
    """Names by index: of the classes, structures (without background), findings, or classes of boxes."""
    disease: list[int] = Field(default_factory=list)
    """Indices of the classes that count as disease; may be empty."""
    score: Text = "accuracy"
    """The score that judges an image's result: `accuracy`, `dice`, `iou`, `f1`, `share of findings read right`."""
    floor: Number = None
    """A result at or below this score is not acceptable; null where the task has no floor."""
    measures: list[MeasureDescription] = Field(default_factory=list)
    """The figures that the records hold of every image, in their order."""
    operating: Operating = Operating()
    """The operating point, if the task has one."""
    structure: Word = ""
    """The only structure whose score counts; empty where the mean over structures counts."""

    @model_validator(mode="after")
    def _consistent(self) -> TaskDescription:
        if any(index not in range(len(self.classes)) for index in self.disease):
            raise ValueError(f"disease {self.disease} must name classes 0 to {len(self.classes) - 1}")
        if self.classification and len(self.classes) < 2:
            raise ValueError("a classification needs two classes or more")
        if len(self.operating.thresholds) not in {0, 1, len(self.classes)}:
            raise ValueError(f"{len(self.operating.thresholds)} thresholds for {len(self.classes)} findings")
        return self

    @property
    def classification(self) -> bool:
        """Whether the model decides for one class per image."""
        return self.kind in CLASSIFICATIONS

    @property
    def directions(self) -> bool:
        """Whether there are both disease and healthy classes, so that an error has a clinical direction."""
        return self.classification and 0 < len(set(self.disease)) < len(self.classes)


class AuditedModel(JsonObject):
    """The model that was audited."""

    source: Text
    """Where it came from."""
    weights: Text | None
    """File of its weights."""
    sha256: Text
    """Hash of its weights."""
    files_sha256: Text | None = None
    """Hash of the files that build it, if the audit computed one."""
    parameters: int
    """Number of parameters."""
    preprocess: Text
    """The preprocessing of stored values before the network."""
    inferer: Text | None = None
    """How the network is applied to a whole image: at once, in sliding windows, averaged over flips."""
    draws: int = 1
    """Draws over which each output is averaged; 1 for a model without random numbers."""
    defences: list[Text] = Field(default_factory=list)
    """What surrounds the model, the first outermost; attacks took it into account."""


class DataDescription(JsonObject):
    """The images that were audited."""

    source: Text
    """Where they came from."""
    images: int
    """Number of images."""
    per_class: list[int]
    """Images of each class, or in which each structure, finding or class of boxes occurs."""
    shape: list[int] | None = None
    """Channels and size along each axis; empty or null where images differ."""
    spacing: list[float] | None = None
    """Size of a pixel along each axis in mm; empty where images differ, null if it is not known."""
    bounds: tuple[float, float]
    """Lowest and highest value."""
    unit: Word = ""
    """Unit of the values, such as `HU`; empty if neither the files nor the plan give it."""
    step: Number = None
    """Distance of two neighbouring values that can be stored; null for floating point, or where images differ."""
    window: tuple[float, float] | None = None
    """Lowest and highest value that the model sees, if its preprocessing has a window."""
    formats: Names = Field(default_factory=list)
    """Formats of the files."""
    sites: Names = Field(default_factory=list)
    """Where the images were taken, from the plan's column."""
    scanners: Names = Field(default_factory=list)
    """The scanners of the images, from the plan's column or the files."""
    groups: int
    """Number of units of resampling (patients)."""
    fingerprint: Text
    """Hash of images and labels."""

    @model_validator(mode="after")
    def _bounds_rise(self) -> DataDescription:
        low, high = self.bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"bounds {self.bounds} must be two rising numbers")
        return self

    @property
    def extent(self) -> float:
        """High minus low bound."""
        return self.bounds[1] - self.bounds[0]

    def written(self, value: float | None) -> str:
        """A budget or distance in the unit of the values."""
        return in_unit(value, self.unit)

    @property
    def scale(self) -> Scale:
        """What the values mean."""
        window = self.window if self.window and self.window[0] < self.window[1] else None
        step = self.step if self.step and self.step > 0 else None
        return Scale(self.bounds, self.unit, step, window, known=True)


class ThreatDescription(JsonObject):
    """What an attack was allowed to change."""

    norm: Literal["linf", "l2", "l1"]
    """How the size of a change is measured."""
    eps: list[float]
    """Budgets in stored values."""
    main: Number = None
    """The main budget, which the plan named; null if it named none."""
    words: Text
    """The threat in a sentence."""
    amounts: list[list[Text]] = Field(default_factory=list)
    """Each budget in every unit of the images."""
    lattice: bool = False
    """Only values that the files can store."""
    region: Names = Field(default_factory=list)
    """Where values may change; all conditions must hold."""
    channels: list[float] = Field(default_factory=list)
    """Share of the budget for each channel; empty means the whole budget for each."""
    tied: bool = False
    """One change for all channels."""
    smooth: float = 0.0
    """Width in pixels of the Gaussian that smooths a change; 0 without smoothing."""

    @property
    def headline(self) -> float | None:
        """The main budget: the one that the plan named, else the middle one, the smaller of two; None without any."""
        rising = sorted(set(self.eps))
        return self.main if self.main is not None else rising[(len(rising) - 1) // 2] if rising else None


class AttackDescription(JsonObject):
    """One attack of the plan."""

    name: Text
    """Its name in the plan."""
    item: Text
    """Identity of the attack with everything that changes its results."""
    catalog: Text
    """Its name in palpate's catalog."""
    goal: Text
    """`untargeted`, `hide disease`, `invent disease` or `towards <class>`."""
    summary: Text
    """What it does, in a line."""
    parameters: Settings
    """Its parameters."""
    reference: Text
    """Where it was published."""
    eps: list[float]
    """Its budgets in stored values."""
    seconds: Number
    """Wall time it took, over all budgets."""
    robust_to: Names = Field(default_factory=list)
    """Post-processing steps over which the attack maximised the expectation."""
    stages: Names = Field(default_factory=list)
    """Names of the stages of an attack of several stages."""
    searches: Names = Field(default_factory=list)
    """Names of those stages that use no gradient."""
    curve: Text = ""
    """In which order its budgets were attacked; empty in runs of an earlier palpate."""
    learned: LearnedDescription | None = None
    """Null if it learns nothing before."""

    @property
    def steps(self) -> int | None:
        """Its number of gradient steps, if the plan gives one."""
        steps = self.parameters.get("steps")
        return steps if isinstance(steps, int) else None


class PostProcessingDescription(JsonObject):
    """One post-processing step of adversarial images after the attack, before they were scored again."""

    name: Text
    """`saved`, `8bit`, `jpeg75`, `blur1` and so on."""
    words: Text = ""
    """What it does."""


class Export(JsonObject):
    """An adversarial image that the run folder holds as a file in the format of its original."""

    attack: Text
    eps: float
    row: int
    """Position of the image in the audited table."""
    file: Text
    """Path relative to the run folder."""


class TracedItem(JsonObject):
    """One attack whose runs were traced, step by step."""

    attack: Text
    item: Text
    identity: str
    """Names its files in `stability/`."""
    draws: bool
    """Whether it draws random numbers."""
    stage: Text = ""
    """Of an attack of several stages, the one that was traced; empty for others."""
    weight: Number = None
    """Weight of its stabilisation term; null where it has none."""


class Tracing(JsonObject):
    """What was traced: a few images, attacked to the last step."""

    images: int
    """Images that were traced."""
    starts: int
    """Independent starts of attacks that draw random numbers."""
    smoothed: bool
    """Whether the model also saw the smoothed images."""
    eps: float
    """The budget in values."""
    items: list[TracedItem]
    untraced: Names = Field(default_factory=list)
    """Attacks that follow no gradient."""


class Noticed(JsonObject):
    """What the audit noticed before and while it ran."""

    level: Literal["failure", "warning", "note"]
    """How serious it is."""
    subject: Text
    """What it is about."""
    text: Text
    """What was seen."""


class GateDescription(JsonObject):
    """A limit that the plan set."""

    text: Text
    """The condition."""
    value: Number
    """What was measured."""
    passed: bool
    """Whether the condition holds."""

    @property
    def subject(self) -> str:
        """The figure that is limited, without the limit."""
        return self.text.rpartition(": ")[0] or self.text

    @property
    def limit(self) -> str:
        """The limit, such as `at least 0.8`; empty if the text does not have that form."""
        return self.text.rpartition(": ")[2] if ": " in self.text else ""


class Description(JsonObject):
    """All of `run.json`."""

    status: Literal["finished", "unfinished"]
    title: Text
    palpate: Text
    created: Text
    finished: Text | None
    seed: int
    task: TaskDescription
    model: AuditedModel
    data: DataDescription
    threat: ThreatDescription
    attacks: list[AttackDescription]
    findings: list[Noticed]
    gates: list[GateDescription]
    tuning: Settings = Field(default_factory=dict)
    versions: dict[str, Text]
    machine: Settings = Field(default_factory=dict)
    handlings: list[PostProcessingDescription] = Field(default_factory=list)
    """The post-processing steps after which the records hold margins, in their order."""
    exports: list[Export] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict)
    """Digest of each picture and export; missing in runs of older versions of palpate."""
    intact: bool = True
    """Not stored: whether the file is unchanged since palpate wrote it."""
    gallery: list[PictureDescription] = Field(default_factory=list)
    stability: Tracing | None = None
    """Null if the plan switched tracing off; missing in runs of older versions of palpate."""
    artefacts: Artefacts | None = None
    """Null if the plan has no artefacts; missing in runs of older versions of palpate."""
    certificates: Certificates | None = None
    """Null if the plan has no certificates; missing in runs of older versions of palpate."""
    quality: Probing | None = None
    """Missing in runs of older versions of palpate."""

    @model_validator(mode="after")
    def _classes_agree(self) -> Description:
        known = range(len(self.task.classes))
        if len(self.data.per_class) != len(known):
            raise ValueError(f"data.per_class has {len(self.data.per_class)} numbers for {len(known)} classes")
        pictures: dict[str, Sequence[PictureDescription | ArtefactPicture]]
        pictures = {"gallery": self.gallery, "artefacts.pictures": self.artefacts.pictures if self.artefacts else []}
        for where, shown in pictures.items() if self.task.classification else ():
            for picture in shown:
                if any(index not in known for index in (picture.label, picture.clean_prediction, picture.prediction)):
                    raise ValueError(f"{where}: row {picture.row} names a class outside 0 to {len(known) - 1}")
        return self


def failed_attacks(description: Description) -> set[str]:
    """The attacks that the audit found unable to run."""
    return {one.name for one in description.attacks} & {
        found.subject for found in description.findings if found.level == "failure"
    }


def read_description(run: RunFolder) -> Description:
    """The checked contents of `run.json`.

    Raises:
        StorageError: there is no run, or a field is missing or wrong; the message names the first such field.
    """
    try:
        stored = run.describe()
        return Description.model_validate({**stored, "intact": run.intact(stored)})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "it"
        message = first["msg"].removeprefix("Value error, ")
        raise StorageError(
            f"{run.path / 'run.json'}: {field}: {message}. Restore the file, or run the audit into a new folder."
        ) from error

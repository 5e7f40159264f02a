"""`run.json` with types: what was audited, how, and what was noticed. Shared by the reader and by `results.json`."""

from __future__ import annotations

import math
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from palpate.errors import StorageError
from palpate.runs import RunFolder


def visible(text: str) -> str:
    """Replace what would act on a page or a terminal instead of being seen: controls, text direction, surrogates."""
    return "".join(
        "\ufffd" if letter not in "\n\t" and unicodedata.category(letter) in {"Cc", "Cf", "Cs"} else letter
        for letter in text
    )


def _tame(value: Any) -> Any:
    # JSON as Python reads it may hold NaN and infinity, which no other reader takes.
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_tame(key): _tame(item) for key, item in value.items()}
    return [_tame(item) for item in value] if isinstance(value, list | tuple) else value


Text = Annotated[str, BeforeValidator(_tame)]
"""Text from a file, free of control characters. It is still to be escaped where it is shown."""
Number = Annotated[float | None, BeforeValidator(_tame)]
"""A figure, or null where it is undefined (NaN) or unbounded."""

Tree = Annotated[dict[str, Any], BeforeValidator(_tame)]
"""Free-form settings: any JSON, free of control characters and of numbers that JSON does not have."""


class Model(BaseModel):
    """Base of everything that is read or written: unknown fields of a newer writer are ignored."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True, frozen=True, protected_namespaces=())


CLASSIFICATIONS = frozenset({"binary", "multiclass", "ordinal"})
"""Kinds of tasks that decide for one class per image."""


class Measure(Model):
    """One figure that the records hold of every image."""

    name: Text
    """`dice`, `iou`, `hd95`, `surface_dice`, `volume`, `volume_error` and so on."""
    part: Text = ""
    """The structure or class that it is about; empty for the whole image."""
    unit: Text = ""
    """`mm`, `ml`, `px`, `voxel`, or empty."""
    better: Literal["higher", "lower", ""] = "higher"
    """Whether a good model has it high or low; empty for one that is neither (a volume)."""


class Operating(Model):
    """Where the model's probabilities become decisions."""

    confidence: Number = None
    """Boxes below it are not shown."""
    overlap: Number = None
    """Intersection over union from which a box counts as found."""
    thresholds: list[float] = []
    """Probability above which a finding is read as present: one for all, or one each."""


class Task(Model):
    """What the model's output means."""

    kind: Literal["multiclass", "binary", "ordinal", "multilabel", "segmentation", "detection"]
    """`binary`, `multiclass`, `ordinal` (grades), `multilabel`, `segmentation` (masks) or `detection` (boxes)."""
    head: Text
    """How raw outputs become decisions."""
    classes: list[Text] = Field(min_length=1)
    """Names by index: of the classes, structures (without background), findings, or classes of boxes."""
    disease: list[int] = []
    """Indices of the classes that count as disease; may be empty."""
    score: Text = "accuracy"
    """What an image's result is judged by: `accuracy`, `dice`, `iou`, `f1`, `share of findings read right`."""
    floor: Number = None
    """A result at or below this score is not acceptable; null where the task has no floor."""
    measures: list[Measure] = []
    """What the records hold of every image, in their order."""
    operating: Operating = Operating()
    """The operating point, where the task has one of its own."""

    @model_validator(mode="after")
    def _consistent(self) -> Task:
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


class AuditedModel(Model):
    """The model that was audited."""

    source: Text
    """Where it came from."""
    weights: Text | None
    """File of its weights."""
    sha256: Text
    """Hash of its weights."""
    files_sha256: Text | None = None
    """Hash of the files that build it, where the audit took one."""
    parameters: int
    """Number of parameters."""
    preprocess: Text
    """What happens to stored values before the network."""
    inferer: Text | None = None
    """How the network is applied to a whole image: at once, in sliding windows, averaged over flips."""


class Data(Model):
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
    """Size of a pixel along each axis in mm; empty where images differ, null where it is not known."""
    bounds: tuple[float, float]
    """Lowest and highest stored value."""
    groups: int
    """Number of units of resampling (patients)."""
    fingerprint: Text
    """Hash of images and labels."""

    @model_validator(mode="after")
    def _bounds_rise(self) -> Data:
        low, high = self.bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"bounds {self.bounds} must be two rising numbers")
        return self

    @property
    def extent(self) -> float:
        """High minus low bound, in stored values."""
        return self.bounds[1] - self.bounds[0]


class Threat(Model):
    """What an attack was allowed to change."""

    norm: Literal["linf", "l2", "l1"]
    """How the size of a change is measured."""
    eps: list[float]
    """Budgets in stored values."""
    words: Text
    """The threat in a sentence."""


class Attack(Model):
    """One attack of the plan."""

    name: Text
    """Its name in the plan."""
    item: Text
    """Identity of the attack with all that changes its results."""
    catalog: Text
    """Its name in palpate's catalog."""
    goal: Text
    """`untargeted`, `hide disease`, `invent disease` or `towards <class>`."""
    summary: Text
    """What it does, in a line."""
    parameters: Tree
    """Its parameters."""
    reference: Text
    """Where it was published."""
    eps: list[float]
    """Its budgets in stored values."""
    seconds: Number
    """Wall time it took, over all budgets."""

    @property
    def steps(self) -> int | None:
        """Its number of gradient steps, where the plan gives it one."""
        steps = self.parameters.get("steps")
        return steps if isinstance(steps, int) else None


class Noticed(Model):
    """What the audit noticed before and while it ran."""

    level: Literal["failure", "warning", "note"]
    """How grave it is."""
    subject: Text
    """What it is about."""
    text: Text
    """What was seen."""


class Gate(Model):
    """A limit that the plan set."""

    text: Text
    """The condition."""
    value: Number
    """What was measured."""
    passed: bool
    """Whether the condition holds."""


class Mark(Model):
    """What is drawn over a picture: the outline of a structure or a box."""

    part: int
    """Index of the structure or class of boxes."""
    kind: Literal["contour", "box"]
    """A closed outline, or two opposite corners."""
    points: list[tuple[float, float]]
    """x and y as fractions of the picture's width and height, from its upper left corner."""
    score: Number = None
    """Confidence of a box."""


class Marks(Model):
    """All that is drawn over the pictures of one slice."""

    truth: list[Mark] = []
    """As annotated."""
    clean: list[Mark] = []
    """As the model found it in the image as stored."""
    adversarial: list[Mark] = []
    """As the model found it in the adversarial image."""


class Slice(Model):
    """One plane of an image: all of it in 2D, one slice of a volume."""

    axis: int | None = None
    """Axis of the volume that the slices count along; null in 2D."""
    index: int = 0
    """Which slice, from 0."""
    count: int = 1
    """How many slices the volume has."""
    changed: int = 0
    """Pixels of this slice whose prediction changed."""
    aspect: float = 1.0
    """Width over height of the picture, with the size of its pixels."""
    clean: str
    """The image as stored."""
    adversarial: str
    """The adversarial image."""
    perturbation: str
    """The change, amplified."""
    marks: Marks = Marks()
    """What is drawn over them."""


class Picture(Model):
    """One adversarial image of the gallery. Paths are relative to the run folder."""

    attack: Text
    """Name of the attack."""
    eps: float
    """Its budget in stored values."""
    row: int
    """Position of the image in the audited table."""
    image: Text
    """Name of the image. It may identify a patient, so reports show it only when asked."""
    label: int
    """True class; -1 where the task is no classification."""
    clean_prediction: int
    """Class decided before the attack; -1 where the task is no classification."""
    prediction: int
    """Class decided after it; -1 where the task is no classification."""
    clean: str
    """The image as stored; of a volume the slice that changed most."""
    adversarial: str
    """The adversarial image."""
    perturbation: str
    """The change, amplified."""
    amplification: float
    """How many times the change was amplified."""
    success: bool | None = None
    """Whether the attack beat the image."""
    clean_score: Number = None
    """Score before the attack."""
    score: Number = None
    """Score after it."""
    clean_measures: list[Number] = []
    """Measures before the attack, in the order of `task.measures`."""
    measures: list[Number] = []
    """Measures after it."""
    truth: list[float] = []
    """What is annotated, flat, as the records have it."""
    clean_found: list[Number] = []
    """What the model found before the attack, flat."""
    found: list[Number] = []
    """What it found after it, flat."""
    window: tuple[float, float] | None = None
    """Stored values that are shown black and white, where they are not the bounds."""
    slices: list[Slice] = []
    """The picture itself in 2D, or the slices of a volume that changed most, in their order."""


class Description(Model):
    """All of `run.json`."""

    status: Literal["finished", "unfinished"]
    title: Text
    palpate: Text
    created: Text
    finished: Text | None
    seed: int
    task: Task
    model: AuditedModel
    data: Data
    threat: Threat
    attacks: list[Attack]
    findings: list[Noticed]
    gates: list[Gate]
    tuning: Tree = {}
    versions: dict[str, Text]
    machine: Tree = {}
    gallery: list[Picture] = []

    @model_validator(mode="after")
    def _classes_agree(self) -> Description:
        known = range(len(self.task.classes))
        if len(self.data.per_class) != len(known):
            raise ValueError(f"data.per_class has {len(self.data.per_class)} numbers for {len(known)} classes")
        for picture in self.gallery if self.task.classification else ():
            if any(index not in known for index in (picture.label, picture.clean_prediction, picture.prediction)):
                raise ValueError(f"gallery: row {picture.row} names a class beyond 0 to {len(known) - 1}")
        return self


def read_description(run: RunFolder) -> Description:
    """The checked contents of `run.json`.

    Raises:
        StorageError: there is no run, or a field is missing or not what it must be; the first such field is named.
    """
    try:
        return Description.model_validate(run.describe())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "it"
        message = first["msg"].removeprefix("Value error, ")
        raise StorageError(
            f"{run.path / 'run.json'}: {field}: {message}. Restore the file, or run the audit into a new folder."
        ) from error

"""`[task]` of a plan: what the model's output means, one table of fields per kind of task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from palpate.audit.plan.sections.base import Section


class ClassificationSection(Section):
    """`[task]` of a model that decides for one class per image."""

    kind: Literal["binary", "multiclass", "ordinal"] = Field(examples=['kind = "ordinal"'])
    """Two classes, several, or grades with an order."""
    classes: tuple[str, ...] = Field(min_length=2, examples=['classes = ["normal", "pneumonia"]'])
    """Names of the classes, in the order of the model's outputs."""
    disease: tuple[str, ...] = Field(default=(), examples=['disease = ["pneumonia"]'])
    """The classes that count as disease; needed for missed and invented disease."""
    head: Literal["softmax", "one-logit", "cumulative"] = "softmax"
    """How raw outputs become class scores: one logit per class, one for two classes, or one per threshold of grades."""
    threshold: float | None = Field(default=None, examples=["threshold = 0.5"])
    """Operating point of a `one-logit` head, as a probability of the second class; 0.5 by default."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    @property
    def disease_indices(self) -> tuple[int, ...]:
        """The classes that count as disease, as indices."""
        return tuple(sorted(self.classes.index(name) for name in self.disease))


class _WithoutDisease(Section):
    @property
    def disease_indices(self) -> tuple[int, ...]:
        """Empty: the names are findings, structures or classes of boxes, not classes of images."""
        return ()


class MultiLabelSection(_WithoutDisease):
    """`[task]` of a model that reads several findings per image, one logit each."""

    kind: Literal["multilabel"] = Field(examples=['kind = "multilabel"'])
    """Several findings per image."""
    findings: tuple[str, ...] = Field(min_length=1, examples=['findings = ["effusion", "mass"]'])
    """Names of the findings, in the order of the model's outputs; also the names of columns of the CSV."""
    thresholds: tuple[float, ...] = Field(default=(0.5,), min_length=1, examples=["thresholds = [0.5]"])
    """Operating points as probabilities: one for all findings, or one for each."""

    @property
    def names(self) -> tuple[str, ...]:
        """The findings."""
        return self.findings


class SegmentationSection(_WithoutDisease):
    """`[task]` of a model that draws masks, in 2D or 3D."""

    kind: Literal["segmentation"] = Field(examples=['kind = "segmentation"'])
    """Masks."""
    structures: tuple[str, ...] = Field(min_length=1, examples=['structures = ["left lung", "right lung"]'])
    """Names of the structures, without background, in the order of the model's outputs."""
    exclusive: bool = True
    """Each pixel has one class: a softmax over background and structures, or one logit if there is one structure.
    `false`: structures may overlap, and each has a sigmoid."""
    score: Literal["dice", "iou"] = "dice"
    """The score of an image."""
    floor: float = Field(default=0.5, gt=0, lt=1, examples=["floor = 0.5"])
    """An image is beaten when its score is at or below this; images with such a score before the attack are not
    attacked."""
    structure: str | None = Field(default=None, examples=['structure = "left lung"'])
    """The structure whose score counts; by default the mean over the structures in the image."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Operating point of sigmoid heads, as a probability."""
    resample: bool = False
    """Interpolate the model's output to the mask's grid if the grids differ."""
    tolerance: float = Field(default=1.0, gt=0)
    """Tolerance of the surface Dice: how far a surface may be off, in mm (in pixels if the spacing is unknown)."""

    @property
    def names(self) -> tuple[str, ...]:
        """The structures."""
        return self.structures


class DetectionSection(_WithoutDisease):
    """`[task]` of a model that draws boxes."""

    kind: Literal["detection"] = Field(examples=['kind = "detection"'])
    """Boxes."""
    classes: tuple[str, ...] = Field(min_length=1, examples=['classes = ["polyp"]'])
    """Names of the classes of boxes, in the order of the model's outputs."""
    head: Literal["sigmoid", "softmax"] = "sigmoid"
    """A probability per class, or a softmax with "no object" last (DETR, YOLOS)."""
    confidence: float = Field(default=0.5, gt=0, lt=1)
    """Operating point: boxes below it are not shown."""
    overlap: float = Field(default=0.5, gt=0, lt=1)
    """A detection counts if its intersection over union with an annotated box is this or more."""
    suppression: float = Field(default=0.5, gt=0, le=1)
    """Of two boxes of a class that overlap by more than this, the less confident one is removed; 1 keeps all."""
    floor: float = Field(default=0.5, gt=0, lt=1)
    """An image is beaten when its F1 is at or below this; images with such an F1 before the attack are not attacked."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes of boxes."""
        return self.classes


TaskSection = Annotated[
    ClassificationSection | MultiLabelSection | SegmentationSection | DetectionSection, Field(discriminator="kind")
]
"""Any of them; `kind` says which."""

TASK_SECTIONS = (ClassificationSection, MultiLabelSection, SegmentationSection, DetectionSection)

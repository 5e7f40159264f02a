"""What images are labelled with: one value for each kind, which says what the labels are and how they are written.

The fields have the names that `[data]` of a plan gives them. A layout may define some of them itself; it then ignores
these fields (`palpate.data.layouts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from palpate.data.annotations.box_modes import BoxMode

__all__ = ["BoxLabels", "BoxUnit", "ClassLabels", "FindingLabels", "LabelKind", "MaskLabels"]

BoxUnit = Literal["pixels", "fractions"]


@dataclass(frozen=True)
class ClassLabels:
    """One class per image.

    Attributes:
        names: the classes, in the order of the model's outputs; without them labels must be numbers from 0.
        label: column or key of the labels, names of classes or their numbers; or, in a CSV, one column per class, each
            line with exactly one 1.
    """

    names: Sequence[str] | None = None
    label: str | Sequence[str] = "label"


@dataclass(frozen=True)
class FindingLabels:
    """Several findings per image, each present, absent or not judged.

    Attributes:
        names: the findings, in the order of the model's outputs; in a CSV they are its columns. Cells: 1 present, 0
            absent; -1, `u`, `uncertain` or nothing: not judged.
        label: key of the findings in a datalist; with `separator` the column of a CSV that lists them.
        separator: what separates the findings in a cell of that column, such as `|`.
        ignored: words in that column that are not findings of the model; `""` allows empty cells.
    """

    names: Sequence[str] | None = None
    label: str = "label"
    separator: str | None = None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaskLabels:
    """Masks of structures, on the grid of the image. A mask of zeros is valid; nothing is reordered or resampled.

    Attributes:
        names: the structures, in the order of the model's outputs; the numbers 1 to S, or the columns of masks, by
            default.
        mask: column of a CSV with the masks; or one column per structure, where structures may overlap.
        label: key of the masks in a datalist.
        field: column of a CSV with field-of-view masks, whose zeros become `IGNORE`; an empty cell is the whole image.
        values: stored value of each structure; 0 is background. One column: 1 to S by default, (255,) for a usual PNG.
            One column per structure: 1 in each by default; a single value is used for all.
        ignore_value: stored value that becomes `IGNORE`.
        threshold: instead of `values`: the structure is where the stored value is at least this (JPEG).
        exclusive: give each pixel one structure at most; False gives each structure a mask; None: as the layout says,
            else True.
        spacing: mm of a pixel along each axis, where the files do not say it.
    """

    names: Sequence[str] | None = None
    mask: str | Sequence[str] = "mask"
    label: str = "label"
    field: str | None = None
    values: Sequence[int] | None = None
    ignore_value: int | None = None
    threshold: float | None = None
    exclusive: bool | None = None
    spacing: Sequence[float] | None = None


@dataclass(frozen=True)
class BoxLabels:
    """Boxes with classes.

    Attributes:
        names: the classes, in the order of the model's outputs; without them labels must be numbers from 0, or what
            the layout names.
        boxes: a second CSV with one line per box; None: the table itself has one line per box. A line without corners
            stands for an image without boxes.
        box_file: column of the paths of images in the CSV of boxes.
        label: column or key of the classes.
        corners: four columns of numbers: left, top, right and bottom, or what `box_mode` says.
        box_mode: what the four numbers are: `xyxy`, `xywh`, `xxyy` or `ccwh`.
        box_unit: pixels of the stored image, or fractions of its width and height.
    """

    names: Sequence[str] | None = None
    boxes: Path | None = None
    box_file: str = "image"
    label: str = "label"
    corners: tuple[str, str, str, str] = ("xmin", "ymin", "xmax", "ymax")
    box_mode: BoxMode = "xyxy"
    box_unit: BoxUnit = "pixels"


LabelKind = ClassLabels | FindingLabels | MaskLabels | BoxLabels
"""Any of them."""

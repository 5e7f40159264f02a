"""Measures of masks, per structure: overlap, surface distances and volumes, in mm and ml if the spacing is known."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from palpate.errors import InputError
from palpate.measures.measure import Measure
from palpate.measures.surfaces import surfaces
from palpate.tasks.masks.reading import overlap
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree, leaves

_ML = 1000.0
"""mm3 in a ml."""


class SegmentationReader:
    """Six figures per structure, in the order of the structures.

    | measure | meaning | unit with spacing, else in 2D / 3D |
    | --- | --- | --- |
    | `dice`, `iou` | of decided masks | |
    | `hd95` | larger of the two directed 95th percentiles of surface distances (as MONAI) | mm, else px / voxel |
    | `surface_dice` | share of both surfaces within `tolerance` of the other (as MONAI, edge pixels) | |
    | `volume`, in 2D `area` | of the structure that was found | ml or mm2, else voxel / px |
    | `volume_error`, in 2D `area_error` | its absolute difference from the annotated one | the same |

    Surfaces are the mask's pixels with a face neighbour outside it, or at the image's edge. Pixels that do not count
    are removed from both masks first.

    Empty masks (libraries differ here):

    - Neither found nor annotated: overlaps and distances are NaN (there is nothing to measure), volumes 0.
    - One of the two empty: `dice`, `iou` and `surface_dice` are 0, and `hd95` is the image's diagonal, between the
      centres of opposite corner pixels: the largest distance in the image. With NaN, every mean would leave out
      exactly the images in which an attack erased a structure.

    Args:
        task: reads outputs and targets.
        structures: their names, in the task's order.
        spaced: measure in mm; every target must then have its spacing. Otherwise spacing is ignored.
        dimensions: 2 or 3 spatial axes; decides the units' names.
        tolerance: of the surface Dice, in mm, or in pixels if not `spaced`.

    Raises:
        InputError: names that do not fit the task, another number of axes than 2 or 3, a negative tolerance.
    """

    def __init__(
        self,
        task: Segmentation,
        structures: tuple[str, ...],
        spaced: bool,
        dimensions: int = 2,
        tolerance: float = 1.0,
    ):
        if len(structures) != task.structures:
            raise InputError(
                f"task.structures: {len(structures)} names for {task.structures} structures; give one name each."
            )
        if dimensions not in (2, 3):
            raise InputError(f"measures: masks have 2 or 3 spatial axes, not {dimensions}.")
        if not 0 <= tolerance < math.inf:
            raise InputError(f"task.tolerance: {tolerance:g} must be 0 or more.")
        self.task, self.structures, self.spaced = task, structures, spaced
        self.dimensions, self.tolerance = dimensions, tolerance

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Six per structure."""
        flat = self.dimensions == 2
        length = "mm" if self.spaced else "px" if flat else "voxel"
        size, unit = ("area", "mm2") if flat else ("volume", "ml")
        unit = unit if self.spaced else length
        return tuple(
            measure
            for name in self.structures
            for measure in (
                Measure("dice", name),
                Measure("iou", name),
                Measure("hd95", name, length, "lower"),
                Measure("surface_dice", name),
                Measure(size, name, unit, ""),
                Measure(f"{size}_error", name, unit, "lower"),
            )
        )

    def measure(self, outputs: Tree, targets: Tree) -> list[tuple[float, ...]]:
        """The measures of each sample.

        Raises:
            InputError: no spacing although it is measured in mm, or masks of other axes than `dimensions`.
        """
        found, true = self.task.stacks(outputs, targets)
        annotation = self.task.annotation(targets)
        if len(annotation.spatial) != self.dimensions:
            raise InputError(
                f"measures: they are for {self.dimensions}D masks, and these are {len(annotation.spatial)}D."
            )
        if self.spaced and annotation.spacing is None:
            raise InputError("masks: they have no spacing, but must be measured in mm. Give their spacing.")
        spacing = annotation.spacing if self.spaced else None
        dice, iou = (overlap(found, true, score).tolist() for score in ("dice", "iou"))
        rows = []
        for row in range(len(true)):
            size = [1.0] * self.dimensions if spacing is None else [float(edge) for edge in spacing[row]]
            figures: list[float] = []
            for part in range(len(self.structures)):
                overlaps = (dice[row][part], iou[row][part])
                figures += self._figures(found[row, part].cpu(), true[row, part].cpu(), overlaps, size)
            rows.append(tuple(figures))
        return rows

    def truth(self, targets: Tree) -> list[tuple[float, ...]]:
        """Nothing: masks stay in their files."""
        return [() for _ in leaves(targets)[0]]

    def found(self, outputs: Tree) -> list[tuple[float, ...]]:
        """Nothing: see the measures."""
        return [() for _ in leaves(outputs)[0]]

    def _figures(
        self, found: Tensor, true: Tensor, overlaps: tuple[float, float], size: list[float]
    ) -> tuple[float, ...]:
        pixel = math.prod(size) / (_ML if self.spaced and self.dimensions == 3 else 1)
        volumes = (int(found.sum()) * pixel, abs(int(found.sum()) - int(true.sum())) * pixel)
        if not bool(found.any()) and not bool(true.any()):
            return (math.nan, math.nan, math.nan, math.nan, *volumes)
        dice, iou = overlaps
        return (dice, iou, *self._surfaces(found, true, size), *volumes)

    def _surfaces(self, found: Tensor, true: Tensor, size: list[float]) -> tuple[float, float]:
        if not bool(found.any()) or not bool(true.any()):
            diagonal = np.linalg.norm([(n - 1) * edge for n, edge in zip(true.shape, size, strict=True)])
            return float(diagonal), 0.0
        return surfaces(found.bool().numpy(), true.bool().numpy(), size, self.tolerance)

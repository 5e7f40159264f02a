"""Some images of a plan with what is known of them, read without the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from palpate.artefacts.artefact import Scene
from palpate.audit.plan.artefacts import modality_of
from palpate.audit.plan.scales import scale_of
from palpate.audit.plan.tables import load_table
from palpate.audit.subject import collate
from palpate.audit.work.planes import window
from palpate.contracts import Limits
from palpate.data.annotations.annotation import Annotation
from palpate.data.formats.scan import Header
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.tensors import Tree
from palpate.units import Scale

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan


@dataclass(frozen=True)
class Specimen:
    """One image of a plan.

    Attributes:
        name: of its file; it may identify a patient.
        image: (C, *spatial) in values, float32.
        target: its masks or boxes, with a batch axis of 1; None if it has neither.
        scene: bounds, spacing and unit.
        limits: the values that its file can store.
        shades: values that are shown black and white.
    """

    name: str
    image: Tensor
    target: Tree | None
    scene: Scene
    limits: Limits
    shades: tuple[float, float]


@dataclass(frozen=True)
class Specimens:
    """The images that a preview shows.

    Attributes:
        rows: of the plan's table, in their order.
        modality: the kind of the images; empty if it is not known.
    """

    plan: Plan
    table: Table
    headers: tuple[Header, ...]
    scale: Scale
    window: tuple[float, float] | None
    rows: tuple[int, ...]
    modality: str

    def __iter__(self) -> Iterator[Specimen]:
        """Each image, read when it is its turn."""
        return (self._specimen(row) for row in self.rows)

    def _specimen(self, row: int) -> Specimen:
        header, name, bounds = self.headers[row], self.table[row].name, self.plan.model.bounds
        annotation = None if self.plan.task.kind in collate.CLASSES else self.table.annotation(row)
        spacing = (annotation and annotation.spacing) or collate.spacing_of(header, self.plan.data.spacing, name)
        image = torch.from_numpy(self.table.image(row).astype(np.float32))
        if not bounds[0] <= float(image.min()) <= float(image.max()) <= bounds[1]:
            held = f"{float(image.min()):g} to {float(image.max()):g}"
            raise InputError(
                f"model.bounds: {name} has values from {held}, outside {bounds[0]:g} to {bounds[1]:g}. Give bounds "
                "that hold every image."
            )
        limits = Limits()
        if header.step is not None:
            step, origin = (torch.tensor([one], dtype=torch.float64) for one in (header.step, header.intercept))
            limits = Limits(step=step, origin=origin)
        shown = self.window or header.window
        if shown is None:
            shades = window(image, bounds, inverted=header.inverted)
        else:
            shades = (shown[1], shown[0]) if header.inverted else shown
        return Specimen(name, image, _target(annotation), Scene(bounds, spacing, self.scale.unit), limits, shades)


def specimens(plan: Plan, count: int, window: tuple[float, float] | None = None) -> Specimens:
    """Images of a plan for its preview: evenly spaced in the table, after it is sorted by classes.

    Args:
        plan: names the images.
        count: how many, at most.
        window: values that are shown black and white; by default those of the plan's preprocessing or of the files.

    Raises:
        InputError: the images cannot be read, or the window is empty.
    """
    if window is not None and not window[0] < window[1]:
        raise InputError(f"--window: {window[0]:g} must be less than {window[1]:g}. Give the lowest value first.")
    table = load_table(plan)
    headers = tuple(table.header(row) for row in range(len(table)))
    shown = plan.model.preprocess.build(plan.root).window
    scale = scale_of(plan, headers, [case.name for case in table], shown)
    order = sorted(range(len(table)), key=lambda row: (table[row].label, row))
    count = min(count, len(order))
    rows = sorted(order[int((place + 0.5) / count * len(order))] for place in range(count))
    modality = modality_of(plan.data.modality, [header.modality for header in headers], scale.unit)
    return Specimens(plan, table, headers, scale, window or shown, tuple(rows), modality)


def _target(annotation: Annotation | None) -> Tree | None:
    """The masks or boxes of one image as the task has them."""
    if annotation is None or annotation.findings is not None:
        return None
    return collate.boxes([annotation]) if annotation.labels is None else collate.masks([annotation], None)

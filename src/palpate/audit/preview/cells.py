"""What a contact sheet shows of one image: the image, and an artefact at each severity, as pictures of one plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from palpate.artefacts.artefact import Bound, bound_to, rows_of
from palpate.artefacts.moving import moved
from palpate.artefacts.parameter import WORST, Parameter, free, theta_at
from palpate.audit.plan.artefacts import ArtefactItem
from palpate.audit.preview.specimens import Specimen
from palpate.audit.work.marks import Mark, boxes_of, outlines, stack_of
from palpate.audit.work.planes import Plane, planes, shades
from palpate.seeds import derive
from palpate.streams import Streams
from palpate.tensors import Tree, mapped
from palpate.units import quantity

_SHARE = 0.5
"""A slice is shown only if it changes at least this much of what the slice that changes most does."""


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Attributes:
        pixels: (H, W, 3 or 1) of 8 bit.
        marks: outlines of masks and boxes, moved along; only if the artefact moves anatomy.
    """

    pixels: npt.NDArray[np.uint8]
    marks: list[Mark]


@dataclass(frozen=True)
class Row:
    """One image of a sheet.

    Attributes:
        name: of its file.
        cells: clean, then severities 1 to 5.
        aspect: width divided by height in mm.
        plane: which slice of a volume, in words; empty in 2D.
        words: the parameters that are random, in words.
    """

    name: str
    cells: tuple[Cell, ...]
    aspect: float
    plane: str
    words: str


@torch.inference_mode()
def row_of(item: ArtefactItem, specimen: Specimen, seed: int) -> Row:
    """One image with an artefact at each severity: the same random parameters in each cell, other ones per image.

    Raises:
        InputError: the artefact cannot act on the image.
    """
    artefact, image, scene = item.artefact, specimen.image, specimen.scene
    streams = Streams([derive(seed, "preview", item.name, specimen.name)])
    bound = bound_to(artefact, image, scene, streams, rows_of(specimen.limits, 0))
    unit = streams.uniform((free(artefact.parameters),), torch.zeros(1, dtype=torch.float64))
    theta = theta_at(artefact.parameters, unit.expand(WORST, -1), torch.arange(1.0, WORST + 1))
    # One after the other: five whole volumes may be too large for memory.
    worst = bound(theta[-1:])[0]
    plane = _telling(item, specimen, worst)
    between = [_made(bound, theta[one : one + 1], plane) for one in range(WORST - 1)]
    pictures = [plane.of(image), *between, plane.of(worst)]
    targets = [specimen.target, *(_target(item, specimen, theta[one : one + 1]) for one in range(WORST))]
    cells = tuple(
        Cell(shades(picture, specimen.shades), _marks(item, target, plane, image.ndim - 1))
        for picture, target in zip(pictures, targets, strict=True)
    )
    said = "" if plane.axis is None else f"slice {plane.index + 1} of {plane.count}"
    return Row(specimen.name, cells, plane.aspect, said, _words(artefact.parameters, theta[-1].tolist()))


def _made(bound: Bound, theta: Tensor, plane: Plane) -> Tensor:
    return plane.of(bound(theta)[0])


def _telling(item: ArtefactItem, specimen: Specimen, worst: Tensor) -> Plane:
    """The plane to show: of the slices that change much, the one with the largest masks, or else the most contrast."""
    spatial = tuple(specimen.image.shape[1:])
    first, *_ = planes(spatial, specimen.scene.spacing, None, None)
    if first.axis is None:
        return first
    clean = specimen.image.movedim(first.axis + 1, 0).flatten(1).double()
    change = (worst.movedim(first.axis + 1, 0).flatten(1).double() - clean).abs().sum(1)
    weight = clean.std(1)
    stack = _stack(item, specimen.target, len(spatial))
    if stack is not None and stack.any():
        weight = torch.from_numpy(np.moveaxis(stack, first.axis + 1, 0).reshape(len(clean), -1).sum(1)).double()
    weight[change < _SHARE * change.max()] = -1
    return Plane(first.axis, int(weight.argmax()), first.count, 0, first.aspect)


def _target(item: ArtefactItem, specimen: Specimen, theta: Tensor) -> Tree | None:
    grid = item.artefact.grid(tuple(specimen.image.shape[1:]), theta, specimen.scene)
    return specimen.target if grid is None or specimen.target is None else moved(specimen.target, grid)


def _stack(item: ArtefactItem, target: Tree | None, axes: int) -> Any:
    structures = int(getattr(item.task, "structures", 0))
    return stack_of(mapped(lambda tensor: tensor[0], target), axes, structures) if structures and target else None


def _marks(item: ArtefactItem, target: Tree | None, plane: Plane, axes: int) -> list[Mark]:
    if target is None or not item.artefact.moves:
        return []
    stack = _stack(item, target, axes)
    drawn = [] if stack is None else outlines(plane.masks(stack))
    return [*drawn, *boxes_of(mapped(lambda tensor: tensor[0], target))]


def _words(parameters: tuple[Parameter, ...], theta: list[float]) -> str:
    """The parameters that differ between images, from theta at severity 5."""
    pairs = list(zip(parameters, theta, strict=True))
    signed = [parameter.words(value) for parameter, value in pairs if parameter.signed]
    placed = [parameter.words(value) for parameter, value in pairs if parameter.levels is None]
    grown = f"at severity {WORST}: {', '.join(signed)}" if signed else ""
    return "; ".join(text for text in (", ".join(placed), grown) if text)


def strengths(parameters: tuple[Parameter, ...], severity: int) -> list[str]:
    """The parameters that a severity sets, in words: `diameter 6 mm`, `rotation up to 4 degrees`."""
    return [
        f"{parameter.name} {'up to ' if parameter.signed else ''}{quantity(parameter.level(severity), parameter.unit)}"
        for parameter in parameters
        if parameter.levels is not None
    ]

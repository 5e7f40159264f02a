"""A measure with its unit, and the protocol that reads measures from a model's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from palpate.tensors import Tree, leaves


@dataclass(frozen=True)
class Measure:
    """One figure per image.

    Attributes:
        name: `dice`, `iou`, `hd95`, `surface_dice`, `volume`, `volume_error` ...
        part: the structure or class that it is about; empty for the whole image.
        unit: `mm`, `ml`, `px`, `voxel` or empty.
        better: whether higher or lower is better; empty for neither (a volume).
    """

    name: str
    part: str = ""
    unit: str = ""
    better: Literal["higher", "lower", ""] = "higher"


class Reader(Protocol):
    """Reads outputs and targets of one kind of task as plain numbers for the records; one tuple per sample."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What `measure` returns, in order."""

    def measure(self, outputs: Tree, targets: Tree) -> list[tuple[float, ...]]:
        """The measures of each sample; NaN where undefined."""

    def truth(self, targets: Tree) -> list[tuple[float, ...]]:
        """The annotation, flat, as in `palpate.storage.records` for this kind of task."""

    def found(self, outputs: Tree) -> list[tuple[float, ...]]:
        """The model's findings, flat, as in `palpate.storage.records` for this kind of task."""


class Nothing:
    """For a classification, whose label and decision have separate fields."""

    measures: tuple[Measure, ...] = ()

    def measure(self, outputs: Tree, targets: Tree) -> list[tuple[float, ...]]:
        """Nothing of each sample."""
        return [()] * len(leaves(targets)[0])

    def truth(self, targets: Tree) -> list[tuple[float, ...]]:
        """Nothing of each sample."""
        return [()] * len(leaves(targets)[0])

    def found(self, outputs: Tree) -> list[tuple[float, ...]]:
        """Nothing of each sample."""
        return [()] * len(leaves(outputs)[0])

"""Which part of a detector's loss a climb increases: the classes of boxes, their places, or both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import Tensor

from palpate.annotations import Boxes, Candidates
from palpate.contracts import Attack, Task
from palpate.errors import InputError
from palpate.hardening.contracts import Batch, Situation
from palpate.hardening.recipes.adversarial import attacked, chosen, rows_of
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import missed_and_invented

Parts = Literal["summed", "alternating", "class", "place"]
PARTS = get_args(Parts)


@dataclass(frozen=True)
class PlaceOnly:
    """Localisation alone (B,): 1 - GIoU between each annotated box and the candidates that have it, averaged.

    Attributes:
        task: reads the candidates.
    """

    task: Detection

    def __call__(self, candidates: Candidates, targets: Boxes) -> Tensor:
        """(B,); 0 without boxes."""
        reading = self.task.read(candidates, targets)
        real = reading.real.to(reading.distance)
        return (reading.distance * real).sum(1) / real.sum(1).clamp(min=1)


@dataclass(frozen=True)
class ClassOnly:
    """Classification alone (B,): the dense loss without its localisation.

    Attributes:
        task: reads the candidates.
    """

    task: Detection

    def __call__(self, candidates: Candidates, targets: Boxes) -> Tensor:
        """(B,)."""
        reading = self.task.read(candidates, targets)
        return missed_and_invented(reading) - PlaceOnly(self.task)(candidates, targets)


def attacked_boxes(parts: Parts, attack: Attack, batch: Batch, situation: Situation) -> Tensor:
    """Images of a batch under an attack on one part of the loss of boxes, or on all of it.

    `alternating` attacks the classes of every other image and the places of the rest, drawn from the image's stream:
    an attack on the sum mostly raises one of them, and leaves the model open to the other.

    Reference: Zhang, Wang, Towards Adversarially Robust Object Detection, ICCV 2019, where each image has the attack
    on that part which raises the whole loss more, at twice the passes.
    """
    task = situation.task
    if parts == "summed" or not isinstance(task, Detection):
        return attacked(attack, batch, situation)
    by = {"class": _of(task, ClassOnly), "place": _of(task, PlaceOnly)}
    if parts != "alternating":
        return attacked(attack, batch, situation, by[parts])
    first = chosen(batch, 0.5)
    images = batch.images.clone()
    for part, rows in (("class", first.nonzero().flatten()), ("place", (~first).nonzero().flatten())):
        if len(rows):
            images[rows] = attacked(attack, rows_of(batch, rows), situation, by[part])
    return images


def _of(task: Detection, part: type[ClassOnly] | type[PlaceOnly]) -> Task:
    return replace(task, criterion=part(replace(task, criterion=None)))


def check_parts(parts: str) -> None:
    """Raise InputError if this is no part of a loss of boxes."""
    if parts not in PARTS:
        raise InputError(f"boxes: '{parts}' is not one of {', '.join(PARTS)}.")

"""A small scenario of every kind of task: a victim, images, and targets that it gets right except for one sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate._moved import renamed
from palpate.annotations import Boxes
from palpate.checks import victims
from palpate.contracts import Task
from palpate.tasks.detection import Detection
from palpate.tasks.masks.goals import Erase
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree
from palpate.victim import Victim

_BOUNDS = (0.0, 255.0)
_COUNT = 5
_FLOOR = 0.8
LOST = 2
"""The sample whose target is not what the victim decides."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """What an attack is checked on.

    Attributes:
        name: for messages.
        kind: `multilabel`, `segmentation` or `detection`.
        victim: a small network in float64.
        task: what its outputs mean.
        images: (B, C, *spatial) stored values, the first two at the faces of the box.
        targets: what the victim decides, except for the sample `LOST`.
        targeted: the goal says what the decision must become.
    """

    name: str
    kind: str
    victim: Victim
    task: Task
    images: Tensor
    targets: Tree
    targeted: bool = False


def masks_2d() -> Scenario:
    """Two structures and background, with ignored rows of pixels; nothing is annotated in the last image."""
    victim, images, outputs = _decided(victims.small_masks())
    labels = outputs.argmax(1)
    labels[LOST] = (labels[LOST] + 1) % 3
    labels[-1] = 0
    labels[:, :2] = 255
    return Scenario("masks in 2D", "segmentation", victim, Segmentation(2, floor=_FLOOR), images, labels)


def masks_3d() -> Scenario:
    """One structure in a volume, from one logit."""
    victim, images, outputs = _decided(victims.small_masks(1, 1, 3), 1, 3)
    labels = (outputs[:, 0] > 0).long()
    labels[LOST] = 1 - labels[LOST]
    return Scenario("masks in 3D", "segmentation", victim, Segmentation(1, floor=_FLOOR), images, labels)


def erased_masks() -> Scenario:
    """Overlapping structures, one of which the attack must erase."""
    victim, images, outputs = _decided(victims.small_masks(3, 2))
    labels = (outputs > 0).long()
    labels[LOST, 0] = 0
    task = Segmentation(2, exclusive=False, goal=Erase(0, left=0.9))
    return Scenario("a structure to erase", "segmentation", victim, task, images, labels, targeted=True)


def findings() -> Scenario:
    """Four findings, one of them unknown for every other image."""
    victim, images, outputs = _decided(victims.small_net())
    labels = (outputs > 0).long()
    labels[LOST] = 1 - labels[LOST]
    labels[::2, 3] = -1
    return Scenario("findings", "multilabel", victim, MultiLabel(4), images, labels)


def boxes() -> Scenario:
    """Two classes of boxes, as the detector finds them."""
    victim, images, outputs = _decided(victims.small_boxes())
    task = Detection(2, floor=_FLOOR)
    found = task.own(outputs)
    boxes, labels = found.boxes.clone(), found.labels.clone()
    labels[LOST, 1:], labels[LOST, 0] = -1, 0
    boxes[LOST, 0] = torch.tensor([0.0, 0.0, 0.02, 0.02])
    return Scenario("boxes", "detection", victim, task, images, Boxes(boxes, labels))


def _decided(network: torch.nn.Module, channels: int = 3, spatial: int = 2) -> tuple[Victim, Tensor, Tree]:
    victim = Victim(network.double(), _BOUNDS)
    images = victims.images(_COUNT, channels, spatial).double()
    with victim:
        return victim, images, victim.judge(images)


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    build.__name__: build for build in (masks_2d, masks_3d, erased_masks, findings, boxes)
}
SCENARIO_KINDS: dict[str, tuple[str, bool]] = {
    "masks_2d": ("segmentation", False),
    "masks_3d": ("segmentation", False),
    "erased_masks": ("segmentation", True),
    "findings": ("multilabel", False),
    "boxes": ("detection", False),
}
"""The kind of each scenario, and whether its goal is targeted, known before anything is built."""


__getattr__ = renamed(__name__)

"""The decisions of one image as votes, and what is true of its score when some of them are not known.

A class is one decision; findings and pixels are many. All of them are read as whole numbers at *positions*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from palpate.certificates.bounds import Bools, Ints
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.masks.reading import Score, overlap
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.multilabel_goals import UNKNOWN
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree, finite, mapped

NAN = float("nan")
Voted = Classification | MultiLabel | Segmentation
"""Tasks whose decisions can be counted."""


@dataclass(frozen=True)
class Bounds:
    """What is true of an image whatever the decisions are that are not known.

    Attributes:
        score: the task's score is at least (or at most) this; NaN where it is undefined.
        acceptable: whether the result is acceptable for certain (or may be).
        parts: per finding 1 or 0; for masks the share of pixels that are right, then Dice and IoU of each structure.
            NaN where it is undefined.
    """

    score: float
    acceptable: bool
    parts: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Decisions:
    """The decisions of one image.

    | task | positions | kinds |
    | --- | --- | --- |
    | classes | 1 | classes |
    | findings | findings | 2: absent, present |
    | masks that exclude each other | pixels | background and structures |
    | masks that overlap | structures x pixels | 2 |

    Pixels that do not count, and findings that are not known, have a position but no test and no part in any figure.

    Attributes:
        task: what the model's outputs mean.
        targets: the annotation of this image, with a first axis of 1.

    Raises:
        InputError: boxes, which have no fixed positions.
    """

    task: Voted
    targets: Tree

    def __post_init__(self) -> None:
        voted(self.task)

    @property
    def kinds(self) -> int:
        """How many decisions are possible at a position."""
        if isinstance(self.task, Classification):
            return self.task.classes
        if isinstance(self.task, Segmentation) and self.task.exclusive:
            return self.task.structures + 1
        return 2

    @property
    def pixels(self) -> bool:
        """Whether the decisions are those of pixels."""
        return isinstance(self.task, Segmentation)

    @property
    def positions(self) -> int:
        """Number of positions."""
        return int(self.truth.size)

    @cached_property
    def truth(self) -> Ints:
        """What is annotated at each position."""
        labels = self.task.annotation(self.targets).labels if isinstance(self.task, Segmentation) else self.targets
        found: Ints = labels.reshape(-1).cpu().numpy()
        return found

    @cached_property
    def counted(self) -> Bools:
        """Which positions count."""
        if isinstance(self.task, Segmentation):
            return np.asarray(self.truth != self.task.ignore)
        if isinstance(self.task, MultiLabel):
            return np.asarray(self.truth != UNKNOWN)
        return np.ones(1, dtype=np.bool_)

    def votes(self, outputs: Tree) -> Ints:
        """How often each decision is made in some outputs (B, ...): (kinds, positions) int32."""
        made = self._made(outputs)[finite(outputs)]
        found = [(made == kind).sum(0, dtype=torch.int32) for kind in range(self.kinds)]
        counted: Ints = torch.stack(found).cpu().numpy()
        return counted

    def _made(self, outputs: Tree) -> Tensor:
        """The decisions of some outputs (B, positions)."""
        if isinstance(self.task, Segmentation):
            count = len(outputs)
            alike = mapped(lambda tensor: tensor.expand(count, *tensor.shape[1:]), self.targets)
            return self.task.own(outputs, alike).labels.flatten(1)
        return self.task.predict(outputs).reshape(len(outputs), -1)

    def least(self, decided: Ints, known: Bools) -> Bounds:
        """The lower bound: at the positions that are not known, the worst decisions for the score.

        For Dice and IoU of a structure the worst is that a pixel of it is missed and any other one is added, because
        both scores rise with every right pixel: 2 TP / (P + M) and TP / (P + M - TP) rise if a pixel of the structure
        is found (TP and P by 1), and fall if another is (P by 1).
        """
        return self._bounds(decided, known, worst=True)

    def most(self, decided: Ints, known: Bools) -> Bounds:
        """The upper bound: at the positions that are not known, the right decisions."""
        return self._bounds(decided, known, worst=False)

    def _bounds(self, decided: Ints, known: Bools, *, worst: bool) -> Bounds:
        if isinstance(self.task, Segmentation):
            return self._masks(decided, known, worst=worst)
        right = np.where(known, decided == self.truth, not worst)
        if isinstance(self.task, Classification):
            return Bounds(float(right[0]), bool(right[0]), ())
        among = right[self.counted]
        parts = np.where(self.counted, right, NAN).tolist()
        return Bounds(float(among.mean()) if among.size else NAN, bool(among.all()), tuple(map(float, parts)))

    def _masks(self, decided: Ints, known: Bools, *, worst: bool) -> Bounds:
        assert isinstance(self.task, Segmentation)
        truth = self.task.annotation(self.targets)
        shape, device = truth.labels.shape, truth.labels.device
        labels = torch.from_numpy(decided.astype(np.int64)).reshape(shape).to(device)
        sure = torch.from_numpy(known).reshape(shape).to(device)
        sure = sure.unsqueeze(1) if self.task.exclusive else sure
        unknown = ~truth.stack if worst else truth.stack
        presence = torch.where(sure, truth.stacked(labels), unknown) & truth.counted
        score = float(self.task.scoring(presence, truth)[0])
        annotated = bool(self.task.scoring.present(truth)[0])
        overlaps = [overlap(presence, truth.stack, name)[0].tolist() for name in get_args(Score)]
        empty = (~truth.stack.flatten(2).any(2))[0].tolist()
        right = np.where(known, decided == self.truth, not worst)[self.counted]
        parts = [float(right.mean()) if right.size else NAN]
        for dice, iou, nothing in zip(*overlaps, empty, strict=True):
            parts += [NAN, NAN] if nothing else [dice, iou]
        return Bounds(score if annotated else NAN, score > self.task.floor, tuple(parts))


def part_names(task: Any, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """What `Bounds.parts` holds: pairs of a measure and the structure or finding that it is about."""
    if isinstance(task, MultiLabel):
        return tuple(("right", name) for name in names)
    if isinstance(task, Segmentation):
        return ("pixel accuracy", ""), *((measure, name) for name in names for measure in ("dice", "iou"))
    return ()


def voted(task: Any) -> Voted:
    """A task whose decisions can be counted, unchanged; raises InputError for any other."""
    if isinstance(task, (Classification, MultiLabel, Segmentation)):
        return task
    raise InputError(
        "certificates: boxes cannot be certified, because votes need a fixed list of decisions, and each noisy copy of "
        "an image has other boxes. Certify classes, findings or masks."
    )

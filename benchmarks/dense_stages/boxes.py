"""The losses on boxes: which single attack beats which image of the detection demo, for each goal."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.dense_stages.tables import table
from benchmarks.measure import say
from palpate.annotations import Boxes
from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.strongest import MINIMUM_STEPS, STEPS
from palpate.attacks.minimum.norm import FMN
from palpate.attacks.objectives import Deviation, Margin, SoftScore
from palpate.attacks.objectives_pieces import CosPGD, PieceMargin, SegPGD
from palpate.attacks.sparse.steps import adaptive
from palpate.contracts import Attack, Objective
from palpate.data.phantoms.endoscopy import endoscopy
from palpate.models.demo.endoscopy import CLASSES, CONFIDENCE, MEAN, STD, load
from palpate.tasks.detection import Detection
from palpate.tasks.detection_goals import Degrade, DetectionGoal, Fabricate, Mislabel, Vanish
from palpate.threats.ball import Linf
from palpate.victim import Victim

IMAGES, SEED = 8, 77
"""Phantoms that the demo does not contain."""
GOALS: tuple[tuple[DetectionGoal, float], ...] = (
    (Degrade(), 1.5), (Vanish(), 4.0), (Fabricate(), 1.0), (Mislabel(), 2.0),
)  # fmt: skip
"""Each with its radius (of 255), at which some images fall."""
LOSSES: dict[str, Objective] = {
    "margin": Margin(),
    "soft score": SoftScore(),
    "cospgd": CosPGD(),
    "pieces": PieceMargin(),
    "loss": Deviation(),
    "segpgd": SegPGD(),
}
HEAD = ("goal", "attack", "beaten", "beaten by it alone", "without it all others beat")


def drawn() -> tuple[Tensor, Boxes]:
    """Phantoms (B, 3, 128, 128) and their boxes as fractions."""
    made = [endoscopy(np.random.default_rng((SEED, index))) for index in range(IMAGES)]
    most = max(len(one.labels) for one in made)
    boxes, labels = torch.zeros(IMAGES, most, 4), torch.full((IMAGES, most), -1, dtype=torch.int64)
    for row, one in enumerate(made):
        count = len(one.labels)
        boxes[row, :count] = torch.from_numpy(one.boxes) / one.image.shape[0]
        labels[row, :count] = torch.from_numpy(one.labels)
    images = torch.from_numpy(np.stack([one.image for one in made])).movedim(-1, 1).float()
    return images, Boxes(boxes.clamp(0, 1), labels)


def attacks(eps: float) -> dict[str, Attack]:
    """One attack per loss, and the search for the smallest change, as in `strongest`."""
    threat = Linf(eps)
    climbs: dict[str, Attack] = {
        name: Ascent(threat, STEPS, objective, step=adaptive(threat)) for name, objective in LOSSES.items()
    }
    return {**climbs, "smallest change": FMN(threat, MINIMUM_STEPS)}


def measured() -> str:
    """Attack, and give the table."""
    images, boxes = drawn()
    mean, std = torch.tensor(MEAN).reshape(3, 1, 1), torch.tensor(STD).reshape(3, 1, 1)
    victim = Victim(load(), (0, 255), preprocess=lambda stored: (stored - mean) / std)
    lines: list[tuple[str, ...]] = []
    for goal, eps in GOALS:
        task, won = Detection(len(CLASSES), goal, confidence=CONFIDENCE), {}
        for name, attack in attacks(eps).items():
            result = attack(victim, task, images, boxes, generator=torch.Generator().manual_seed(0))
            won[name], attackable = result.success, int(result.eligible.sum())
            say(f"{goal.describe()}, eps {eps:g}: {name} beats {int(result.success.sum())} of {attackable}")
        lines += rows(f"{goal.describe()}, eps {eps:g}", won, attackable)
    return table(HEAD, lines)


def rows(goal: str, won: dict[str, Tensor], attackable: int) -> list[tuple[str, ...]]:
    """One line per attack, and one for all."""
    every = torch.stack(list(won.values())).any(0)
    lines = []
    for name, success in won.items():
        others = torch.stack([one for other, one in won.items() if other != name]).any(0)
        lines.append(
            (goal, name, f"{int(success.sum())} of {attackable}", str(int((success & ~others).sum())),
             str(int(others.sum())))
        )  # fmt: skip
    return [*lines, (goal, "**all together**", f"{int(every.sum())} of {attackable}", "", "")]

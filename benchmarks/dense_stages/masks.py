"""The losses on masks: mean Dice that each leaves, and by how much the worst Dice of an image rises without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.dense_stages.losses import JensenShannon, MaskedLoss, MaskedSpherical
from benchmarks.dense_stages.tables import table
from benchmarks.dense_stages.victims import SIZE, read, trained, vessels
from benchmarks.dense_subject import drawn
from benchmarks.measure import say
from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.strongest import STEPS
from palpate.attacks.objectives import Deviation, Margin, SoftScore
from palpate.attacks.objectives_pieces import CosPGD, PieceMargin, SegPGD
from palpate.attacks.sparse.steps import adaptive
from palpate.contracts import Objective
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import Linf
from palpate.victim import Victim

HEAD = ("victim", "loss", "mean Dice", "beaten", "worst Dice without it", "lowest of all on", "beaten by it alone")
IMAGES = 16
RADII = {"lungs": (5.0, 24.0), "polyps": (1.0,), "drawn": (1.0,), "vessels": (1.0,)}
"""Radii in 1/255 for the plain and for the adversarially trained network; only the plain one is attacked at one."""
LOSSES: dict[str, Objective] = {
    "margin": Margin(),
    "dice": SoftScore(),
    "cospgd": CosPGD(),
    "pieces": PieceMargin(),
    "loss": Deviation(),
    "SEA balanced": SegPGD(),
    "SEA Jensen-Shannon": JensenShannon(),
    "SEA masked": MaskedLoss(),
    "SEA spherical": MaskedSpherical(),
}


@dataclass(frozen=True)
class Case:
    """A victim with its images, masks and radius."""

    name: str
    victim: Victim
    task: Segmentation
    images: Tensor
    masks: Tensor
    eps: float


def cases(folder: Path) -> list[Case]:
    """The victims; those of real images first."""
    found = []
    for name, most in (("lungs", 400), ("polyps", 400)):
        data = read(folder / name, "train", most)
        images, masks = read(folder / name, "val", 40)
        for robust, eps in zip((False, True), RADII[name], strict=False):
            model = trained(name, *data, robust, 200 if robust else 400)
            found.append(_case(_named(name, robust), model, Segmentation(1), images, masks, eps))
    model = trained("drawn", *drawn(200, 1, SIZE), False, 300, 3)
    found.append(_case(_named("drawn", False), model, Segmentation(2), *drawn(40, 2, SIZE), *RADII["drawn"]))
    if (folder / "vessels").is_dir():
        found.append(_case("vessels, trained by others", *_vessels(folder / "vessels"), *RADII["vessels"]))
    return found


def _vessels(folder: Path) -> tuple[nn.Module, Segmentation, Tensor, Tensor]:
    network, images, masks = vessels(folder)
    return network, Segmentation(1, threshold=0.42), images, masks


def _named(name: str, robust: bool) -> str:
    return f"{name}, {'adversarially trained' if robust else 'plain'}"


def _case(name: str, model: nn.Module, task: Segmentation, images: Tensor, masks: Tensor, eps: float) -> Case:
    """The first images that the network gets acceptably right."""
    victim = Victim(model)
    with victim:
        good = task.right(victim.judge(images), masks).nonzero().flatten()[:IMAGES]
    return Case(name, victim, task, images[good], masks[good], eps)


def left(case: Case, objective: Objective) -> Tensor:
    """The Dice (B,) that a climb of this loss leaves."""
    threat = Linf(case.eps / 255)
    climb = Ascent(threat, STEPS, objective, step=adaptive(threat), run_to_end=True)
    result = climb(case.victim, case.task, case.images, case.masks, generator=torch.Generator().manual_seed(0))
    return case.task.score(result.outputs, case.masks)


def rows(case: Case, scores: Mapping[str, Tensor]) -> list[tuple[str, ...]]:
    """One line per loss, and one for all of them."""
    floor, every = case.task.floor, torch.stack(list(scores.values()))
    worst = every.amin(0)
    lines = []
    for place, (name, score) in enumerate(scores.items()):
        without = torch.cat([every[:place], every[place + 1 :]]).amin(0)
        alone = int(((score <= floor) & (without > floor)).sum())
        lines.append(
            (
                case.name,
                name,
                f"{score.mean():.4f}",
                f"{int((score <= floor).sum())} of {len(score)}",
                f"{(without - worst).mean():+.4f}",
                str(int((score < without).sum())),
                str(alone),
            )
        )
    beaten = f"{int((worst <= floor).sum())} of {len(worst)}"
    return [*lines, (case.name, "**worst per image**", f"{worst.mean():.4f}", beaten, "", "", "")]


def measured(folder: Path) -> str:
    """Train, attack, and give the table."""
    lines: list[tuple[str, ...]] = []
    for case in cases(folder):
        scores = {}
        for name, objective in LOSSES.items():
            if isinstance(objective, MaskedSpherical) and case.task.structures == 1:
                continue
            scores[name] = left(case, objective)
            say(f"{case.name}, eps {case.eps:g}: {name} leaves a Dice of {scores[name].mean():.4f}")
        lines += rows(case, scores)
    return table(HEAD, lines)

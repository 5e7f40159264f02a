"""What each stage of `strongest` wins and spends on classes: `python -m benchmarks.parity.ablation --data FOLDER`.

The networks of the parity table, on validation images that the table does not use. Every stage, and every candidate,
attacks every image alone; from what each one won and spent, any order of stages can be computed. Writes the tables of
`docs/explanation/strongest.md`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import say
from benchmarks.parity.__main__ import COUNT
from benchmarks.parity.victims import PLANS, Victim, made
from palpate import Classification
from palpate import Victim as Tested
from palpate.attacks.ascent import Ascent
from palpate.attacks.cascade.strongest import LONG, STARTS, STEPS, strongest
from palpate.attacks.objectives import Deviation, Margin, TowardsRank
from palpate.attacks.sparse.steps import adaptive
from palpate.contracts import Attack, Objective, ObjectiveInputs, Threat
from palpate.streams import Streams
from palpate.tensors import lengths
from palpate.threats.ball import BALLS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "explanation" / "strongest.md"
BEGIN, END = "<!-- ablation: begin -->", "<!-- ablation: end -->"
_DUAL = {"linf": "l1", "l2": "l2", "l1": "linf"}
_MOST = 11
IMAGES = 16


@dataclass(frozen=True)
class ProbabilityMargin:
    """Minus the margin of the probabilities, not of the scores (PMA, arXiv 2411.15210)."""

    def value(self, inputs: ObjectiveInputs) -> Tensor:
        """(B,)."""
        p = inputs.task.head.log_probabilities(inputs.outputs).exp()  # type: ignore[attr-defined]
        right = p.gather(1, inputs.targets[:, None])
        others = p.scatter(1, inputs.targets[:, None], -torch.inf)
        return others.amax(1) - right.squeeze(1)


def candidates(threat: Threat, classes: int) -> dict[str, Attack]:
    """Everything that might be a stage, by its name."""

    def climb(objective: Objective, steps: int = STEPS) -> Ascent:
        return Ascent(threat, steps, objective, step=adaptive(threat))

    found: dict[str, Attack] = {stage.name: stage.attack for stage in _stages(threat, classes)}
    for rank in range(min(classes - 1, _MOST)):
        found[f"class of rank {rank + 1}"] = climb(TowardsRank(rank))
    found |= {
        "probability margin": climb(ProbabilityMargin()),
        "cross-entropy": climb(Deviation()),
        "margin, 20 steps": climb(Margin(), 20),
        "margin, other start": climb(Margin()),
        "other starts": Ascent(threat, LONG, Margin(), step=adaptive(threat), restarts=STARTS),
    }
    return found


def _stages(threat: Threat, classes: int) -> list[Any]:
    task = Classification(classes)
    return [stage for stage in strongest(threat).stages if stage.applies(task, threat.norm)]


@dataclass(frozen=True)
class Outcomes:
    """What every candidate did with every image of one victim in one norm.

    Attributes:
        won: by name, which images it beats (N,) bool.
        passes: by name, forwards plus backwards for each image (N,).
        malt: for each image, ranks by MALT's estimate (N, R): margin over the length of its gradient, smallest first.
        stages: names of the stages of `strongest` that apply, in their order.
    """

    victim: str
    classes: int
    norm: str
    won: dict[str, np.ndarray]
    passes: dict[str, np.ndarray]
    malt: np.ndarray
    stages: tuple[str, ...]


def outcomes(on: Victim, norm: str) -> Outcomes:
    """Run every candidate."""
    threat = BALLS[norm](on.radii[norm])
    won, passes = {}, {}
    for place, (name, attack) in enumerate(candidates(threat, on.classes).items()):
        seed = place if name.endswith("other start") else 0
        streams = Streams.of(torch.Generator().manual_seed(seed), len(on.images))
        task, tested = Classification(on.classes), Tested(on.model, (0, 1))
        result = attack(tested, task, on.images, on.labels, generator=streams)
        won[name] = result.success.numpy()
        passes[name] = (result.forwards + result.backwards).numpy()
    names = tuple(stage.name for stage in _stages(threat, on.classes))
    return Outcomes(on.name, on.classes, norm, won, passes, malt_order(on, norm), names)


def malt_order(on: Victim, norm: str) -> np.ndarray:
    """Ranks of the other classes, by the distance to their boundary in a linear model of the network."""
    task = Classification(on.classes)
    images = on.images.clone().requires_grad_()
    outputs = on.model(images)
    ranked = task.ranked(outputs.detach(), on.labels)[:, :_MOST]
    far = []
    for rank in range(ranked.shape[1]):
        margin = task.margin_to(outputs, on.labels, ranked[:, rank])
        (gradient,) = torch.autograd.grad(margin.sum(), images, retain_graph=True)
        far.append(margin.detach() / lengths(gradient, _DUAL[norm]).clamp(min=1e-12))
    return torch.stack(far, 1).argsort(dim=1).numpy()


def in_turn(found: Outcomes, names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """For stages in this order: images that reach each one, that it wins, and passes that it spends."""
    left = np.ones(len(found.malt), bool)
    table = {}
    for name in names:
        table[name] = (int(left.sum()), int((left & found.won[name]).sum()), int(found.passes[name][left].sum()))
        left &= ~found.won[name]
    return table


def alone(found: Outcomes, name: str, others: Sequence[str]) -> int:
    """Images that a stage wins and none of the others does."""
    rest = np.any([found.won[other] for other in others if other != name], axis=0)
    return int((found.won[name] & ~rest).sum())


def until_won(found: Outcomes, order: np.ndarray) -> tuple[int, int, int]:
    """Climbs towards one class each, in an order for each image (N, R), where the margin's climb does not win.

    Returns:
        Images that some climb wins, climbs that it takes to win them, and passes of these climbs.
    """
    ranks = [f"class of rank {rank + 1}" for rank in range(found.malt.shape[1])]
    won, passes = (np.stack([table[name] for name in ranks], 1) for table in (found.won, found.passes))
    images, climbs, spent = 0, 0, 0
    for row in np.flatnonzero(~found.won["margin"] & won.any(1)):
        images += 1
        for rank in order[row]:
            climbs += 1
            spent += int(passes[row, rank])
            if won[row, rank]:
                break
    return images, climbs, spent


def orders(found: Outcomes) -> dict[str, np.ndarray]:
    """The orders of classes that are compared, one row for each image."""
    count, ranks = found.malt.shape
    plain = np.arange(ranks)
    second = np.array([rank for rank in (1, 2, 0, *range(3, ranks)) if rank < ranks])
    return {
        "rank 1, 2, 3 ...": np.tile(plain, (count, 1)),
        "rank 2, 3, 1, 4 ...": np.tile(second, (count, 1)),
        "MALT": found.malt,
        "MALT, its second first": np.concatenate([found.malt[:, 1:3], found.malt[:, :1], found.malt[:, 3:]], 1),
    }


def text(table: Sequence[Outcomes]) -> str:
    """The tables: stages in turn, candidates, orders of classes; summed over victims with as many classes."""
    lines = []
    for classes in sorted({one.classes for one in table}):
        group = [one for one in table if one.classes == classes]
        images = sum(len(one.malt) for one in group)
        lines += [f"### {classes} classes, {images} images", ""]
        lines += [
            "| stage | images that reach it | wins | no other stage wins | passes |",
            "| --- | --- | --- | --- | --- |",
        ]
        names = list(dict.fromkeys(name for one in group for name in one.stages))
        for name in names:
            having = [one for one in group if name in one.stages]
            reached, wins, spent = (sum(in_turn(one, one.stages)[name][part] for one in having) for part in range(3))
            only = sum(alone(one, name, one.stages) for one in having)
            lines.append(f"| `{name}` | {reached} | {wins} | {only} | {spent} |")
        lines += ["", *_head("attack alone", "wins", "no stage wins", "passes")]
        for name in dict.fromkeys(name for one in group for name in one.won):
            having = [one for one in group if name in one.won]
            wins = sum(int(one.won[name].sum()) for one in having)
            new = sum(alone(one, name, one.stages) for one in having if name not in one.stages)
            spent = sum(int(one.passes[name].sum()) for one in having)
            lines.append(f"| `{name}` | {wins} of {sum(len(one.malt) for one in having)} | {new} | {spent} |")
        if classes > 2:
            lines += [
                "",
                "| order of classes | images won after the margin | climbs | passes |",
                "| --- | --- | --- | --- |",
            ]
            for name in orders(group[0]):
                sums = np.sum([until_won(one, orders(one)[name]) for one in group], axis=0)
                lines.append(f"| {name} | {sums[0]} | {sums[1]} | {sums[2]} |")
        lines.append("")
    return "\n".join(lines)


def _head(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]


def main() -> None:
    """Run, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the real images; without it only drawn ones are used")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "palpate_parity", help="where trained networks stay"
    )
    parser.add_argument("--only", default="", help="the networks whose name contains this; nothing is written")
    parser.add_argument("--norms", nargs="*", default=list(BALLS), help="the norms")
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = []
    for plan in PLANS:
        on = made(plan, given.data, given.cache, IMAGES, COUNT) if given.only in plan.name else None
        for norm in given.norms if on else ():
            table.append(outcomes(on, norm))
            say(json.dumps({name: int(won.sum()) for name, won in table[-1].won.items()}))
    say(text(table))
    if not given.only:
        head, tail = PAGE.read_text().split(BEGIN)[0], PAGE.read_text().split(END)[1]
        PAGE.write_text(f"{head}{BEGIN}\n\n{text(table)}\n{END}{tail}")


if __name__ == "__main__":
    main()

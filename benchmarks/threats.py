"""What confining a change costs an attack: `python -m benchmarks.threats --plan palpate-demo/classification/plan.toml`.

Runs PGD on every image of a plan under each confinement, through the same subject that an audit uses, and says how many
of the correctly decided images are beaten, in memory and after rounding to stored values. Prints the table of
`docs/explanation/threats.md`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measure import say
from palpate.attacks import recipes
from palpate.attacks.budgets import Budget
from palpate.attacks.curve import curve
from palpate.audit.plan.plan import load_plan
from palpate.audit.plan.tasks import task_of
from palpate.audit.subject.subject import Subject, load_subject
from palpate.contracts import Task, Threat
from palpate.streams import Streams
from palpate.threats.ball import Linf
from palpate.threats.confined import Confined

EPS = (0.5, 1.0, 2.0)
STEPS = 20
BATCH = 30
CONFINED: dict[str, tuple[Threat, tuple[str, ...]]] = {
    "nothing": (Linf(1.0), ()),
    "whole stored steps": (Confined(1.0, lattice=True), ()),
    "inside body": (Confined(1.0, region="inside body"), ("inside body",)),
    "outside body": (Confined(1.0, region="outside body"), ("outside body",)),
    "tied channels": (Confined(1.0, tied=True), ()),
    "blue alone": (Confined(1.0, channels=(0.0, 0.0, 1.0)), ()),
    "smooth by 1 pixel": (Confined(1.0, smooth=1.0), ()),
    "smooth by 2 pixels": (Confined(1.0, smooth=2.0), ()),
    "smooth by 4 pixels": (Confined(1.0, smooth=4.0), ()),
    "whole steps, inside body, tied": (
        Confined(1.0, lattice=True, region="inside body", tied=True),
        ("inside body",),
    ),
}


def main() -> None:
    """Print a table of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True)
    plan = load_plan(parser.parse_args().plan)
    torch.set_num_threads(1)
    subject, task = load_subject(plan), task_of(plan.task, "untargeted")
    say("| confined to | " + " | ".join(f"eps {eps:g}" for eps in EPS) + " |")
    say("| --- |" + " --- |" * len(EPS))
    for name, (threat, region) in CONFINED.items():
        cells = row(replace(subject, region=region), task, threat)
        say(f"| {name} | " + " | ".join(cells) + " |")


def row(subject: Subject, task: Task, threat: Threat) -> list[str]:
    """Per cent beaten, in memory and saved, at each radius; a dash below one stored step on the lattice."""
    possible = [eps for eps in EPS if eps >= 1 or not getattr(threat, "lattice", False)]
    fallen = {eps: [0, 0] for eps in possible}
    right = 0
    for rows in subject.batches(range(len(subject.table)), BATCH):
        images, targets = subject.images(rows), subject.targets(rows)
        attack = recipes.pgd(threat, steps=STEPS)
        budgets = curve(
            attack,
            subject.victim,
            task,
            images,
            targets,
            possible,
            generator=Streams(rows),
            limits=subject.limits(rows),
        )
        right += int(budgets[0].result.eligible.sum())
        for budget in budgets:
            fallen[budget.eps][0] += int(budget.result.success.sum())
            fallen[budget.eps][1] += saved(subject, task, budget, targets)
    shares = {eps: " / ".join(f"{100 * count / right:.0f}" for count in counts) for eps, counts in fallen.items()}
    return [shares.get(eps, "-") for eps in EPS]


def saved(subject: Subject, task: Task, budget: Budget, targets: torch.Tensor) -> int:
    """How many images are still beaten when their values are rounded as an 8-bit file rounds them."""
    with subject.victim as victim:
        margin = task.margin(victim.judge(budget.result.images.round()), targets)
    return int((budget.result.eligible & (margin <= 0)).sum())


if __name__ == "__main__":
    main()

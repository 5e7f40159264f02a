"""The success of changes that were learned for many images: on the images of the learning, and on unseen ones."""

from __future__ import annotations

import numpy as np

from palpate.metrics.panel import Outcome
from palpate.metrics.robustness import success_rate
from palpate.report.compute.reading import RunReading
from palpate.report.model.description import AttackDescription
from palpate.report.model.learned import LearnedChange, LearnedGroup, LearnedPoint


def measure_learned(reading: RunReading, attack: AttackDescription, outcome: Outcome) -> list[LearnedChange]:
    """The figures of each group; nothing for attacks that learn nothing."""
    groups = attack.learned.groups if attack.learned is not None else []
    return [_measured(reading, outcome, group) for group in groups]


def _measured(reading: RunReading, outcome: Outcome, group: LearnedGroup) -> LearnedChange:
    rows = reading.panel.images.row
    learned, unseen = (np.isin(rows, part) for part in (group.learned, group.unseen))
    note = "No such image could be attacked."
    points = []
    for budget, eps in enumerate(outcome.eps.tolist()):
        share = success_rate(outcome, budget)
        figures = [reading.proportion(share.within(mask), note) for mask in (learned, unseen)]
        points.append(LearnedPoint(eps=eps, learned=figures[0], unseen=figures[1]))
    return LearnedChange(
        group=group.name,
        learned=int(learned.sum()),
        unseen=int(unseen.sum()),
        points=points,
        forwards=sum(group.forwards),
        backwards=sum(group.backwards),
        picture=group.picture,
        amplification=group.amplification,
    )

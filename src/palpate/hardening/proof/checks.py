"""Measurements that decide whether the word *hardened* may be used, besides the audits before and after."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from palpate import catalog
from palpate.attacks.black_box.transfer import Transfer
from palpate.audit.plan.sections.threat import ThreatSection
from palpate.audit.subject.subject import Subject
from palpate.contracts import Attack, Task, Threat
from palpate.hardening.proof.plans import Extent
from palpate.seeds import derive
from palpate.streams import Streams
from palpate.victim import Victim

IMAGES = {"full": 64, "short": 8}
"""At most this many of the audit's images, from every class in turn."""
RESTARTS = {"full": 5, "short": 3}
"""Starts of the climb with several starts."""
STEPS = {"full": 40, "short": 20}
"""Steps of each climb."""


@dataclass(frozen=True)
class Measurement:
    """Images that withstood something, of those that the model got right at first.

    Attributes:
        name: what was done.
        before: for each image, whether the old model withstood it; None if it was not measured.
        after: the same for the trained model.
    """

    name: str
    before: tuple[bool, ...] | None
    after: tuple[bool, ...]

    @property
    def stored(self) -> dict[str, Any]:
        """As JSON: shares of all images."""
        return {
            "name": self.name,
            "before": _share(self.before),
            "after": _share(self.after),
            "images": len(self.after),
        }


def _share(withstood: tuple[bool, ...] | None) -> float | None:
    return None if withstood is None else sum(withstood) / len(withstood)


@dataclass(frozen=True)
class Measured:
    """What one model withstands.

    Attributes:
        subject: the audit's images; its victim is the model.
        rows: the images.
        task: what the outputs mean, untargeted.
        size: images attacked at once.
        seed: of the attacks' random numbers.
    """

    subject: Subject
    rows: tuple[int, ...]
    task: Task
    size: int
    seed: int

    def under(self, attack: Attack, other: Victim | None = None) -> tuple[bool, ...]:
        """Whether each image is right, and still right after the attack."""
        held: list[bool] = []
        for rows, images in self._batches():
            if other is not None:
                self.subject.prepare(rows[0], other)
            streams = Streams([derive(self.seed, "proof", self.subject.table[row].name) for row in rows])
            targets, limits = self.subject.targets(rows), self.subject.limits(rows)
            result = attack(self.subject.victim, self.task, images, targets, generator=streams, limits=limits)
            held += ((result.clean_margin > 0) & ~result.success).tolist()
        return tuple(held)

    def _batches(self) -> Iterator[tuple[Sequence[int], Tensor]]:
        for rows in self.subject.batches(self.rows, self.size):
            yield rows, self.subject.images(rows)


def rows_of(subject: Subject, extent: Extent = "full") -> tuple[int, ...]:
    """The images that are measured."""
    return subject.spread(range(len(subject.table)), IMAGES[extent])


def measured(
    before: Measured, after: Measured, threat: ThreatSection, eps: float, extent: Extent = "full"
) -> list[Measurement]:
    """What the records of the audits do not hold, because each asks for more than one attack on the same images.

    A climb with one and with several starts, images that beat the old model, and another norm. `recorded` reads the
    others from the records.

    Args:
        before: the model before training.
        after: the trained model.
        threat: the plan's threat: its region, lattice and norm.
        eps: the budget of the training in stored values.
        extent: how long the climbs are, and how many starts there are.
    """
    steps, starts = STEPS[extent], RESTARTS[extent]
    ball, other = threat.build(eps), _other_norm(before, threat, eps)
    climbs = {
        "one start": catalog.make("apgd-margin", ball, steps=steps),
        "several starts": catalog.make("apgd-margin", ball, steps=steps, restarts=starts),
        "another norm": catalog.make("apgd-margin", other, steps=steps),
    }
    found = [Measurement(name, before.under(attack), after.under(attack)) for name, attack in climbs.items()]
    moved = after.under(Transfer(ball, surrogate=before.subject.victim), before.subject.victim)
    return [*found, Measurement("images against the old model", None, moved)]


def _other_norm(measured: Measured, threat: ThreatSection, eps: float) -> Threat:
    """A ball of another norm whose longest changes are about half as long as those of the training's ball.

    Of n values, changes in L-inf of eps have up to eps * sqrt(n) in L2.
    """
    count = math.prod(measured.subject.shape_of(measured.rows[0]))
    norm, radius = {
        "linf": ("l2", eps * count**0.5 / 2),
        "l2": ("linf", 2 * eps / count**0.5),
        "l1": ("l2", 2 * eps / count**0.5),
    }[threat.norm]
    return threat.model_copy(update={"norm": norm}).build(radius)

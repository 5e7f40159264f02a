"""Transfer: images that beat another model, tried on this one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from palpate.attacks.ascent import Ascent
from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.directions import Diversity, Momentum
from palpate.attacks.objectives import Margin
from palpate.attacks.search import Search
from palpate.attacks.steps import Fixed, Halving
from palpate.contracts import AttackResult, Threat
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tensors import Tree, take
from palpate.victim import Victim


@dataclass(frozen=True)
class Transfer(Search):
    """Two climbs on a surrogate, a model of the same task whose gradients are known; their images are tried.

    The first climb is Auto-PGD on the margin, the second one momentum on the loss with input diversity. Both run to
    their end, far beyond the surrogate's boundary. The model under test is asked about each image once: two queries.
    If the surrogate is wrong about an image before the attack, its own decision takes the place of the truth.

    Costs in records are those of the model under test; passes of the surrogate are not counted.

    Without a surrogate the model is its own: its gradients are then used and counted.

    Reference: Papernot, McDaniel, Goodfellow, Transferability in Machine Learning, arXiv:1605.07277, 2016; Xie et al.,
    Improving Transferability of Adversarial Examples with Input Diversity, CVPR 2019.

    Attributes:
        threat: the ball.
        steps: gradient steps of each climb.
        surrogate: the other model, for the same images, bounds and task.

    Raises:
        InputError: fewer than one step, or a surrogate with other bounds or for another task.
    """

    threat: Threat
    steps: int = 40
    surrogate: Victim | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps: {self.steps} must be at least 1.")

    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Climb on the surrogate, and ask the model about what each climb found."""
        surrogate = self.surrogate or best_so_far.victim
        if surrogate.bounds != best_so_far.victim.bounds:
            raise InputError(
                f"surrogate: its bounds {surrogate.bounds} differ from {best_so_far.victim.bounds}, those of the model."
            )
        for step, climb in enumerate(self._climbs(), 1):
            rows = best_so_far.open_rows()
            rows = rows[best_so_far.affordable(rows)]
            if not len(rows):
                return
            found = self._found(climb, surrogate, best_so_far, rows, streams.take(rows))
            if surrogate is best_so_far.victim:
                best_so_far.forwards[rows] += found.forwards
                best_so_far.backwards[rows] += found.backwards
            self._try(best_so_far, rows, found.images, step)

    def _climbs(self) -> tuple[Ascent, Ascent]:
        step = Fixed(2.5 / self.steps)
        directions = (Diversity(), Momentum(1.0))
        return (
            Ascent(self.threat, self.steps, objective=Margin(), step=Halving(), run_to_end=True),
            Ascent(self.threat, self.steps, directions=directions, step=step, random_start=False, run_to_end=True),
        )

    def _found(
        self, climb: Ascent, surrogate: Victim, best_so_far: BestSoFar, rows: Tensor, streams: Streams
    ) -> AttackResult:
        """What a climb finds on the surrogate for some rows; where it is wrong already, against its own decision."""
        task, images = best_so_far.task, best_so_far.images[rows]
        targets = task.take(best_so_far.targets, rows)
        limits = None if best_so_far.limits is None else take(best_so_far.limits._replace(queries=None), rows)
        found = _of_rows(climb, rows)(surrogate, task, images, targets, generator=streams, limits=limits)
        lost = (~(found.clean_margin > 0)).nonzero().flatten()
        if not len(lost):
            return found
        own: Tree = task.own(take(found.clean_outputs, lost), task.take(targets, lost))
        again = _of_rows(climb, rows[lost])(
            surrogate, task, images[lost], own, generator=streams.take(lost), limits=take(limits, lost)
        )
        return replace(found, images=found.images.index_copy(0, lost, again.images))

    def _try(self, best_so_far: BestSoFar, rows: Tensor, images: Tensor, step: int) -> None:
        """Ask the model under test about one image of each row."""
        outputs = best_so_far.ask(rows, images)
        margin = best_so_far.task.margin(outputs, best_so_far.task.take(best_so_far.targets, rows))
        best_so_far.note(rows, images, outputs, margin, step, judged=True)
        best_so_far.spend(rows, 1, 0)


def transfer(threat: Threat, steps: int = 40) -> Transfer:
    """The attack as plans name it; an audit gives it the model of `[surrogate]`."""
    return Transfer(threat, steps)


def _of_rows(climb: Ascent, rows: Tensor) -> Ascent:
    """The climb with the radii of some rows, if each sample has its own."""
    threat: Any = climb.threat
    if not isinstance(threat.eps, tuple):
        return climb
    return replace(climb, threat=replace(threat, eps=tuple(threat.eps[row] for row in rows.tolist())))
